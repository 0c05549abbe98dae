"""``quatrefoil bench proof``: proofs of bounded updates, beside the encryption and a training."""

from __future__ import annotations

import argparse

from quatrefoil.bench.proof import measure_proof
from quatrefoil.cli import output


def add_options(parser: argparse.ArgumentParser) -> None:
    for name, default, metavar, what in (
        ("--parameters", 1_048_576, "N", "values in an update"),
        ("--threads", 1, "T", "threads the kernel may use"),
    ):
        parser.add_argument(name, type=int, default=default, metavar=metavar, help=f"{what} (default: {default})")
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()
    row = measure_proof(args.parameters, args.threads, lambda step: console.print(step))
    output.write_json(args.json, "quatrefoil.bench-proof/1", row)
    if output.only_json(args):
        return
    cells = [(name.replace("_", " "), _shown(value)) for name, value in row.items()]
    title = f"Proof of a bounded update of {args.parameters} float32"
    output.console().print(output.table(title, ("figure", "value"), cells))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
