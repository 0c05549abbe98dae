"""``quatrefoil rewrap``: a sealed file for other recipients; or a classical archive, sealed at last."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.cli import archives
from quatrefoil.transport import TrustAnchor, files, sealed, system_clock

NAME = "rewrap"
HELP = "wrap a sealed file to other recipients without touching its content"


def configure(parser: argparse.ArgumentParser) -> None:
    archives.add_file(parser, "a file that `quatrefoil seal` wrote")
    parser.add_argument("--key", required=True, type=Path, metavar="DIR", help="a sealing key that the file opens with")
    archives.add_recipients(parser)
    archives.add_identity(parser)
    archives.add_root(parser)
    archives.add_judgement(parser)
    archives.add_new_file(parser, "the rewrapped file")


def run(args: argparse.Namespace) -> None:
    archives.no_stdout(args.out)
    trust = TrustAnchor.load(args.root)
    wrapper, chosen = archives.signer(args.identity, trust), archives.recipients(args, trust)
    key = sealed.RecipientKey.load(args.key)
    with archives.reading(args.file) as source, sealed.new_file(args.out, mode=files.PUBLIC) as sink:
        done = sealed.rewrap(
            source,
            sink,
            key=key,
            recipients=chosen,
            wrapper=wrapper,
            trust=trust,
            sender=args.sender,
            minimum=sealed.named(args.minimum),
            judged=archives.judged(args),
            clock=system_clock,
        )
    gone = set(done.former) - {one.fingerprint for one in chosen}
    rows = [("content of", f"{done.sender.name} ({done.sender.role})"), ("wrapped before by", done.wrapper.name)]
    rows += [("can read it", archives.named(one)) for one in chosen]
    rows += [("no longer named", fingerprint.hex()[:16]) for fingerprint in sorted(gone)]
    archives.show(f"Rewrapped {args.out}", rows)
    if gone:
        print("Whoever is no longer named can still read every copy of the old file.")
