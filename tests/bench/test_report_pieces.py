"""Cells, numbers and plots of a page."""

from __future__ import annotations

import math

import pytest
from report_pages import shown

from quatrefoil.bench.report import pictures, plots, svg
from quatrefoil.bench.report.cells import cell
from quatrefoil.errors import DependencyMissing


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "", "-"),
        (1234.5, ",.1f", "1,234.5"),
        (1234.4, ",d", "1,234"),
        (0.123, ".1%", "12.3%"),
        (True, ",d", "yes"),
        (False, "", "no"),
        ("x", ",d", "x"),
        ([1.25, "a"], ".1f", "1.2, a"),
        ({"a": 2.0, "b": None}, ".1f", "a: 2.0; b: -"),
        ([], "", "-"),
        (float("nan"), ".1f", "nan"),
    ],
)
def test_cells(value, form, text) -> None:
    assert cell(value, form) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1.00"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
        (2.7e6, "2,700,000"),
        (1e12, "1e+12"),
        (1e-5, "1e-05"),
        (math.inf, "-"),
    ],
)
def test_short_numbers(value, text) -> None:
    assert plots.short(value) == text


def test_plots_of_nothing_are_none() -> None:
    bad = {"a": None, "b": 0.0, "c": -1.0, "d": math.nan, "e": math.inf}
    assert plots.bars("t", "ms", bad) is None and plots.grouped("t", "ms", {"x": bad}) is None
    assert (
        plots.ranges("t", "ms", [("x", (1.0, 2.0), bad)]) is None
        and plots.compared("t", "ms", {"x": (0, 1)}, 0.25) is None
    )
    assert plots.grouped("t", "ms", {}) is None


def test_lines_go_through_what_can_be_drawn() -> None:
    figure = plots.lines("t", "silos", "ms", {"a": {10.0: 3.0, 1.0: 2.0, 5.0: None, -1.0: 1.0}, "b": {1.0: math.nan}})
    assert figure is not None
    (drawn,) = figure.axes[0].lines
    assert (list(drawn.get_xdata()), list(drawn.get_ydata())) == ([1.0, 10.0], [2.0, 3.0])
    assert plots.lines("t", "silos", "ms", {}) is None and plots.lines("t", "silos", "ms", {"b": {1.0: -1.0}}) is None


def test_what_a_silo_costs_is_a_line_for_each_model(monkeypatch) -> None:
    drawn: list[dict[str, dict[float, float]]] = []
    monkeypatch.setattr(plots, "lines", lambda _title, _across, _unit, series: drawn.append(series))
    curve = [{"silos": n, "values": v, "server_ms_per_silo": n / v} for v in (1_000, 2_000) for n in (10, 20)]
    pictures.scale({"curve": [*curve, {"silos": "many", "values": 1_000, "server_ms_per_silo": 1.0}]})
    assert drawn == [{"1,000 values": {10.0: 0.01, 20.0: 0.02}, "2,000 values": {10.0: 0.005, 20.0: 0.01}}]


def test_a_plot_shows_its_figures_and_names() -> None:
    figure = plots.bars("A title", "ms", {"one & only": 12.34, "other": 1.0})
    assert figure is not None
    made = svg.markup(figure, "plot", 'says "this"')
    text = shown(made)
    assert "one & only" in text and "12.3" in text and "A title" in text and "&amp;" in made
    assert 'aria-label="says &quot;this&quot;"' in made and "var(--ink)" in made and svg.INK not in made


def test_the_worst_attack_counts(monkeypatch) -> None:
    drawn: list[dict[str, dict[str, float]]] = []
    monkeypatch.setattr(plots, "grouped", lambda _title, _unit, groups, **_: drawn.append(groups))
    rows = [{"world": "w", "defence": "mean", "accuracy": value} for value in (0.9, 0.2, 0.5)]
    pictures.byzantine({"rows": rows})
    assert drawn == [{"w": {"mean": 0.2}}]


def test_without_matplotlib_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(svg, "find_spec", lambda _: None)
    with pytest.raises(DependencyMissing, match="matplotlib is not installed"):
        plots.bars("t", "ms", {"a": 1.0})
