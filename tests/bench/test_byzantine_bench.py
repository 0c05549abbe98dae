"""The bench of malicious silos: every figure is there, and the ordering that the page says holds."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quatrefoil.bench import byzantine
from quatrefoil.bench.byzantine import adaptive_cost, measure_byzantine
from quatrefoil.bench.byzantine_attacks import ATTACKS
from quatrefoil.bench.byzantine_defences import DEFENCES, median, multi_krum, trimmed_mean, weighted_mean
from quatrefoil.bench.byzantine_norms import RULE, Norms
from quatrefoil.bench.byzantine_worlds import WORLDS, digits
from quatrefoil.cli import bench
from quatrefoil.errors import HostError, ParametersRefused
from quatrefoil.federation.norms import AdaptiveRule

ROUNDS = 8


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return measure_byzantine(ROUNDS, 1, lambda _: None)


def found(measured: dict[str, Any], world: str, attack: str, defence: str) -> dict[str, Any]:
    (row,) = [r for r in measured["rows"] if (r["world"], r["attack"], r["defence"]) == (world, attack, defence)]
    return dict(row)


def test_a_row_for_every_world_attack_and_defence(measured: dict[str, Any]) -> None:
    assert len(measured["rows"]) == len(WORLDS) * len(ATTACKS) * len(DEFENCES)
    assert (measured["rounds"], measured["seeds"]) == (ROUNDS, 1)
    for row in measured["rows"]:
        assert 0 <= row["lowest"] <= row["accuracy"] <= row["highest"] <= 1 and row["spread"] == 0
        clean = found(measured, row["world"], "none", "mean")["accuracy"]
        assert row["cost"] == pytest.approx(clean - row["accuracy"])
        assert row["honest_refused"] == 0
        assert row["sees_updates"] == (row["defence"] in ("krum", "median", "trimmed-mean"))


@pytest.mark.parametrize("world", WORLDS)
def test_a_scaled_update_ruins_the_mean_and_the_bounds_keep_it_out(measured: dict[str, Any], world: str) -> None:
    clean = found(measured, world, "none", "mean")["accuracy"]
    assert found(measured, world, "scaled", "mean")["accuracy"] < clean - 0.1
    for defence in ("bound", "adaptive-bound"):
        for attack in ("scaled", "random"):
            row = found(measured, world, attack, defence)
            assert row["refused"] == 1 and row["accuracy"] > clean - 0.05


@pytest.mark.parametrize("world", WORLDS)
def test_what_is_within_the_bound_is_not_refused_and_costs(measured: dict[str, Any], world: str) -> None:
    """The limit: a norm alone bounds no direction."""
    for attack in ("sign-flipped", "label-flipped", "adaptive", "adaptive-labels"):
        assert found(measured, world, attack, "bound")["refused"] == 0
    assert adaptive_cost(measured["rows"], world, "bound") > 0


@pytest.mark.parametrize("world", ["digits", "digits-skewed"])
def test_with_a_direction_an_update_turned_round_is_refused(measured: dict[str, Any], world: str) -> None:
    """Where the attackers did not lead the last mean themselves. Whoever leaves out what points away is not refused."""
    assert found(measured, world, "sign-flipped", "directed-bound")["refused"] >= 0.5
    assert found(measured, world, "adaptive", "directed-bound")["refused"] == 0


def test_a_defence_that_sees_nothing_of_a_norm_refuses_nobody(measured: dict[str, Any]) -> None:
    assert all(row["refused"] == 0 for row in measured["rows"] if "bound" not in row["defence"])


def test_the_real_proofs_say_what_the_simulation_says(measured: dict[str, Any]) -> None:
    named = [(row["world"], row["directed"], row["attack"]) for row in measured["proofs"]]
    assert named == [(world, directed, attack) for world in WORLDS for directed in (False, True) for attack in ATTACKS]
    for row in measured["proofs"]:
        away = ("sign-flipped",) if row["directed"] else ()
        assert row["proof"] == ("refused" if row["attack"] in ("scaled", "random", *away) else "verified")
        if not away:
            assert (row["norm"] > 1.1 * row["update_norm"]) == (row["proof"] == "refused")


def test_a_proof_that_disagrees_ends_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Norms, "refuses", lambda *_: False)
    with pytest.raises(HostError, match="the proof of a scaled update in digits is refused"):
        byzantine.measure_byzantine(1, 1, lambda _: None)


def test_one_step_beyond_the_longest_is_refused_and_the_longest_is_proven() -> None:
    norms = Norms(650, 0.05)
    direction = np.random.default_rng(1).standard_normal(650)
    longest = norms.longest(direction, 1.6)
    assert not norms.refuses(longest, 1.6) and norms.by_proof(longest, 1.6) == "verified"
    assert 1.6 < np.linalg.norm(longest) < 1.6 * 1.02
    beyond = longest * 1.01
    assert norms.refuses(beyond, 1.6) and norms.by_proof(beyond, 1.6) == "refused"


def test_a_value_beyond_the_range_is_refused_whatever_the_norm() -> None:
    update = np.zeros(650)
    update[3] = 25.0
    assert Norms(650, 0.05).refuses(update, 1000.0)


# ------------------------------------------------------------------------------------------------- the adaptive bound


def test_without_a_floor_attackers_shrink_it_until_training_stands_still() -> None:
    """Why there is one, and why the factor is not smaller."""
    world = digits(0, skewed=True)
    kept, loose = (
        byzantine._train(world, "adaptive", "adaptive-bound", 15, 0, rule).accuracy
        for rule in (RULE, AdaptiveRule(2.0, 0.0))
    )
    assert kept > loose + 0.1


# ---------------------------------------------------------------------------------------------- defences in the clear

SHARES = np.full(5, 0.2)
UPDATES = np.array([[1.0, 1.0], [1.1, 0.9], [0.9, 1.1], [1.0, 1.2], [-50.0, 90.0]])


def test_defences_in_the_clear_leave_the_outlier_out() -> None:
    assert weighted_mean(UPDATES, SHARES, 1) == pytest.approx([-9.2, 18.84])
    assert multi_krum(UPDATES, SHARES, 1) == pytest.approx([1.0, 1.05])
    assert median(UPDATES, SHARES, 1) == pytest.approx([1.0, 1.1])
    assert trimmed_mean(UPDATES, SHARES, 1) == pytest.approx([(0.9 + 1 + 1) / 3, (1 + 1.1 + 1.2) / 3])


def test_the_mean_weighs_by_records_of_those_who_are_left() -> None:
    assert weighted_mean(UPDATES[:2], np.array([0.3, 0.1]), 1) == pytest.approx([1.025, 0.975])


# --------------------------------------------------------------------------------------------------------- the command


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    return parser.parse_args(["byzantine", *arguments])


def test_the_command_writes_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "byzantine.json"
    bench.run(parse("--rounds", "1", "--seeds", "2", "--factor", "4", "--floor", "0.5", "--json", str(file)))
    written = json.loads(file.read_text())
    assert written["schema"] == "quatrefoil.bench-byzantine/1" and "machine" in written
    assert (written["seeds"], written["adaptive_factor"], written["adaptive_floor"]) == (2, 4.0, 0.5)
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*ATTACKS, *DEFENCES, *WORLDS))
    assert "still costs" in shown and "refused" in shown


@pytest.mark.parametrize("arguments", [("--rounds", "0"), ("--seeds", "0"), ("--factor", "0"), ("--floor", "2")])
def test_what_cannot_be_measured_is_refused(arguments: tuple[str, str]) -> None:
    with pytest.raises(ParametersRefused):
        bench.run(parse(*arguments))


def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be written"):
        bench.run(parse("--json", str(tmp_path / "nowhere" / "file.json")))
