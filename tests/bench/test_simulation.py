"""A simulation says what it found: a sum that is not exact, or a liar that got in, would show."""

from __future__ import annotations

import json

import numpy as np
import pytest

from quatrefoil import cli
from quatrefoil.bench.simulation import running
from quatrefoil.bench.simulation.lies import EXPECTED, KINDS, LIES
from quatrefoil.bench.simulation.population import GRAIN, Options, Population
from quatrefoil.bench.simulation.running import simulate
from quatrefoil.errors import CallerError, HostError
from quatrefoil.federation.silo import Silo

FIGURES = ("server_ms_per_silo", "server_wall_ms_per_silo", "silo_ms", "bytes_per_silo", "peak_rss_mb")


def quiet(_: str) -> None:
    pass


def steps_of(result):
    return [one["step"] for one in result["server_steps"]]


@pytest.fixture(scope="module")
def three_groups():
    """Every lie once a round, in groups whose sums go up."""
    return simulate(
        Options(silos=24, parameters=300, dropout=0.1, liars=5 / 24, slow=0.17, rounds=2, group=8, workers=2), quiet
    )


def test_three_groups_give_the_exact_sum_of_the_honest(three_groups) -> None:
    assert three_groups["exact"] and three_groups["complete"] and three_groups["groups"] == 3
    assert three_groups["accepted"] + three_groups["refused"] + three_groups["absent"] == 2 * 24
    assert three_groups["late"] == 4 and three_groups["absent"] == 4
    assert "upper" in steps_of(three_groups)
    assert all(three_groups[figure] > 0 for figure in FIGURES)


def test_every_lie_is_refused_by_name_and_for_its_reason(three_groups) -> None:
    assert three_groups["liars_refused"] and three_groups["liars_not_refused"] == []
    assert set(three_groups["lies"]) == set(KINDS)
    for lie, row in three_groups["lies"].items():
        assert row["told"] == row["refused"] == 2, lie
        assert running._is_refused_for(row["reason"], lie)
    assert all(name in reason or "signed by silo" in reason for name, reason in three_groups["refusals"].items())


def test_one_group_that_stands_alone(capsys) -> None:
    line = "simulate --silos 6 --parameters 40 --liars 0.17 --workers 1 --json -"
    assert cli.main(line.split()) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["exact"] and result["groups"] == 1 and "upper" not in steps_of(result)
    assert result["schema"] == "quatrefoil.simulate/2"


def test_a_liar_that_gets_in_is_told_of(monkeypatch) -> None:
    """Honest silos in the place of liars: nothing is wrong with the sum, and everything with who is in it."""
    population = Population.of(Options(silos=6, parameters=40, liars=0.17))
    (liar,) = population.liars
    assert not running._is_refused_for(None, population.liars[liar])
    assert not running._is_refused_for("comes after the roster was closed", population.liars[liar])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"silos": 2}, "2 silos"),
        ({"parameters": 0}, "0 parameters"),
        ({"rounds": 0}, "0 rounds"),
        ({"dropout": -0.1}, "dropout -0.1"),
        ({"liars": 1.5}, "liars 1.5"),
        ({"slow": float("nan")}, "slow nan"),
        ({"dropout": 0.5, "liars": 0.6}, "more than all"),
        ({"group": 2}, "groups of 2"),
        ({"group": 257}, "groups of 257"),
    ],
)
def test_what_cannot_be_simulated_is_refused(given: dict[str, float], problem: str) -> None:
    with pytest.raises(CallerError, match=problem):
        Options(**({"silos": 10, "parameters": 10} | given))


def test_two_groups_would_have_each_others_sum() -> None:
    assert [Options(silos=silos, parameters=10, group=12).groups for silos in (12, 13, 24, 36, 37)] == [1, 3, 3, 3, 4]


@pytest.mark.parametrize("given", [{"dropout": 0.6}, {"liars": 0.9}])
def test_groups_without_a_sum_or_a_quorum_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(CallerError, match="must confirm"):
        Population.of(Options(silos=10, parameters=10, **given))


def test_roles_are_spread_and_add_up() -> None:
    options = Options(silos=1000, parameters=10, dropout=0.1, liars=0.05, slow=0.1)
    population = Population.of(options)
    assert [len(silos) for silos in population.groups.values()] == [125] * 8
    roles = list(population.roles.values())
    assert roles.count("dropout") == 100 and roles.count("slow") == roles.count("late") == 50
    assert {lie: roles.count(lie) for lie in KINDS} == dict.fromkeys(KINDS, 10)
    for group in population.groups:
        assert 12 <= 125 - len(population.present(group)) <= 13
    assert Population.of(options) == population
    assert Population.of(Options(silos=1000, parameters=10, dropout=0.1, seed=1)).roles != population.roles


def test_every_lie_has_a_class_and_a_reason() -> None:
    assert set(LIES) == set(EXPECTED) == set(KINDS)
    assert all(issubclass(kind, Silo) and kind is not Silo for kind in LIES.values())
    assert np.float32(GRAIN) == GRAIN


def test_a_process_of_silos_that_ends_is_told_of(monkeypatch) -> None:
    from quatrefoil.bench.simulation import server

    def killing(self, progress) -> None:
        self._groups[0]._workers._processes[0].kill()
        real(self, progress)

    real = server.Server.enrol
    monkeypatch.setattr(server.Server, "enrol", killing)
    with pytest.raises(HostError, match="simulated silos ended"):
        simulate(Options(silos=4, parameters=10, workers=1), quiet)
