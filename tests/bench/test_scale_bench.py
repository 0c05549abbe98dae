"""Unit costs and what they predict: lines through two measurements, and limits that are those of the code."""

from __future__ import annotations

import argparse
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.aggregation import ParameterSet
from quatrefoil.bench import scale
from quatrefoil.bench.scale import Line, Units, limits, predict
from quatrefoil.cli import bench
from quatrefoil.proofs import largest_values

UNITS = Units(
    Line(10.0, 4e-5), Line(3.0, 1e-5), Line(27.0, 9e-5), Line(20.0, 1e-3), Line(30_000.0, 4.5), Line(5_000.0, 8.0)
)
COST = st.floats(0, 1e9)


@given(COST, st.floats(0, 1e3))
def test_a_line_goes_through_both_measurements(fixed: float, slope: float) -> None:
    small, large = fixed + slope * scale.SMALL, fixed + slope * scale.LARGE
    line = Line.through(small, large)
    assert line.at(scale.SMALL) == pytest.approx(small, rel=1e-6, abs=1e-3)
    assert line.at(scale.LARGE) == pytest.approx(large, rel=1e-6, abs=1e-3)


def test_what_costs_less_when_it_is_larger_is_noise() -> None:
    line = Line.through(5.0, 4.0)
    assert (line.fixed, line.per_value) == (5.0, 0.0)


def test_a_round_is_its_silos_and_its_groups() -> None:
    alone, tree = predict(UNITS, 200, 100_000), predict(UNITS, 1_000, 100_000)
    assert (alone["groups"], tree["groups"]) == (1, 8)
    assert alone["server_s"] == pytest.approx((200 * 14.0 + 4.0) / 1e3)
    assert tree["server_s"] == pytest.approx((1_000 * 14.0 + 8 * 40.0) / 1e3)
    assert tree["gb_received"] == pytest.approx(1_000 * 480_000 / 1e9)
    assert alone["breaks"] == tree["breaks"] == []


def test_what_breaks_is_told() -> None:
    proven = largest_values(ParameterSet.named("sum-256-w16"))
    assert predict(UNITS, 100, proven)["breaks"] == []
    assert predict(UNITS, 100, proven + 1)["breaks"] == [f"one proof is of at most {proven:,} values"]
    assert len(predict(UNITS, 10_000, 10**9)["breaks"]) == 2
    assert len(predict(UNITS, 600_000, 10)["breaks"]) == 1


def test_limits_are_in_the_order_in_which_they_are_met() -> None:
    for what in ("values", "silos"):
        found = [one[what] for one in limits() if one[what] is not None]
        assert found == sorted(found) and len(found) == 2


def test_the_command_measures_and_prints(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(scale, "SMALL", 50)
    monkeypatch.setattr(scale, "LARGE", 9_000)
    monkeypatch.setattr(scale, "ROUNDS", 1)
    monkeypatch.setattr(scale, "SILOS", 9)
    monkeypatch.setattr(scale, "GROUP", 3)
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    bench.run(parser.parse_args(["scale", "--json", str(tmp_path / "scale.json")]))
    result = json.loads((tmp_path / "scale.json").read_text())
    assert result["schema"] == "quatrefoil.bench-scale/1"
    assert [(row["silos"], row["values"]) for row in result["rows"]] == [
        list(one) and tuple(one) for one in scale.TARGETS
    ]
    assert result["units"]["bytes_from"]["per_value"] > 0 and result["units"]["server_ms"]["fixed"] > 0
    assert "10,000 x 1,000,000,000 breaks: one proof" in capsys.readouterr().out
