"""``quatrefoil bench scale``: unit costs of a silo and of a value, and rounds of many silos predicted from them."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.bench.scale import QUICK, measure_scale

WHAT = "what a silo costs a server, to 10,000 silos and a billion values, and what breaks first"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quick", action="store_true", help="few silos and small models, to see that all works: no figures to compare"
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()
    result = measure_scale(lambda step: console.print(step, markup=False), QUICK if args.quick else None)
    output.write_json(args.json, "quatrefoil.bench-scale/2", result)
    if not output.only_json(args):
        _show(result)


def _show(result: dict[str, Any]) -> None:
    shown = output.console()
    units = [
        (line["unit"].replace("_", " "), f"{line['fixed']:,.3f}", f"{line['per_value'] * 1e6:,.3f}")
        for line in result["units"]
    ]
    shown.print(output.table("Unit costs, measured here", ("", "fixed", "a million values"), units))
    names = ("silos x values", "groups", "server ms a silo", "on 16 cores s", "silo s", "MB a silo", "at 1 Gbit/s s")
    rows = [
        (
            f"{row['silos']:,} x {row['values']:,}",
            str(row["groups"]),
            f"{row['server_ms_per_silo']:,.1f}",
            f"{row['on_16_cores_s']:,.1f}",
            f"{row['silo_s']:,.2f}",
            f"{row['mb_from_silo']:,.1f}",
            f"{row['wire_s']:,.0f}",
        )
        for row in result["rows"]
    ]
    shown.print(output.table("A round, predicted", names, rows))
    for row in result["rows"]:
        for limit in row["breaks"]:
            shown.print(f"{row['silos']:,} x {row['values']:,} breaks: {limit}", markup=False)
    limits = [(one["limit"], _most(one["values"]), _most(one["silos"])) for one in result["limits"]]
    shown.print(output.table("Limits", ("", "values", "silos"), limits))


def _most(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
