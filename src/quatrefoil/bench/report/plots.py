"""The kinds of plots that the page has, each from labelled numbers; what is not a positive number is left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from quatrefoil.bench.report import svg
from quatrefoil.bench.report.svg import INK, OURS, SERIES, SOFT, in_the_look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

MOST_BARS = 24
LEAST, MOST = 1e-9, 1e12
"""Of what is drawn, in whatever unit."""

_LABEL = 44
"""Characters of a label that are shown."""

Values = Mapping[str, float | None]


@in_the_look
def bars(
    title: str, unit: str, values: Values, *, log: bool = True, mine: Sequence[str] = (), mark: float | None = None
) -> Figure | None:
    """One bar a label, its figure beside it. ``mine``: labels of ours, which stand out; ``mark``: a line at a value."""
    shown = _positive(values)
    if not shown:
        return None
    figure, (axes,) = svg.canvas(0.9 + 0.3 * len(shown))
    labels, sizes = list(shown)[::-1], list(shown.values())[::-1]
    colours = [OURS if not mine or label in mine else svg.PLAIN for label in labels]
    start = _floor(sizes) if log else 0.0
    axes.barh(range(len(sizes)), [size - start for size in sizes], left=start, color=colours, height=0.66)
    for at, size in enumerate(sizes):
        axes.annotate(short(size), (size, at), xytext=(4, 0), textcoords="offset points", va="center", color=INK)
    _finish(axes, title, unit, labels, log)
    if mark is not None:
        axes.axvline(mark, color=svg.WARN, linewidth=1)
    axes.set_xlim(start, max(sizes) * (3 if log else 1.15))
    return figure


@in_the_look
def grouped(
    title: str, unit: str, groups: Mapping[str, Values], *, log: bool = True, mark: float | None = None
) -> Figure | None:
    """For each label of ``groups`` a bar of each of its series, in one colour through all groups; ``mark``: a line."""
    cleaned = {label: found for label, values in groups.items() if (found := _positive(values))}
    cleaned = dict(list(cleaned.items())[:MOST_BARS])
    there = {name for values in cleaned.values() for name in values}
    series = [name for name in dict.fromkeys(n for values in groups.values() for n in values) if name in there]
    series = series[: len(SERIES)]
    if not series:
        return None
    figure, (axes,) = svg.canvas(1.2 + len(cleaned) * (0.18 + 0.19 * len(series)))
    height = 0.84 / len(series)
    sizes = [values[name] for values in cleaned.values() for name in series if name in values]
    start = _floor(sizes) if log else 0.0
    for number, name in enumerate(series):
        at = [row + 0.42 - height * (number + 0.5) for row, values in _upwards(cleaned) if name in values]
        wide = [values[name] for _, values in _upwards(cleaned) if name in values]
        drawn = [size - start for size in wide]
        axes.barh(at, drawn, left=start, height=height * 0.9, color=SERIES[number], label=_cut(name))
        for place, size in zip(at, wide, strict=True):
            axes.annotate(
                short(size),
                (size, place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=SOFT,
            )
    _finish(axes, title, unit, list(cleaned)[::-1], log)
    if mark is not None:
        axes.axvline(mark, color=svg.WARN, linewidth=1)
    axes.set_xlim(start, max(sizes) * (3 if log else 1.15))
    figure.legend(loc="outside lower left", ncols=min(3, len(series)), fontsize=9)
    return figure


@in_the_look
def ranges(title: str, unit: str, rows: Sequence[tuple[str, tuple[float, float] | None, Values]]) -> Figure | None:
    """For each row a quoted range as a band, and what was measured as points with their names."""
    cleaned = [(label, band, _positive(values)) for label, band, values in rows]
    everything = [v for _, band, values in cleaned for v in (*values.values(), *(band or ())) if v > 0]
    if not any(values for _, _, values in cleaned):
        return None
    lines = [(label, name, value) for label, _, values in cleaned for name, value in values.items()]
    figure, (axes,) = svg.canvas(1.1 + 0.3 * max(len(lines), len(cleaned)))
    at, names = 0.0, []
    for label, band, values in cleaned[::-1]:
        first = at
        for name, value in list(values.items())[::-1]:
            axes.plot([value], [at], marker="o", markersize=7, color=OURS, linestyle="none")
            axes.annotate(short(value), (value, at), xytext=(8, 0), textcoords="offset points", va="center", color=INK)
            names.append((at, f"{label}: {_cut(name)}"))
            at += 1
        if not values:
            names.append((at, f"{label}: not measured"))
            at += 1
        if band is not None:
            low, high = max(band[0], min(everything) / 2), band[1]
            axes.fill_betweenx([first - 0.45, at - 0.55], low, high, color=svg.PEER, alpha=0.35, linewidth=2)
    _finish(axes, title, unit, [], True)
    axes.set_yticks([place for place, _ in names], [name for _, name in names])
    axes.set_xlim(min(everything) / 2, max(everything) * 4)
    return figure


@in_the_look
def lines(title: str, across: str, unit: str, series: Mapping[str, Mapping[float, float | None]]) -> Figure | None:
    """A line a series, through its points in their order; both axes are logarithmic. ``across``: what the first is."""
    cleaned: dict[str, dict[float, float]] = {}
    for name, points in list(series.items())[: len(SERIES)]:
        found = {x: y for x, y in list(points.items())[:MOST_BARS] if y is not None and _drawable(x) and _drawable(y)}
        if found:
            cleaned[name] = dict(sorted(found.items()))
    if not cleaned:
        return None
    figure, (axes,) = svg.canvas(3.8)
    for number, (name, points) in enumerate(cleaned.items()):
        axes.plot(list(points), list(points.values()), marker="o", color=SERIES[number], label=_cut(name))
        last = list(points.items())[-1]
        axes.annotate(
            short(last[1]), last, xytext=(6, 0), textcoords="offset points", va="center", fontsize=8, color=SOFT
        )
    axes.set(xscale="log", yscale="log", xlabel=f"{across}, logarithmic", ylabel=f"{unit}, logarithmic")
    every = [x for points in cleaned.values() for x in points]
    axes.set_xlim(min(every) / 1.2, max(every) * 1.6)
    axes.set_title(title)
    for axis in (axes.xaxis, axes.yaxis):
        _logarithmic(axis)
    axes.tick_params(axis="both", which="both", length=0)
    axes.grid(True)
    figure.legend(loc="outside lower left", ncols=min(3, len(cleaned)), fontsize=9)
    return figure


@in_the_look
def compared(title: str, unit: str, pairs: Mapping[str, tuple[float, float]], within: float) -> Figure | None:
    """Predicted against measured, one point a label, with the band of ``within`` about the diagonal."""
    shown = {label: pair for label, pair in list(pairs.items())[:60] if all(map(_drawable, pair))}
    if not shown:
        return None
    figure, (axes,) = svg.canvas(4.2, width=6.4)
    ends = [min(map(min, shown.values())) / 2, max(map(max, shown.values())) * 2]
    axes.fill_between(
        ends, [e * (1 - within) for e in ends], [e * (1 + within) for e in ends], color=svg.PLAIN, alpha=0.3
    )
    axes.plot(ends, ends, color=SOFT, linewidth=1)
    axes.plot([x for x, _ in shown.values()], [y for _, y in shown.values()], "o", color=OURS)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel=f"predicted, {unit}", ylabel=f"measured, {unit}")
    axes.set_title(title)
    for axis in (axes.xaxis, axes.yaxis):
        _logarithmic(axis)
    axes.tick_params(axis="both", which="both", length=0)
    axes.grid(True)
    return figure


def short(value: float) -> str:
    """Three digits of a number, for people."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "-"
    if abs(value) < 0.001 or abs(value) >= 1e9:
        return f"{value:.2g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def _positive(values: Values) -> dict[str, float]:
    found = {label: value for label, value in values.items() if value is not None and _drawable(value)}
    return dict(list(found.items())[:MOST_BARS])


