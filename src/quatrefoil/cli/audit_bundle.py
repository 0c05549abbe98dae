"""``quatrefoil audit bundle``: what a third party needs to check, in one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.audit.bundling import make_bundle
from quatrefoil.cli.sampling import proof_files
from quatrefoil.output import add_json_option, console, only_json, require_writable, write_json

NAME = "bundle"
HELP = "put the logs of one or several parties into one file for an auditor"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("states", nargs="+", type=Path, metavar="STATE", help="a party's --state folder")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="the job's policy file, to put beside the logs")
    parser.add_argument(
        "--sample", type=Path, metavar="FILE", action="append", default=[], help="a sample of receipts to add"
    )
    parser.add_argument(
        "--proof",
        type=Path,
        metavar="P",
        action="append",
        default=[],
        help="a proof of answers to add, or a folder of them",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the bundle to make")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    proofs = proof_files(options.proof)
    made = make_bundle(options.states, options.out, options.policy, samples=options.sample, proofs=proofs)
    content = {"logs": made.logs, "files": made.files, "bytes": made.size}
    write_json(options.json, "quatrefoil.audit-bundle/1", content)
    if not only_json(options):
        logs = ", ".join(f"{label} ({size} entries)" for label, size in made.logs.items())
        console().print(f"{options.out}: {logs}; {made.size} bytes, no keys", markup=False, soft_wrap=True)
