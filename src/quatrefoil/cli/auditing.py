"""What the commands under ``quatrefoil audit`` share: which evidence, and whom the auditor trusts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from quatrefoil.audit import PartyLog
from quatrefoil.audit.evidence import Evidence
from quatrefoil.audit.trusted import Trusted
from quatrefoil.errors import CallerError
from quatrefoil.output import progress_console
from quatrefoil.transport import system_clock


def add_log_argument(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument(
        "log",
        type=Path,
        metavar="DIR|BUNDLE",
        nargs="?" if optional else None,
        help="a party's --state folder, the log folder in it, or a bundle",
    )


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="the consortium's root certificate, its crl.pem beside it (default: those that lie with the evidence)",
    )


def add_at_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at", type=moment, metavar="TIME", help="judge as of this time, ISO 8601, UTC without a zone (default: now)"
    )


def add_party_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--party", metavar="ROLE-NAME", help="of a bundle, only this party's log")


@contextmanager
def open_logs(options: argparse.Namespace) -> Iterator[dict[str, PartyLog]]:
    """The logs in the evidence by label, whose owners and checkpoints have been verified."""
    at = options.at or system_clock()
    with Evidence.open(options.log) as evidence:
        trusted = Trusted.found(evidence.roots, evidence.lists, options.trust)
        warn_of_root(trusted)
        labels = [label for label in evidence.logs if options.party in (None, label)]
        if not labels:
            raise CallerError(
                f"there is no log of {options.party} in {options.log}",
                hint=f"It holds those of {', '.join(evidence.logs)}"
                if "" not in evidence.logs
                else "Leave --party out",
            )
        yield {label: PartyLog(evidence.logs[label], trusted.anchor, clock=lambda: at) for label in labels}


def warn_of_root(trusted: Trusted | None) -> None:
    """Say, on standard error and where nobody overlooks it, that a root came along with what it is to prove."""
    if trusted is not None and not trusted.pinned:
        progress_console().print(
            "The root certificate came along with the evidence: compare its SHA-256 with one from elsewhere, or give "
            f"--trust. {', '.join(trusted.fingerprints)}",
            style="bold yellow",
        )


def moment(text: str) -> datetime:
    """A time, for argparse."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2030-01-31T12:00") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
