"""``quatrefoil bench routing``: whole workloads routed phase by phase, beside one choice of layers for all phases."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.bench.routing import measure_routing
from quatrefoil.bench.runs.cases import CASES
from quatrefoil.cli.bench_cases import add_case_options
from quatrefoil.planner import Costs

WHAT = "whole workloads routed phase by phase, beside one choice of layers for all phases"


def add_options(parser: argparse.ArgumentParser) -> None:
    add_case_options(parser)
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()
    found = measure_routing(
        args.workload or list(CASES),
        args.repeats,
        lambda step: console.print(step, markup=False),
        quick=args.quick,
        costs=Costs.load(args.costs) if args.costs else None,
    )
    output.write_json(args.json, "quatrefoil.bench-routing/1", found)
    if output.only_json(args):
        return
    out = output.console()
    out.print(f"Condition: {found['condition']}.", markup=False)
    for row in found["rows"]:
        _show(row, out)
    for row in found["controls"]:
        names = ", ".join(phase["phase"] for phase in row["phases"])
        out.print(f"Nothing to mix ({row['workload']}: {names}): saved {_share(row['saved_fraction'])}.", markup=False)


def _show(row: dict[str, Any], out: Any) -> None:
    choices = _different(row)
    cells = [
        (
            phase["phase"],
            "\n+ ".join(phase["backends"]) or "-",
            f"{phase['plain_ms']:.1f}",
            f"{phase['routed_ms']:.1f}",
            *(f"{phase['blanket'][choice]['ms']:.1f}" for choice in choices),
        )
        for phase in row["phases"]
    ]
    totals = ("together", "", f"{row['plain_ms']:.1f}", f"{row['routed_ms']:.1f}")
    cells.append((*totals, *(f"{row['blanket_ms'][choice]:.1f}" for choice in choices)))
    title = f"{row['workload']} under {row['policy']}, milliseconds"
    out.print(
        output.table(
            title,
            ("phase", "routed to", "plain", "routed", *(choice.replace("+", "\n+ ") for choice in choices)),
            cells,
        )
    )
    out.print(f"Answered everywhere: {', '.join(row['threats'])}.", markup=False)
    for name, shape in row["shape"].items():
        out.print(f"  {name}: {shape}", markup=False)
    for choice, what in row["not_one_choice"].items():
        same = ", which is the route itself" if what["routed"] else ""
        taken = ", ".join(what["takes"])
        out.print(f"Not one choice for all: {choice} takes {taken} besides: {what['ms']:.1f} ms{same}.", markup=False)
    for choice, left in row["unanswered"].items():
        out.print(f"Not run, leaves open: {choice}: {', '.join(left)}.", markup=False)
    for choice, why in row["cannot"].items():
        more = f", and {len(why) - 1} more" if len(why) > 1 else ""
        out.print(f"Cannot run: {choice}: {why[0]}{more}.", markup=False)
    if row["saved_fraction"] is None:
        out.print("No one choice of layers answers the same threats: nothing to compare with.")
    else:
        out.print(
            f"Of what {row['cheapest']} adds to the work in the clear, routing saves {_share(row['saved_fraction'])}.",
            markup=False,
        )


def _different(row: dict[str, Any]) -> list[str]:
    """Choices that differ in some phase: the smallest of those that are alike stands for them."""
    found: dict[tuple[tuple[str, ...], ...], str] = {}
    for choice in row["blanket_ms"]:
        found.setdefault(tuple(tuple(p["blanket"][choice]["backends"]) for p in row["phases"]), choice)
    return list(found.values())


def _share(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f} %"
