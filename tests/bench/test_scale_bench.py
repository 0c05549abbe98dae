"""Unit costs and what they predict: lines through two measurements, and limits that are those of the code."""

from __future__ import annotations

import argparse
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.aggregation import ParameterSet
from quatrefoil.bench import scale
from quatrefoil.bench.scale import Line, Measured, Units, limits, measure_units, predict
from quatrefoil.cli import bench
from quatrefoil.proofs import largest_values

UNITS = Units(
    server_ms=Line(10.0, 4e-5),
    group_ms=Line(3.0, 1e-5),
    upper_ms=Line(27.0, 9e-5),
    top_ms=Line(40.0, 2e-4),
    silo_ms=Line(20.0, 1e-3),
    bytes_from=Line(30_000.0, 4.5),
    bytes_to=Line(5_000.0, 8.0),
)
COST = st.floats(0, 1e9)


@given(COST, st.floats(0, 1e3))
def test_a_line_goes_through_both_measurements(fixed: float, slope: float) -> None:
    small, large = fixed + slope * 20_000, fixed + slope * 400_000
    line = Line.through((20_000, small), (400_000, large))
    assert line.at(20_000) == pytest.approx(small, rel=1e-6, abs=1e-3)
    assert line.at(400_000) == pytest.approx(large, rel=1e-6, abs=1e-3)


def test_what_costs_less_when_it_is_larger_is_noise() -> None:
    line = Line.through((10, 5.0), (20, 4.0))
    assert (line.fixed, line.per_value) == (5.0, 0.0)


def test_what_costs_nothing_when_it_is_smallest_is_noise() -> None:
    line = Line.through((10, 1.0), (20, 9.0))
    assert (line.fixed, line.per_value) == (0.0, 0.8)


def test_silos_groups_and_what_is_over_them_are_told_apart(monkeypatch) -> None:
    """A server of which every cost is known: the measurement finds each of them again."""
    asked = []

    def simulated(options, _progress):
        asked.append(options)
        groups, values = options.silos // options.group, options.parameters
        server = UNITS.server_ms.at(values) * options.silos + UNITS.group_ms.at(values) * groups
        upper = UNITS.upper_ms.at(values) * groups + UNITS.top_ms.at(values)
        return {
            "silos": options.silos,
            "server_ms_per_silo": (server + upper) / options.silos,
            "server_steps": [
                {"step": "upper", "cpu_ms_per_silo": upper / options.silos},
                {"step": "receive", "cpu_ms_per_silo": server / options.silos},
            ],
            "silo_ms": UNITS.silo_ms.at(values),
            "silo_confirm_ms": 0.0,
            "silo_accept_ms": 0.0,
            "bytes_per_silo": UNITS.bytes_from.at(values),
            "bytes_to_silo": UNITS.bytes_to.at(values),
        }

    monkeypatch.setattr(scale, "simulate", simulated)
    found = measure_units(Measured(), lambda _: None)
    for name, line in vars(UNITS).items():
        assert getattr(found, name).fixed == pytest.approx(line.fixed), name
        assert getattr(found, name).per_value == pytest.approx(line.per_value), name
    assert min(one.groups for one in asked) >= 3 and len(asked) == 7


def test_a_round_is_its_silos_and_its_groups() -> None:
    alone, tree = predict(UNITS, 200, 100_000), predict(UNITS, 1_000, 100_000)
    assert (alone["groups"], tree["groups"]) == (1, 8)
    assert alone["server_s"] == pytest.approx((200 * 14.0 + 4.0) / 1e3)
    assert tree["server_s"] == pytest.approx((1_000 * 14.0 + 8 * 40.0 + 60.0) / 1e3)
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


def test_the_command_measures_and_prints(capsys, tmp_path) -> None:
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    bench.run(parser.parse_args(["scale", "--quick", "--json", str(tmp_path / "scale.json")]))
    result = json.loads((tmp_path / "scale.json").read_text())
    assert result["schema"] == "quatrefoil.bench-scale/2"
    assert [(row["silos"], row["values"]) for row in result["rows"]] == [
        list(one) and tuple(one) for one in scale.TARGETS
    ]
    units = {one["unit"]: one for one in result["units"]}
    assert units["bytes_from"]["per_value"] > 0 and units["server_ms"]["fixed"] > 0
    assert {row["values"] for row in result["curve"]} == {10**5, 10**6, 10**7}
    assert "10,000 x 1,000,000,000 breaks: one proof" in capsys.readouterr().out
