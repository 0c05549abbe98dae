"""What the commands on sealed files share: who acts, whom files are for, and where bytes come from and go."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from rich.markup import escape

from quatrefoil import output
from quatrefoil.errors import CallerError, HostError, MessageRefused
from quatrefoil.transport import Identity, TrustAnchor, files, sealed, system_clock
from quatrefoil.transport.credentials import require_own
from quatrefoil.transport.statement import Signed
from quatrefoil.wire import type_of

_SUITES = [suite.name for suite in sealed.SUITES]


def add_file(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help=f"{what} ('-': standard input)")


def add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", required=True, type=Path, metavar="FILE", help="the consortium's root certificate")


def add_identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--identity", required=True, type=Path, metavar="DIR", help="the party that signs")


def add_recipients(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        required=True,
        action="append",
        type=Path,
        metavar="CERT_OR_KEY",
        help="who is to read it: a sealing certificate, or the folder of a sealing key of your own; repeat for more",
    )
    add_minimum(parser)


def add_minimum(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--minimum",
        choices=_SUITES,
        default=_SUITES[0],
        help="the weakest suite that a recipient's key may have (default: %(default)s)",
    )


def add_suite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--suite", choices=_SUITES, default=_SUITES[0], help="which keys: X25519 + ML-KEM-768, or P-384 + ML-KEM-1024"
    )


def add_context(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--context",
        metavar="TEXT",
        default="",
        help="what the file is for, agreed by both sides; it opens for no other",
    )


def add_new_file(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help=f"new file for {what}")


def add_judgement(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="sender", metavar="NAME", help="refuse the file unless this party sealed it (default: any party)"
    )
    parser.add_argument(
        "--at-claimed-time",
        action="store_true",
        help="judge certificates at the time the signers claim, for files older than the certificates",
    )


def judged(args: argparse.Namespace) -> sealed.Judged:
    return sealed.Judged.AT_CLAIMED_TIME if args.at_claimed_time else sealed.Judged.NOW


def signer(folder: Path, trust: TrustAnchor) -> Identity:
    """The identity in ``folder``; ``HostError`` where every other party would refuse what it signs."""
    identity = Identity.load(folder)
    require_own(identity, trust, system_clock())
    return identity


def recipients(args: argparse.Namespace, trust: TrustAnchor) -> list[sealed.Recipient]:
    """Whom ``--to`` names: certificates verified against the root, keys of one's own by having them."""
    found = []
    for path in args.to:
        if path.is_dir():
            found.append(sealed.RecipientKey.load(path).recipient)
        else:
            found.append(certified(path, trust))
    return found


def certified(file: Path, trust: TrustAnchor) -> sealed.Recipient:
    """Whom the sealing certificate in ``file`` names."""
    content = files.read(file, "sealing certificate")
    try:
        if type_of(content) != Signed.TYPE:
            raise MessageRefused("it is another message", hint="")
    except MessageRefused:
        raise HostError(
            f"{file} is no sealing certificate", hint="Name one that `quatrefoil seal-key` wrote, or a key's folder"
        ) from None
    return sealed.verify_recipient(content, trust, clock=system_clock)


@contextlib.contextmanager
def reading(file: Path) -> Iterator[BinaryIO]:
    """The bytes of ``file``, or standard input for ``-``."""
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise HostError(f"{file} cannot be read ({error.strerror})", hint="Check the path and its rights") from None
    with stream:
        try:
            yield stream
        except BrokenPipeError:
            raise
        except OSError as error:  # what is written says by itself which file it was
            raise HostError(f"{file} cannot be read ({error.strerror})", hint="Check the disk") from None


def read_whole(file: Path, largest: int, *, hint: str) -> bytes:
    """All bytes of ``file`` or of standard input; ``HostError`` with ``hint`` where there are more than ``largest``."""
    with reading(file) as stream:
        data = stream.read(largest + 1)
    if len(data) > largest:
        raise HostError(f"{file} is over {largest} bytes", hint=hint)
    return data


def no_stdout(out: Path) -> None:
    """Refuse ``--out -``, which would otherwise make a file of that name."""
    if str(out) == "-":
        raise CallerError("a file whose beginning is written before its end is known", hint="Name a file with --out")


def show(title: str, rows: list[tuple[str, str]], *, on_error_output: bool = False) -> None:
    console = output.progress_console() if on_error_output else output.console()
    console.print(output.table(escape(title), ("what", "value"), [(what, escape(value)) for what, value in rows]))


def signed_by(who: sealed.Signer, at: datetime) -> str:
    return f"{who.name} ({who.role}), who says {at:%Y-%m-%d %H:%M} UTC"


def named(recipient: sealed.Recipient) -> str:
    whose = f"{recipient.name} ({recipient.role})" if recipient.role else recipient.name
    return f"{whose}, {recipient.suite.name}, {recipient.fingerprint.hex()[:16]}"
