"""By which terms samples of receipts are drawn and judged, and with which proofs, on a command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

from quatrefoil.audit import witnesses
from quatrefoil.audit.sampling import Terms
from quatrefoil.cli.auditing import moment
from quatrefoil.cli.hexadecimal import octets
from quatrefoil.errors import CallerError
from quatrefoil.offline.results import ENDING
from quatrefoil.parties.arguments import count
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


def add_number(parser: argparse.ArgumentParser, *, required: bool, count_help: str) -> None:
    """How many receipts: one of ``--count`` and ``--fraction``."""
    number = parser.add_mutually_exclusive_group(required=required)
    number.add_argument("--count", type=count, metavar="N", help=count_help)
    number.add_argument("--fraction", type=share, metavar="P", help="or which share of them, as 0.01; rounded up")


def share(text: str) -> Fraction:
    """A share above 0 and up to 1, for argparse, as it is written: no rounding moves the number that is drawn."""
    try:
        found = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is no share like 0.01") from None
    if not 0 < found <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and up to 1")
    return found


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


def proof_files(given: Sequence[Path]) -> list[Path]:
    """Files of proofs; of a folder that ``proof prove --batch`` filled, all that are in it."""
    found = list[Path]()
    for place in given:
        inside = sorted(place.glob(f"*{ENDING}")) if place.is_dir() else [place]
        if not inside:
            raise CallerError(
                f"{place} holds no proofs of answers", hint="Name a file, or the folder of `proof prove --batch`"
            )
        found += inside
    return found


def terms_of(options: argparse.Namespace, keys: tuple[VerifierKey, ...], number: int) -> Terms:
    earliest = None if options.not_before is None else options.not_before.astimezone(UTC)
    challenge = None if options.challenge is None else octets("--challenge", options.challenge)
    return Terms(keys, number, options.after, earliest, challenge)


__all__ = ["add_number", "add_terms", "proof_files", "read_witnesses", "terms_of"]
