"""``quatrefoil bench committee``: keys shared among a committee, beside one at a keeper."""

from __future__ import annotations

import argparse

from quatrefoil import output
from quatrefoil.bench.committee import SIZES, measure_committee, measure_sizes
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
    parser.add_argument(
        "--sizes", action="store_true", help=f"measure committees of {', '.join(map(str, SIZES))} members besides"
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()
    threshold = Threshold.fitting(members=args.members, silent=args.silent, liars=args.liars, colluding=args.colluding)

    def say(step: str) -> None:
        console.print(step, markup=False)

    rows = [measure_committee(args.parameters, threshold, args.liars, say)]
    if args.sizes:
        rows += measure_sizes(args.parameters, SIZES, say)
    output.write_json(args.json, "quatrefoil.bench-committee/2", {"rows": rows})
    if output.only_json(args):
        return
    cells = [(name.replace("_", " "), *(_shown(row[name]) for row in rows)) for name in rows[0]]
    title = f"Keys shared among a committee, beside one at a keeper: an update of {args.parameters} float32"
    columns = ("figure", *(f"of {row['members']}" for row in rows))
    output.console().print(output.table(title, columns, cells))


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"
