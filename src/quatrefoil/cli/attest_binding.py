"""What evidence is to be bound to, as ``quatrefoil attest verify`` is told: a keyset, a nonce, a channel, a purpose."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from quatrefoil.appraisal import Verdict
from quatrefoil.cli.hexadecimal import octets
from quatrefoil.enclave import aci, binding
from quatrefoil.enclave.aci import AciKeyset, AciReport
from quatrefoil.enclave.claims import Check
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.errors import CallerError, EvidenceRejected

PROFILES = ("quatrefoil", "aci")

_OF_A_BINDING = ("keyset", "nonce", "exporter", "purpose")


@dataclass(frozen=True)
class Bound:
    """The report data that evidence must hold, and what was seen on the way to them.

    ``evidence``: what came in the same file as the keyset, if it did."""

    report_data: bytes | None
    checks: tuple[Check, ...] = ()
    keyset_sha256: bytes = b""
    evidence: Evidence | None = None
    kinds: tuple[str, ...] = ()
    """Those that the profile is for, where it says."""

    def judge(self, verdict: Verdict) -> Verdict:
        """``verdict`` with the checks of the binding."""
        checks = self.checks
        if self.kinds:
            kind = verdict.claims.kind
            checks += (Check("profile", kind in self.kinds, f"{kind}; the profile is for {', '.join(self.kinds)}"),)
        return replace(verdict, checks=(*verdict.checks, *checks))

    def to_json(self) -> dict[str, str]:
        return {"keyset_sha256": self.keyset_sha256.hex()} if self.keyset_sha256 else {}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report-data", metavar="HEX", help="what the evidence must be bound to; a policy may let it be left out"
    )
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default=PROFILES[0],
        help="whose rules make report data from a keyset; with aci and no --keyset, EVIDENCE is an ACI report",
    )
    parser.add_argument("--keyset", metavar="FILE", type=Path, help="keyset that the evidence must be bound to")
    parser.add_argument("--nonce", metavar="HEX", help="the nonce that was sent, 32 bytes")
    parser.add_argument("--exporter", metavar="HEX", help="32 bytes exported from the channel, where there was one")
    parser.add_argument("--purpose", metavar="TEXT", help="what the evidence was asked for")


def bound(options: argparse.Namespace, at: datetime, read: Callable[[Path], bytes]) -> Bound:
    """What ``options`` say. ``read`` gives the bytes of a file."""
    given = [name for name in _OF_A_BINDING if getattr(options, name) is not None]
    if options.report_data is not None:
        if given or options.profile != PROFILES[0]:
            raise CallerError(
                "--report-data says already what the evidence must be bound to",
                hint="Leave it out, or --profile, --keyset, --nonce, --exporter and --purpose",
            )
        return Bound(octets("--report-data", options.report_data))
    if options.profile == "aci":
        return _aci(options, at, read)
    if not given:
        return Bound(None)
    _require(options, ("keyset", "nonce", "purpose"))
    keyset = binding.Keyset.decode(read(options.keyset))
    exporter = octets("--exporter", options.exporter) if options.exporter is not None else b""
    if options.exporter is not None and not exporter:
        raise CallerError("--exporter is empty", hint="Leave it out where the evidence came on no channel")
    expected = binding.report_data(keyset, octets("--nonce", options.nonce), exporter, options.purpose)
    return Bound(expected, (_current(keyset.require_current, at),), keyset.digest())


def _aci(options: argparse.Namespace, at: datetime, read: Callable[[Path], bytes]) -> Bound:
    for name in ("exporter", "purpose"):
        if getattr(options, name) is not None:
            raise CallerError(f"ACI binds evidence to no {name}", hint=f"Leave --{name} out")
    _require(options, ("nonce",))
    nonce = octets("--nonce", options.nonce)
    if options.keyset is not None:
        keyset, evidence = AciKeyset.parse(read(options.keyset)), None
        checks: tuple[Check, ...] = ()
    else:
        if options.kind is not None:
            raise CallerError("a bare report holds no ACI keyset", hint="Give it with --keyset, or leave --kind out")
        report = AciReport.parse(read(options.evidence))
        keyset, evidence = report.keyset, report.evidence
        checks = (_restated(report, nonce),)
    checks = (*checks, _current(keyset.require_current, at))
    digest = bytes.fromhex(keyset.digest.removeprefix("sha256:"))
    return Bound(aci.report_data(keyset, nonce), checks, digest, evidence, tuple(aci.KINDS.values()))


def _current(require: Callable[[datetime], None], at: datetime) -> Check:
    return _held("keyset-validity", "the keyset is good at the time of verification", lambda: require(at))


def _restated(report: AciReport, nonce: bytes) -> Check:
    return _held("report", "the report restates its keyset and report data", lambda: report.require_nonce(nonce))


def _held(name: str, detail: str, require: Callable[[], object]) -> Check:
    try:
        require()
    except EvidenceRejected as refusal:
        return Check(name, False, refusal.problem)
    return Check(name, True, detail)


def _require(options: argparse.Namespace, names: tuple[str, ...]) -> None:
    if missing := [f"--{name}" for name in names if getattr(options, name) is None]:
        raise CallerError(
            f"{' and '.join(missing)} must be said as well", hint="Report data are made of all of them together"
        )
