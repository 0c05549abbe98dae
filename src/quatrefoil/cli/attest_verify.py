"""``quatrefoil attest verify``: every check that was made on evidence, and whether all of them passed."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from rich.markup import escape

from quatrefoil.appraisal import Verdict, appraise, appraise_set, load, verify, verify_set
from quatrefoil.appraisal.verifiers import VERIFIERS
from quatrefoil.cli import attest_binding
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence, EvidenceSet, decode_any
from quatrefoil.errors import CallerError
from quatrefoil.output import add_json_option, console, only_json, table, write_json

NAME = "verify"
HELP = "verify evidence and hold it to a policy; exit code 0 only when it is accepted"
SCHEMA = "quatrefoil.attest-verify/1"
LARGEST_EVIDENCE = 8 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("evidence", metavar="EVIDENCE", type=Path, help="file with evidence, or with a set of it")
    parser.add_argument(
        "--policy", metavar="POLICY", type=Path, required=True, help="appraisal policy file (TOML): what is accepted"
    )
    parser.add_argument(
        "--kind",
        choices=sorted(VERIFIERS),
        help="read EVIDENCE as a bare report of this kind, as hardware returns it, with its certificates in DIR",
    )
    parser.add_argument(
        "--collateral", metavar="DIR", type=Path, help="folder with certificates and revocation lists fetched before"
    )
    parser.add_argument("--at", metavar="TIME", help="verify as of this time, as 2026-06-01T12:00Z (default: now)")
    attest_binding.configure(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    policy = load(options.policy)
    at = read_time(options.at) if options.at is not None else datetime.now(UTC)
    bound = attest_binding.bound(options, at, _read)
    collateral = Collateral.load(options.collateral) if options.collateral else Collateral()
    evidence = bound.evidence or read_evidence(options.evidence, options.kind)
    if isinstance(evidence, EvidenceSet):
        verdict = appraise_set(verify_set(evidence, collateral, at), policy, bound.report_data, at)
    else:
        verdict = appraise(verify(evidence, collateral, at), policy, bound.report_data, at)
    verdict = bound.judge(verdict)
    write_json(options.json, SCHEMA, verdict.to_json() | bound.to_json())
    if not only_json(options):
        _show(verdict, options.policy)
    verdict.require()


def _show(verdict: Verdict, policy: Path) -> None:
    # Details quote what came from outside, which is no markup.
    rows = [(check.name, "yes" if check.passed else "NO", escape(check.detail)) for check in verdict.checks]
    said = "accepted" if verdict.accepted else "REJECTED"
    drawn = table(f"{verdict.claims.kind} under {policy.name}: {said}", ("check", "passed", "detail"), rows)
    drawn.columns[1].justify = drawn.columns[2].justify = "left"
    out = console()
    out.print(drawn)
    out.print(f"Vouched for by: {verdict.claims.root}. Isolation of this kind: {verdict.claims.isolation}.")
    for number, device in enumerate(verdict.devices):
        out.print(f"gpu{number}, vouched for by: {device.root}. Isolation of its own: {device.isolation}.")
    out.print(f"Policy {verdict.policy_sha256.hex()[:16]}. Nothing here is audited; docs/attestation.md says what")
    out.print("evidence does not show.")


def read_evidence(file: Path, kind: str | None) -> Evidence | EvidenceSet:
    """The evidence in ``file``, or the bare report of ``kind``; unverified."""
    data = _read(file)
    return Evidence(kind, data) if kind else decode_any(data)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(LARGEST_EVIDENCE + 1)
    except OSError as error:
        raise CallerError(f"{file} cannot be read ({error.strerror})", hint="Name a file that is there") from None
    if len(data) > LARGEST_EVIDENCE:
        raise CallerError(f"{file} is over {LARGEST_EVIDENCE} bytes", hint="Check that it is the file you meant")
    return data


def read_time(text: str) -> datetime:
    """The time that ``--at`` names, in UTC, or ``CallerError``."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CallerError(f"--at {text[:40]!r} is no time", hint="Write it as 2026-06-01T12:00Z") from None
    if at.tzinfo is None:
        raise CallerError(f"--at {text[:40]!r} names no time zone", hint="Add Z for UTC, as 2026-06-01T12:00Z")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise CallerError(f"--at {text[:40]!r} is no time in UTC", hint="Write it as 2026-06-01T12:00Z") from None
