"""What the page says of routing beside the times: the condition, every phase, and what each blanket choice lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quatrefoil.audit.report.markup import Content, Markup, element, join, table
from quatrefoil.bench.report.cells import cell
from quatrefoil.bench.report.finding import number, rows

NOTHING = Markup("")
MOST_CHOICES = 40

Result = Mapping[str, Any]


def condition(result: Result) -> Markup:
    """Under what it was planned: stands above the figures."""
    said = result.get("condition")
    if not isinstance(said, str):
        return NOTHING
    return element("section", element("b", "Condition.", class_="warn"), element("p", f"{cell(said)}."), class_="note")


def routes(result: Result) -> Markup:
    """A table of phases for each workload, and what the choices lack that have no time."""
    return join([*(_workload(row) for row in rows(result, "rows")), _controls(rows(result, "controls"))])


def _workload(row: Result) -> Markup:
    shapes = row.get("shape") if isinstance(row.get("shape"), Mapping) else {}
    lines: list[list[Content]] = [
        [
            cell(phase.get("phase")),
            cell(shapes.get(str(phase.get("phase")))) if isinstance(shapes, Mapping) else "-",
            cell(phase.get("backends")),
            cell(phase.get("plain_ms"), ",.2f"),
            cell(phase.get("routed_ms"), ",.2f"),
            cell(_of(phase, row.get("cheapest")), ",.2f"),
        ]
        for phase in rows(row, "phases")
    ]
    if not lines:
        return NOTHING
    columns = ("Phase", "Shape", "Routed to", "Plain ms", "Routed ms", f"Under {cell(row.get('cheapest'))}, ms")
    return join(
        [
            element("h3", cell(row.get("workload"))),
            element("div", table(columns, lines, "data"), class_="wide"),
            _lacking(row),
        ]
    )


def _of(phase: Result, choice: Any) -> float | None:
    blanket = phase.get("blanket")
    under = blanket.get(choice) if isinstance(blanket, Mapping) and isinstance(choice, str) else None
    return number(under, "ms") if isinstance(under, Mapping) else None


def _lacking(row: Result) -> Markup:
    found: list[Content] = []
    for key, what in (
        ("not_one_choice", "is no one choice for all phases, takes besides"),
        ("unanswered", "leaves open"),
        ("cannot", "cannot run"),
    ):
        given = row.get(key)
        if isinstance(given, Mapping):
            found += [
                element("li", element("b", cell(choice)), f" {what}: {cell(why)}")
                for choice, why in list(given.items())[:MOST_CHOICES]
            ]
    return element("ul", *found, class_="small") if found else NOTHING


def _controls(found: Sequence[Result]) -> Markup:
    """Parts that mix nothing: route and choice are one measurement, so that they say nothing of noise."""
    lines: list[list[Content]] = [
        [
            cell(row.get("workload")),
            cell([phase.get("phase") for phase in rows(row, "phases")]),
            cell(row.get("saved_fraction"), ".1%"),
        ]
        for row in found
    ]
    if not lines:
        return NOTHING
    return join(
        [
            element("h3", "Controls: parts that mix nothing"),
            element("p", "Routing has nothing to save there: route and choice are the same, and one measurement.", class_="soft small"),
            table(("Part", "Phases", "Saved"), lines, "data"),
        ]
    )
