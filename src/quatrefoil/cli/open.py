"""``quatrefoil open``: the content of a sealed file, once all of it has been verified."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from quatrefoil.cli import archives
from quatrefoil.errors import CallerError
from quatrefoil.transport import TrustAnchor, sealed, system_clock

NAME = "open"
HELP = "verify a sealed file and write what is in it"


def configure(parser: argparse.ArgumentParser) -> None:
    archives.add_file(parser, "a file that `quatrefoil seal` wrote")
    parser.add_argument("--key", required=True, type=Path, metavar="DIR", help="the folder of your sealing key")
    archives.add_root(parser)
    archives.add_context(parser)
    archives.add_judgement(parser)
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="new file for the content ('-': see --release-early)"
    )
    parser.add_argument(
        "--release-early",
        action="store_true",
        help="with --out -: write content before the end is verified; throw it away if the exit code is not 0",
    )


def run(args: argparse.Namespace) -> None:
    streamed = str(args.out) == "-"
    if streamed != args.release_early:
        raise CallerError(
            "--out - and --release-early go together: a stream is read before the end and its signature are verified",
            hint="Name a file with --out, or give both and heed the exit code",
        )
    key, trust = sealed.RecipientKey.load(args.key), TrustAnchor.load(args.root)
    with archives.reading(args.file) as source:
        if streamed:
            found = sealed.open_early(
                source,
                sys.stdout.buffer,
                key=key,
                trust=trust,
                sender=args.sender,
                context=args.context.encode(),
                judged=archives.judged(args),
                clock=system_clock,
            )
            sys.stdout.buffer.flush()
        else:
            found = sealed.open_sealed(
                source,
                args.out,
                key=key,
                trust=trust,
                sender=args.sender,
                context=args.context.encode(),
                judged=archives.judged(args),
                clock=system_clock,
            )
    rows = [
        ("sealed by", archives.signed_by(found.sender, found.sealed_at)),
        ("recipients chosen by", archives.signed_by(found.wrapper, found.wrapped_at)),
        ("recipients", str(len(found.recipients))),
        ("bytes of content", f"{found.size:,}"),
    ]
    archives.show("Standard output" if streamed else f"Opened {args.out}", rows, on_error_output=streamed)
