"""``quatrefoil bench planner``: what the planner predicts beside what runs."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.bench.planner import REACH, measure_planner
from quatrefoil.bench.runs.cases import CASES
from quatrefoil.cli.bench_cases import add_case_options
from quatrefoil.planner import Costs

WHAT = "what the planner predicts beside what runs: phases, and proofs of answers"


def add_options(parser: argparse.ArgumentParser) -> None:
    add_case_options(parser)
    parser.add_argument(
        "--seconds", type=float, default=20.0, metavar="S", help="about how long costs are measured (default: 20)"
    )
    parser.add_argument(
        "--every-route", action="store_true", help="run phases under one choice of layers for all of them as well"
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()
    found = measure_planner(
        args.workload or list(CASES),
        args.repeats,
        lambda step: console.print(step, markup=False),
        seconds=args.seconds,
        quick=args.quick,
        every_route=args.every_route,
        costs=Costs.load(args.costs) if args.costs else None,
    )
    output.write_json(args.json, "quatrefoil.bench-planner/1", found)
    if output.only_json(args):
        return
    out = output.console()
    out.print(f"Condition: {found['condition']}.", markup=False)
    names = ("phase", "backends", "predicted ms", "ran in ms", "ratio", "bytes, ratio", "within")
    for one in found["workloads"]:
        rows = [row for row in found["rows"] if row["workload"] == one["workload"]]
        cells = [_cells(row) for row in rows]
        together = (
            "as routed",
            f"{one['predicted_ms']:.2f}",
            f"{one['measured_ms']:.2f}",
            _ratio(one["ratio"]),
            "",
            _said(one),
        )
        cells.append(("together", *together))
        out.print(output.table(f"{one['workload']} under {one['policy']}", names, cells))
        out.print(f"Planned in {one['planning_ms']:.1f} ms, the slowest of 50.", markup=False)
    out.print(f"{found['within']} of {found['compared']} predictions are within {REACH:.0%} of the run.", markup=False)
    out.print("*: beside what protection added to the same work in the clear, not all of the phase.", markup=False)
    show_answers(found["answers"])


def show_answers(answers: dict[str, Any]) -> None:
    """Proofs of answers, a line for each figure."""
    out = output.console()
    if answers["problem"]:
        out.print(f"Proofs of answers are not compared: {answers['problem']}.", markup=False)
        return
    names = ("model", "batch", "columns", "of weights", "figure", "predicted", "measured", "ratio", "within")
    cells = []
    for row in answers["rows"]:
        sizes = row["committed"]
        shape = (
            row["model"],
            f"{row['rows']:,}",
            f"{sizes['columns']:,} of {sizes['entries']:,}",
            f"{sizes['weights_columns']:,} of {sizes['weights_entries']:,}",
        )
        for figure, name, form in (
            ("prove_ms", "prove ms", ",.2f"),
            ("verify_ms", "verify ms", ",.2f"),
            ("proof_bytes", "bytes", ",.0f"),
        ):
            predicted, measured = (format(row[key], form) for key in (f"predicted_{figure}", figure))
            said = _said({"within": row[f"{figure}_within"]})
            cells.append((*shape, name, predicted, measured, _ratio(row[f"{figure}_ratio"]), said))
            shape = ("", "", "", "")
    out.print(output.table("Proofs of answers, in one thread", names, cells))
    out.print(
        f"{answers['within']} of {answers['compared']} predictions of proofs of answers are within {REACH:.0%}; they "
        "are not among those above.",
        markup=False,
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    mark = "" if row["compared_with"] == "all of the phase" else " *"
    return (
        row["phase"],
        " + ".join(row["backends"]) or "-",
        f"{row['predicted_ms']:.2f}",
        f"{row['measured_ms']:.2f}{mark}",
        _ratio(row["ratio"]),
        _ratio(row["bytes_ratio"]),
        _said(row),
    )


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _said(row: dict[str, Any]) -> str:
    return {True: "yes", False: "NO", None: "-"}[row["within"]]
