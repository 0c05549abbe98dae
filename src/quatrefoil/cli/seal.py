"""``quatrefoil seal``: a file that only chosen recipients can read."""

from __future__ import annotations

import argparse

from quatrefoil.cli import archives
from quatrefoil.transport import TrustAnchor, files, sealed, system_clock

NAME = "seal"
HELP = "encrypt a file to recipients' hybrid keys, signed, for long keeping"


def configure(parser: argparse.ArgumentParser) -> None:
    archives.add_file(parser, "what to seal")
    archives.add_recipients(parser)
    archives.add_identity(parser)
    archives.add_root(parser)
    archives.add_context(parser)
    archives.add_new_file(parser, "the sealed file")


def run(args: argparse.Namespace) -> None:
    archives.no_stdout(args.out)
    trust = TrustAnchor.load(args.root)
    sender, chosen = archives.signer(args.identity, trust), archives.recipients(args, trust)
    with archives.reading(args.file) as source, sealed.new_file(args.out, mode=files.PUBLIC) as sink:
        done = sealed.seal(
            source,
            sink,
            recipients=chosen,
            sender=sender,
            context=args.context.encode(),
            minimum=sealed.named(args.minimum),
            clock=system_clock,
        )
    rows = [("sealed by", f"{sender.name} ({sender.role})"), ("bytes of content", f"{done.size:,}")]
    rows += [("can read it", archives.named(one)) for one in chosen]
    archives.show(f"Sealed {args.out}", [*rows, ("payload", done.header.hex())])