def _drawable(value: float) -> bool:
    """Positive, and of a size that a measurement can have: an axis holds no other."""
    return LEAST <= value <= MOST


def _upwards(groups: Mapping[str, Mapping[str, float]]) -> list[tuple[int, Mapping[str, float]]]:
    """Groups with their places: the first is at the top."""
    return [(len(groups) - 1 - number, values) for number, values in enumerate(groups.values())]


def _floor(sizes: Sequence[float]) -> float:
    """Where bars of a logarithmic plot begin: well below the smallest, so that it shows too."""
    return float(10 ** math.floor(math.log10(min(sizes) / 2)))


def _finish(axes: Axes, title: str, unit: str, labels: Sequence[str], log: bool) -> None:
    axes.set_title(title)
    axes.set_xlabel(f"{unit}, logarithmic" if log else unit)
    if labels:
        axes.set_yticks(range(len(labels)), [_cut(label) for label in labels])
    if log:
        axes.set_xscale("log")
        _logarithmic(axes.xaxis)
    axes.tick_params(axis="both", which="both", length=0)
    axes.grid(True, axis="x")


def _logarithmic(axis: Axis) -> None:
    """Powers of ten written as numbers: what matplotlib writes by itself is mathematics."""
    from matplotlib.ticker import LogLocator

    axis.set_major_locator(LogLocator(numticks=7))
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}" if 1e-4 <= value < 1e8 else f"{value:.0e}")
    axis.set_minor_formatter(lambda _value, _place: "")


def _cut(label: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in label)
    return plain if len(plain) <= _LABEL else f"{plain[: _LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"


__all__ = ["bars", "compared", "grouped", "lines", "ranges", "short"]
