"""``quatrefoil audit cosign``: be a witness of a log whose folder one can read."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.audit.witness_folder import cosign, log_source
from quatrefoil.cli import archives
from quatrefoil.errors import HostError
from quatrefoil.output import add_json_option, console, only_json, require_writable, write_json
from quatrefoil.tlog import FolderSource
from quatrefoil.transport import TrustAnchor, files, system_clock

NAME = "cosign"
HELP = "cosign a log that only grows, as a witness of it: a server's, before receipts are drawn from it"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", type=Path, metavar="DIR", help="a party's --state folder, or the log folder in it")
    parser.add_argument("--identity", required=True, type=Path, metavar="DIR", help="of the witness, as certified")
    archives.add_root(parser)
    parser.add_argument(
        "--state", required=True, type=Path, metavar="DIR", help="what the witness remembers; never go back to a copy"
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="one that others have cosigned (default: the log's newest)"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the cosigned checkpoint to write")
    parser.add_argument(
        "--statement", type=Path, metavar="FILE", help="also write the signed statement of the witness's key"
    )
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    for file in (options.out, options.statement):
        if file is not None and file.exists():
            raise HostError(f"{file} exists already", hint="Name another place; nothing is overwritten")
    trust = TrustAnchor.load(options.root)
    identity = archives.signer(options.identity, trust)
    given = None if options.checkpoint is None else files.read(options.checkpoint, "checkpoint")
    source = FolderSource(log_source(options.log))
    found = cosign(source, given, options.state, identity=identity, trust=trust, clock=system_clock)
    files.write_new(options.out, found.note)
    if options.statement is not None:
        files.write_new(options.statement, found.statement)
    content = {"witness": found.name, "size": found.size, "before": found.before}
    write_json(options.json, "quatrefoil.audit-cosign/1", content)
    if not only_json(options):
        said = f"{options.out}: {found.name} cosigned {found.size} entries, {found.size - found.before} of them new"
        console().print(said, markup=False, soft_wrap=True)
