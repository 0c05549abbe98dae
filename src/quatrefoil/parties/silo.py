"""What a silo's process is made of, from its options and its files."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from quatrefoil import stack
from quatrefoil.audit import witnesses
from quatrefoil.audit.commitments import SALT_BYTES, data_commitment, list_files
from quatrefoil.contracts import IsolationAppraiser, TransportSecurity
from quatrefoil.errors import CallerError
from quatrefoil.federation.commitments import Commitments
from quatrefoil.federation.provenance import SiloProvenance
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.witnessing import SiloWitness
from quatrefoil.meter import Meter, MeteredAggregation, MeteredProofs, MeteredTransport
from quatrefoil.output import report
from quatrefoil.parties.party import PartyFiles
from quatrefoil.parties.relying import relied_of, report_relied
from quatrefoil.policy import Policy
from quatrefoil.transport import system_clock

SALT = "data/salt"
"""In the state: what hides, and opens, the commitment to the data."""


def silo_of(
    options: argparse.Namespace, files: PartyFiles, samples: int, commits: Commitments, meter: Meter | None = None
) -> Silo:
    """``meter``: what times the layers' calls, if anything does."""
    policy = files.policy
    security: TransportSecurity = files.security
    aggregation = stack.aggregation_of(
        policy, options.backend or stack.only_allowed(policy, "aggregation"), threads=options.threads
    )
    proofs = stack.proofs_of(policy, stack.proofs_named(policy), threads=options.threads)
    if meter is not None:
        security, aggregation = MeteredTransport(security, meter), MeteredAggregation(aggregation, meter)
        proofs = None if proofs is None else MeteredProofs(proofs, meter)
    return Silo(
        security=security,
        aggregation=aggregation,
        proofs=proofs,
        appraiser=appraiser_of(options, policy),
        policy=policy,
        samples=samples,
        state=files.state,
        log=files.log,
        clock=system_clock,
        commits=commits,
    )


def appraiser_of(options: argparse.Namespace, policy: Policy) -> IsolationAppraiser | None:
    """What the keeper's evidence is held to; None where the policy appoints a committee, which gives none."""
    relied = relied_of(options)
    if policy.key_authority.is_committee:
        if relied is not None or options.enclave is not None:
            raise CallerError(
                f"policy {policy.name} has a committee, and evidence of a keeper is to be appraised",
                hint="Leave --enclave, --appraisal and --collateral out",
            )
        report("no keeper: a committee of silos holds the keys of each round in shares")
        return None
    enclave = stack.only_allowed(policy, "enclave", options.enclave)
    appraiser = stack.appraiser_of(policy, enclave, relied, clock=system_clock)
    report_relied(enclave, relied)
    return appraiser


def provenance_of(files: PartyFiles) -> SiloProvenance:
    return SiloProvenance(
        security=files.security,
        notary=files.notary,
        policy=files.policy,
        state=files.state,
        log=files.log,
        clock=system_clock,
    )


def witness_of(options: argparse.Namespace, files: PartyFiles) -> SiloWitness:
    return SiloWitness(
        witnesses.key_of(options.state, files.identity, files.trust),
        security=files.security,
        trust=files.trust,
        policy=files.policy,
        state=files.state,
        log=files.log,
        clock=system_clock,
    )


def data_commitment_of(paths: Sequence[Path], files: PartyFiles) -> bytes:
    """To what the paths hold, under a salt that stays in the state."""
    salt = files.state.put_once(SALT, os.urandom(SALT_BYTES))
    return data_commitment(list_files(paths), salt)


__all__ = ["SALT", "appraiser_of", "data_commitment_of", "provenance_of", "silo_of", "witness_of"]
