"""``quatrefoil bench audit``: the log's appends and proofs, and the check of a whole bundle."""

from __future__ import annotations

import argparse

from quatrefoil import output
from quatrefoil.bench.audit import measure_audit

WHAT = "appends to the log, proofs, and the check of a whole bundle"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--leaves", type=int, default=1_000_000, metavar="N", help="entries of the bundle (default: 1000000)"
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    output.require_writable(args.json)
    console = output.progress_console()
    row = measure_audit(args.leaves, lambda step: console.print(step))
    output.write_json(args.json, "quatrefoil.bench-audit/1", row)
    if output.only_json(args):
        return
    cells = [(name.replace("_", " "), _shown(value)) for name, value in row.items() if name != "peer"]
    console = output.console()
    console.print(output.table(f"A log of {args.leaves} entries", ("figure", "value"), cells))
    console.print("Peer: none in Python. Plain: the same leaves appended to a file, with an fsync an append.")


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
