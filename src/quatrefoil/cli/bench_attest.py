"""``quatrefoil bench attest``: what verifying evidence of each kind costs."""

from __future__ import annotations

import argparse

from quatrefoil.bench.attest import measure_attestation
from quatrefoil.cli import output

WHAT = "verification and appraisal of evidence, with and without a remembered chain"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repeats", type=int, default=50, metavar="N", help="repetitions, of which the best counts (default: 50)"
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()
    rows = measure_attestation(args.repeats, lambda step: console.print(step))
    output.write_json(args.json, "quatrefoil.bench-attest/1", {"rows": rows})
    if output.only_json(args):
        return
    columns = ("kind", "bytes", "verify ms", "cached ms", "remembered")
    cells = [
        (r["kind"], str(r["evidence_bytes"]), f"{r['verify_ms']:.2f}", f"{r['cached_ms']:.2f}", str(r["remembered"]))
        for r in rows
    ]
    output.console().print(output.table(f"Evidence, best of {args.repeats}", columns, cells))
