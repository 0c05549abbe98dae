"""By which terms samples of receipts are drawn and judged, on a command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from quatrefoil.audit import witnesses
from quatrefoil.audit.sampling import Terms
from quatrefoil.cli.auditing import moment
from quatrefoil.cli.hexadecimal import octets
from quatrefoil.tlog import VerifierKey
from quatrefoil.transport import TrustAnchor, files


def add_terms(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """All terms but the number of receipts."""
    parser.add_argument(
        "--witness",
        type=Path,
        metavar="FILE",
        action="append",
        required=required,
        help="a witness that has to have cosigned: its signed statement, or its verifier key; once for each",
    )
    parser.add_argument(
        "--challenge",
        metavar="HEX",
        help="16 to 64 bytes that the auditor drew after it was shown the checkpoint: nobody can try out samples then",
    )
    parser.add_argument(
        "--not-before", type=moment, metavar="TIME", help="refuse cosignatures of before this agreed time"
    )
    parser.add_argument(
        "--after", type=int, default=0, metavar="SIZE", help="only keysets that ended from this entry on (default: 0)"
    )


def read_witnesses(given: Sequence[Path], trust: TrustAnchor, at: datetime) -> tuple[VerifierKey, ...]:
    """Their keys: a statement is verified under ``trust``, a key is taken as it stands."""
    found = []
    for file in given:
        content = files.read(file, "witness")
        try:
            text = content.decode("ascii").strip()
        except UnicodeDecodeError:
            text = ""
        if text:
            found.append(VerifierKey.decode(text))
        else:
            found.append(witnesses.verify(content, trust, clock=lambda: at).key)
    return tuple(found)


def terms_of(options: argparse.Namespace, keys: tuple[VerifierKey, ...], number: int) -> Terms:
    earliest = None if options.not_before is None else options.not_before.astimezone(UTC)
    challenge = None if options.challenge is None else octets("--challenge", options.challenge)
    return Terms(keys, number, options.after, earliest, challenge)


__all__ = ["add_terms", "read_witnesses", "terms_of"]
