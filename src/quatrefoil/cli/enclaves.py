"""What the commands of a job share about the keeper's enclave: which one, what collects evidence, what appraises it.

What collects and appraises is imported where it is used: most jobs have neither, and inside Flower a silo is a new
process for each message.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from quatrefoil import stack
from quatrefoil.errors import CallerError, HostError
from quatrefoil.output import report
from quatrefoil.policy import COMMITTEE, Policy
from quatrefoil.transport import system_clock

if TYPE_CHECKING:
    from quatrefoil.appraisal import Relied
    from quatrefoil.enclave.collectors import Collector


def add_enclave_option(
    parser: argparse._ActionsContainer,
    option: str = "--enclave",
    keeper: str = "the keeper",
    policy: str = "the policy",
) -> None:
    parser.add_argument(
        option,
        choices=[name for name in stack.EXISTING["enclave"] if name != COMMITTEE],
        help=f"what {keeper} is behind, where {policy} allows several",
    )


def add_keeper_enclave_option(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """For who plans: the keeper runs on another machine, whose devices are not seen from here."""
    parser.add_argument(
        "--keeper-enclave",
        action="append",
        choices=[name for name in stack.EXISTING["enclave"] if name not in (stack.SOFTWARE, COMMITTEE)],
        help=f"evidence that the keeper's machine gives, which silos appraise; repeat for several ({otherwise})",
    )


def add_server_enclave_option(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """For who plans: the same of the machine that serves a model."""
    parser.add_argument(
        "--server-enclave",
        action="append",
        choices=[name for name in stack.EXISTING["enclave"] if name not in (stack.SOFTWARE, COMMITTEE)],
        help=f"evidence that a model server's machine gives, which clients appraise; repeat for several ({otherwise})",
    )


# ------------------------------------------------------------------------------------------------------ the keeper


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


def registers(text: str) -> tuple[int, ...]:
    """Numbers of registers, for argparse."""
    return tuple(int(part) for part in text.split(","))


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


# ------------------------------------------------------------------------------------------------------- the silos


def add_relying_options(
    parser: argparse._ActionsContainer, prefix: str = "", policy: str = "the policy", keeper: str = "the keeper"
) -> None:
    parser.add_argument(
        f"--{prefix}appraisal",
        type=Path,
        metavar="FILE",
        help=f"the appraisal policy that {policy} names by its digest: what {keeper}'s evidence is held to",
    )
    parser.add_argument(
        f"--{prefix}collateral",
        type=Path,
        metavar="DIR",
        help="certificates, revocation lists and keys to verify it with",
    )


def relied_of(options: argparse.Namespace) -> Relied | None:
    """The appraisal policy and collateral that were given; None without. ``HostError`` for what has expired of it."""
    if options.appraisal is not None and options.collateral is not None:
        require_current(options.collateral, system_clock())
    return read_relied(options.appraisal, options.collateral)


def require_current(folder: Path, at: datetime) -> None:
    """``HostError`` naming the first file of collateral that does not hold at ``at``, and its date.

    It says nothing of what holds: verification judges every part again, each time that it uses it.
    """
    from quatrefoil.endorsements import bundle

    for one in bundle.held(folder):
        for problem in one.problems(at):
            raise HostError(
                f"{folder / one.name} does not hold: {problem}",
                hint="Fetch it again with `quatrefoil attest collateral fetch`, or take it out if nothing needs it",
            )


def read_relied(appraisal: Path | None, collateral: Path | None) -> Relied | None:
    """Both from their files; None where no appraisal policy is given."""
    from quatrefoil.appraisal import Relied, load
    from quatrefoil.enclave.collateral import Collateral

    if appraisal is not None:
        return Relied(load(appraisal), Collateral() if collateral is None else Collateral.load(collateral))
    if collateral is not None:
        raise CallerError("--collateral is given without the policy it serves", hint="Give it with --appraisal")
    return None


def report_relied(backend: str, relied: Relied | None) -> None:
    """Say what the keeper's evidence is held to."""
    if relied is not None:
        report(f"the keeper's {backend} evidence is held to {relied.policy.name} ({relied.policy.digest().hex()[:16]})")
