"""``quatrefoil bench committee``: keys shared among a committee, beside one at a keeper."""

from __future__ import annotations

import argparse

from quatrefoil.bench.committee import measure_committee
from quatrefoil.cli import output
from quatrefoil.contracts import Threshold


def add_options(parser: argparse.ArgumentParser) -> None:
    for name, default, what in (
        ("--parameters", 1_048_576, "values in an update"),
        ("--members", 8, "members of the committee"),
        ("--silent", 2, "members who may not answer"),
        ("--liars", 1, "others who may answer anything"),
        ("--colluding", 3, "members who may put together what they hold"),
    ):
        parser.add_argument(name, type=int, default=default, metavar="N", help=f"{what} (default: {default})")
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()
    threshold = Threshold.fitting(members=args.members, silent=args.silent, liars=args.liars, colluding=args.colluding)
    row = measure_committee(args.parameters, threshold, args.liars, lambda step: console.print(step, markup=False))
    output.write_json(args.json, "quatrefoil.bench-committee/1", row)
    if output.only_json(args):
        return
    cells = [
        (name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else f"{value}")
        for name, value in row.items()
    ]
    title = f"Keys shared among {threshold.members}, beside one at a keeper: an update of {args.parameters} float32"
    output.console().print(output.table(title, ("figure", "value"), cells))
