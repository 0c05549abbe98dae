"""``quatrefoil silo``: trains on its own data and sends encrypted updates."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quatrefoil import stack
from quatrefoil.audit import witnesses
from quatrefoil.audit.commitments import SALT_BYTES, code_digest, data_commitment, list_files
from quatrefoil.cli.enclaves import add_enclave_option, add_relying_options, relied_of, report_relied
from quatrefoil.cli.parties import (
    TIMEOUT,
    PartyFiles,
    add_party_options,
    add_pin_option,
    address,
    patience,
    warn_insecure,
)
from quatrefoil.cli.running import Service, Stopped, add_running_options, ended_by_signal
from quatrefoil.contracts import IsolationAppraiser, TransportSecurity
from quatrefoil.errors import CallerError
from quatrefoil.federation.commitments import Commitments
from quatrefoil.federation.provenance import SiloProvenance
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.user_code import as_arrays, call, count_samples, load_data, load_function, save_model
from quatrefoil.federation.vectors import Arrays
from quatrefoil.federation.witnessing import SiloWitness
from quatrefoil.meter import Meter, MeteredAggregation, MeteredProofs, MeteredTransport
from quatrefoil.output import add_json_option, report, require_writable, write_json
from quatrefoil.policy import Policy
from quatrefoil.services.silo import SiloService
from quatrefoil.services.vitals import Vitals
from quatrefoil.transport import Dialer, system_clock

NAME = "silo"
SALT = "data/salt"
"""In the state: what hides, and opens, the commitment to the data."""

HELP = "train on this silo's data with your own function, and send encrypted updates"


def configure(parser: argparse.ArgumentParser) -> None:
    add_party_options(parser)
    add_enclave_option(parser)
    add_relying_options(parser)
    parser.add_argument("--aggregator", required=True, type=address, metavar="HOST:PORT", help="where to connect to")
    add_pin_option(parser, "the aggregator")
    parser.add_argument(
        "--train", required=True, metavar="MODULE:FUNCTION", help="takes (parameters, data), returns parameters"
    )
    parser.add_argument(
        "--data", required=True, type=Path, metavar="FILE", help=".npz, .npy, .csv, or what the module's load() reads"
    )
    parser.add_argument(
        "--commit",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="a file or folder that load() reads besides; it is committed to like --data, in order not to be exchanged",
    )
    parser.add_argument("--samples", type=int, metavar="N", help="number of samples, if the data has no length")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the final model (.npz)")
    parser.add_argument(
        "--give-up",
        type=patience,
        default=600.0,
        metavar="S",
        help="seconds without the aggregator, or `never` (default: 600)",
    )
    add_running_options(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.out)
    with PartyFiles(options, "silo") as files:
        warn_insecure(files.policy)
        train = load_function(options.train)
        data = load_data(options.data, train)

        def train_once(parameters: Arrays) -> Sequence[NDArray[np.floating]]:
            return as_arrays(call(train, parameters, data), options.train)

        samples = options.samples if options.samples is not None else count_samples(data)
        commits = Commitments(data_commitment_of([options.data, *options.commit], files), code_digest(train) or b"")
        provenance = provenance_of(files)
        vitals = Vitals("silo")
        service = SiloService(
            silo_of(options, files, samples, commits),
            provenance,
            dialer_of(options, files).connect,
            witness=witness_of(options, files),
            give_up=options.give_up,
            report=report,
            vitals=vitals,
        )
        try:
            with Service(options, vitals, files.state) as running, ended_by_signal():
                running.manager.ready()
                finished = service.run(train_once)
        except Stopped:
            report("stopped: started again with the same --state it goes on")
            return
        if (envelope := provenance.envelope()) is not None:
            report(f"statement of provenance: {files.keep_provenance(envelope)}")
    if options.out is not None:
        save_model(options.out, finished.model)
    report(f"{finished.rounds} rounds done, over {finished.group}")
    write_json(
        options.json,
        "quatrefoil.silo/1",
        {
            "silo": files.identity.name,
            "rounds": finished.rounds,
            "channels": [{"group": finished.group, "peer": finished.peer}],
            "insecure": list(files.policy.accept_insecure),
            "upper": finished.upper.hex() or None,
        },
    )


def data_commitment_of(paths: Sequence[Path], files: PartyFiles) -> bytes:
    """To what the paths hold, under a salt that stays in the state."""
    salt = files.state.put_once(SALT, os.urandom(SALT_BYTES))
    return data_commitment(list_files(paths), salt)


def provenance_of(files: PartyFiles) -> SiloProvenance:
    return SiloProvenance(
        security=files.security,
        notary=files.notary,
        policy=files.policy,
        state=files.state,
        log=files.log,
        clock=system_clock,
    )


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
        appraiser=_appraiser(options, policy),
        policy=policy,
        samples=samples,
        state=files.state,
        log=files.log,
        clock=system_clock,
        commits=commits,
    )


def _appraiser(options: argparse.Namespace, policy: Policy) -> IsolationAppraiser | None:
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


def dialer_of(options: argparse.Namespace, files: PartyFiles) -> Dialer:
    return Dialer(
        *options.aggregator,
        credentials=files.pinning(options.pin),
        policy=files.channel_policy,
        expect_role="aggregator",
        timeout=TIMEOUT,
        clock=system_clock,
    )
