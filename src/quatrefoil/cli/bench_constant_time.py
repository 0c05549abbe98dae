"""``quatrefoil bench constant-time``: whether times tell secrets apart, by a t-test."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.bench.constant_time import CONTROL, LEAK, SUSPICIOUS, measure_constant_time

WHAT = "whether the time of a step tells its secrets apart"
SCHEMA = "quatrefoil.bench-constant-time/1"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--measurements", type=int, default=10_000, metavar="M", help="times taken of each step (default: 10000)"
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=run)


def run(options: argparse.Namespace) -> None:
    console = output.progress_console()
    rows = measure_constant_time(options.measurements, lambda step: console.print(step, markup=False))
    output.write_json(options.json, SCHEMA, {"suspicious": SUSPICIOUS, "leak": LEAK, "rows": rows})
    if output.only_json(options):
        return
    title = f"Largest |t|, a fixed secret against random ones; suspicious from {SUSPICIOUS}, a leak from {LEAK:.0f}"
    columns = ("step", "fixed secret", "copy", "|t|", "verdict", "median ticks, fixed", "random")
    drawn = output.table(title, columns, [_cells(row) for row in rows])
    for column in drawn.columns[1:3]:
        column.justify = "left"
    shown = output.console()
    shown.print(drawn)
    blind = [row["level"] for row in rows if row["step"] == CONTROL.step and row["verdict"] != "leak"]
    if blind:
        shown.print(f"The control was not found at {', '.join(blind)}: this run saw nothing. Take more measurements.")
    shown.print("Not claimed: processors may be slower on subnormal values. A test that finds no leak is no proof.")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    said = row["verdict"] if row["claimed"] or row["step"] == CONTROL.step else f"{row['verdict']} (not claimed)"
    ticks = (f"{row['ticks_fixed']:.0f}", f"{row['ticks_random']:.0f}")
    return (row["step"], row["fixed"], row["level"], f"{row['t']:.1f}", said, *ticks)
