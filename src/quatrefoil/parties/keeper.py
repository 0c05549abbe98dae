"""What a keeper's process is made of, from its options: the machine, and what collects its evidence."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from quatrefoil import stack
from quatrefoil.errors import CallerError
from quatrefoil.federation.keeper import Keeper
from quatrefoil.output import report
from quatrefoil.parties.arguments import registers
from quatrefoil.parties.party import PartyFiles
from quatrefoil.policy import Policy

if TYPE_CHECKING:
    from quatrefoil.enclave.collectors import Collector


def keeper_of(options: argparse.Namespace, files: PartyFiles) -> Keeper:
    """``HostError`` where the device that is to give evidence gives none."""
    policy = files.policy
    enclave = stack.only_allowed(policy, "enclave", options.enclave)
    attester = stack.attester_of(policy, enclave, collector_of(options, enclave))
    attester.collect(bytes(32))  # a device that gives nothing is told of now, and not when silos wait
    report_attester(policy, enclave, attester.isolation)
    return Keeper(
        security=files.security,
        aggregation=stack.aggregation_of(
            policy, options.backend or stack.only_allowed(policy, "aggregation"), threads=options.threads
        ),
        proofs=stack.proofs_of(policy, stack.proofs_named(policy), threads=options.threads),
        attester=attester,
        policy=policy,
        state=files.state,
        log=files.log,
    )


def add_collector_options(parser: argparse.ArgumentParser) -> None:
    from quatrefoil.enclave.collectors.tpm_tools import DEVICE
    from quatrefoil.enclave.collectors.tsm import REPORTS

    parser.add_argument("--tpm-key", metavar="KEY", help="attestation key of the TPM: a persistent handle or a context")
    parser.add_argument("--tpm-pcrs", type=registers, metavar="N,N,...", help="registers to quote (default: 0 to 7)")
    parser.add_argument("--tpm-bank", metavar="HASH", help="bank of registers (default: sha256)")
    parser.add_argument("--tcti", metavar="TCTI", help=f"where the TPM is (default: {DEVICE})")
    parser.add_argument(
        "--tsm-folder", type=Path, metavar="DIR", help=f"where configfs-tsm gives reports (default: {REPORTS})"
    )


_TPM = {"tpm_key": "key", "tpm_pcrs": "pcrs", "tpm_bank": "bank", "tcti": "tcti"}
_TSM = {"tsm_folder": "folder"}
_OPTIONS: Mapping[str, Mapping[str, str]] = {"tpm": _TPM, "tdx": _TSM, "sev-snp": _TSM}
"""Backend -> options that say how its evidence is collected, each with the collector's name for it."""


def collector_of(options: argparse.Namespace, backend: str) -> Collector | None:
    """What collects ``backend`` evidence; None for the stand-in. Options of another backend are ``CallerError``."""
    from quatrefoil.enclave.collectors.nsm import NsmCollector
    from quatrefoil.enclave.collectors.tpm import TpmCollector
    from quatrefoil.enclave.collectors.tsm import TsmCollector

    given = {name: getattr(options, name) for name in (*_TPM, *_TSM) if getattr(options, name) is not None}
    known = _OPTIONS.get(backend, {})
    if wrong := [name for name in given if name not in known]:
        option = "--" + wrong[0].replace("_", "-")
        raise CallerError(f"{option} is given, and the keeper is behind {backend}", hint="Leave it out")
    found = {known[name]: value for name, value in given.items()}
    if backend == "tpm":
        if "key" not in found:
            raise CallerError("a TPM quotes under an attestation key, and none is named", hint="Give it with --tpm-key")
        return TpmCollector(**found)
    if backend in ("tdx", "sev-snp"):
        return TsmCollector(backend, **found)
    return NsmCollector() if backend == "nitro" else None


def report_attester(policy: Policy, backend: str, isolation: str) -> None:
    """Say what keeps the keeper's host from its keys, on every start."""
    if backend == stack.SOFTWARE:
        report(f"keeper without an enclave, isolation: {isolation}; whoever runs this machine reads every key")
        return
    report(f"keeper behind {backend}, isolation: {isolation}, under the appraisal policy {policy.appraisal.hex()[:16]}")
    if isolation == "none":
        report(f"{backend} evidence says what was started: whoever runs this machine reads every key")


__all__ = ["add_collector_options", "collector_of", "keeper_of", "report_attester"]
