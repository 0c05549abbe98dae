"""``quatrefoil bench score``: encrypted scoring beside TenSEAL's vectors and beside plain numpy."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil.bench.score import measure_score
from quatrefoil.cli import output

WHAT = "encrypted scoring of a linear model beside TenSEAL's vectors and beside numpy"
_COLUMNS = ("encrypt_ms", "compute_ms", "decrypt_ms", "total_ms", "over_plain", "over_ours", "sent_bytes")


def add_options(parser: argparse.ArgumentParser) -> None:
    for name, default, metavar, what in (
        ("--rows", 10_000, "N", "rows to score"),
        ("--columns", 30, "K", "columns of each"),
        ("--repeats", 3, "R", "runs of each way, of which the best counts"),
    ):
        parser.add_argument(name, type=int, default=default, metavar=metavar, help=f"{what} (default: {default})")
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()
    rows = measure_score(args.rows, args.columns, args.repeats, lambda step: console.print(step, markup=False))
    output.write_json(args.json, "quatrefoil.bench-score/1", {"rows": rows})
    if output.only_json(args):
        return
    title = f"{args.rows} rows x {args.columns} columns scored, one thread"
    names = ("way", *(column.replace("_", " ") for column in _COLUMNS), "error", "error bound")
    cells = [
        (row["way"], *(_shown(row.get(column)) for column in (*_COLUMNS, "max_abs_error", "error_bound")))
        for row in rows
    ]
    shown = output.console()
    shown.print(output.table(title, names, cells))
    if not any(row["way"].startswith("tenseal") for row in rows):
        shown.print("Peer tenseal: not installed, so not measured (pip install 'quatrefoil[bench]').", markup=False)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3g}" if value < 100 else f"{value:.0f}"
