"""How the figures of a part are drawn: functions that take a result and give a plot, or None where it holds none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from quatrefoil.bench.report import plots
from quatrefoil.bench.report.finding import is_number, number, rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Result = Mapping[str, Any]
Draw = Callable[[Result], "Figure | None"]


def _labelled(result: Result, path: str, label: str, value: str) -> dict[str, float | None]:
    """One number a row, under the text in ``label``."""
    return {str(row.get(label)): number(row, value) for row in rows(result, path)}


def bars(title: str, unit: str, path: str, label: str, value: str, *, log: bool = True, mine: str = "") -> Draw:
    def draw(result: Result) -> Figure | None:
        values = _labelled(result, path, label, value)
        ours = [name for name in values if mine and not name.startswith(tuple(mine.split("|")))]
        return plots.bars(title, unit, values, log=log, mine=ours)

    return draw


def grouped(title: str, unit: str, path: str, label: str, series: Mapping[str, str], *, log: bool = True) -> Draw:
    def draw(result: Result) -> Figure | None:
        groups = {
            str(row.get(label)): {name: number(row, key) for name, key in series.items()} for row in rows(result, path)
        }
        return plots.grouped(title, unit, groups, log=log)

    return draw


def single(title: str, unit: str, series: Mapping[str, str]) -> Draw:
    return lambda result: plots.bars(title, unit, {name: number(result, key) for name, key in series.items()})


def lines(title: str, across: str, unit: str, path: str, at: str, series: Mapping[str, str]) -> Draw:
    """A line for each of ``series``, by its name the key of a row; ``at``: the key of where it stands."""

    def draw(result: Result) -> Figure | None:
        found: dict[str, dict[float, float | None]] = {name: {} for name in series}
        for row in rows(result, path):
            if (place := number(row, at)) is not None:
                for name, key in series.items():
                    found[name][place] = number(row, key)
        return plots.lines(title, across, unit, found)

    return draw


def scale(result: Result) -> Figure | None:
    """What a silo costs against how many there are, a line for each size of a model."""
    series: dict[str, dict[float, float | None]] = {}
    for row in rows(result, "curve"):
        silos, values = number(row, "silos"), number(row, "values")
        if silos is not None and values is not None:
            series.setdefault(f"{values:,.0f} values", {})[silos] = number(row, "server_ms_per_silo")
    return plots.lines("A server's work for a silo, predicted", "silos", "processor ms a silo", series)


def channels(result: Result) -> Figure | None:
    groups: dict[str, dict[str, float | None]] = {}
    for row in rows(result, "rows"):
        groups.setdefault(str(row.get("shape")), {})[str(row.get("stack"))] = number(row, "ratio_median")
    for values in groups.values():
        values.pop("classical", None)
    return plots.grouped("Whole sessions, of classical mutual TLS", "times", groups, log=False, mark=1.0)


def byzantine(result: Result) -> Figure | None:
    """The worst attack that each defence meets, by world."""
    groups: dict[str, dict[str, float | None]] = {}
    for row in rows(result, "rows"):
        world, defence, found = str(row.get("world")), str(row.get("defence")), number(row, "accuracy")
        if found is not None:
            before = groups.setdefault(world, {}).get(defence)
            groups[world][defence] = found if before is None else min(found, before)
    return plots.grouped("Accuracy under the worst attack for each defence", "accuracy", groups, log=False)


def routing(result: Result) -> Figure | None:
    groups: dict[str, dict[str, float | None]] = {}
    for row in rows(result, "rows"):
        blanket = row.get("blanket_ms")
        found = [float(value) for value in blanket.values() if is_number(value)] if isinstance(blanket, Mapping) else []
        groups[str(row.get("workload"))] = {
            "routed": number(row, "routed_ms"),
            "cheapest blanket choice that answers the same": min(found, default=None),
            "dearest": max(found, default=None) if len(found) > 1 else None,
            "plain": number(row, "plain_ms"),
        }
    return plots.grouped("Whole workloads, each answer checked", "ms", groups)


def planner(result: Result) -> Figure | None:
    pairs = {}
    for place, row in enumerate(rows(result, "rows")):
        predicted, measured = number(row, "predicted_ms"), number(row, "measured_ms")
        if predicted is not None and measured is not None:
            pairs[f"{place} {row.get('workload')} {row.get('phase')}"] = (predicted, measured)
    return plots.compared("Predicted beside measured; the band is 25 %", "ms", pairs, 0.25)


def constant_time(result: Result) -> Figure | None:
    return plots.bars("The largest |t| of each step, over all copies", "|t|", _largest(result), mark=4.5)


def _largest(result: Result) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for row in rows(result, "rows"):
        step, t = str(row.get("step")), number(row, "t")
        if t is not None:
            found[step] = max(abs(t), found.get(step) or 0.0)
    return found
