"""Sums over several rosters, combined: what the limit on rosters stops, and what it does not.

The attacker here is the aggregator. It publishes that the model did not change, which nobody can check yet, so every
silo trains from the same model in every round and its update stays the same; and it leaves out whom it likes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from quatrefoil.errors import PolicyError
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.sums import OpenedSum
from world import MORE_NAMES, NAMES, SAMPLES, World

LARGEST = max(SAMPLES.values())
PAIRS = (("ambon", "bari"), ("ambon", "cusco"), ("bari", "cusco"))


class FreezingAggregator(Aggregator):
    """Keeps what it learns, and publishes a mean of zeros."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)
        self.sums: list[np.ndarray] = []

    def publish(self, opened: OpenedSum, mean: bytes, error_bound: float) -> FinishedRound:
        self.sums.append(np.frombuffer(mean, "<f8") * sum(self._job.weight(name) for name in opened.contributors))
        return super().publish(opened, bytes(len(mean)), error_bound)


def train(name: str, model: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A step towards the silo's own data: from another model, it would be another step."""
    data = np.random.default_rng(MORE_NAMES.index(name)).normal(size=10)
    return [model[0] + 0.5 * np.tanh(data - model[0])]


def update_of(name: str) -> np.ndarray:
    return train(name, [np.zeros(10)])[0]


def run(world: World, names: Sequence[str]) -> None:
    offer = world.open()
    for name in names:
        silo = world.silos[name]
        world.aggregator.receive(name, silo.contribute(offer, train(name, silo.model), world.aggregator.voids))
    world.accept(world.finish())


def attacked(difference: int, names: Sequence[str] = NAMES, **more: object) -> World:
    limits = {"difference": difference, **more}
    world = World(names=names, limits=limits, initial=[np.zeros(10)], aggregator_kind=FreezingAggregator)
    return world.begin()


def sums_of(world: World) -> list[np.ndarray]:
    assert isinstance(world.aggregator, FreezingAggregator)
    return world.aggregator.sums


def stolen(world: World, found: np.ndarray, victim: str) -> float:
    """Largest distance of what was worked out from the victim's update, in units of the update's largest value."""
    exact = update_of(victim)
    return float(np.abs(found * LARGEST / SAMPLES[victim] - exact).max() / np.abs(exact).max())


def test_without_the_limit_two_rounds_give_a_silos_update() -> None:
    world = attacked(difference=1)
    run(world, NAMES)
    run(world, NAMES[1:])
    first, second = sums_of(world)
    assert stolen(world, first - second, "ambon") < 1e-3


def test_with_the_limit_the_second_sum_is_not_given() -> None:
    world = attacked(difference=3)
    run(world, NAMES)
    with pytest.raises(PolicyError, match="this roster sets apart ambon: 1, the policy's minimum is 3"):
        run(world, NAMES[1:])
    (only,) = sums_of(world)
    assert stolen(world, only, "ambon") > 0.5
    assert world.logged("refusal")[-1]["asked"] == "check"


def test_with_the_limit_a_difference_holds_at_least_that_many_silos() -> None:
    world = attacked(difference=3, names=MORE_NAMES)
    run(world, MORE_NAMES)
    run(world, MORE_NAMES[3:])
    first, second = sums_of(world)
    for victim in MORE_NAMES[:3]:
        assert stolen(world, first - second, victim) > 0.5


def test_without_the_limit_three_rosters_that_differ_in_two_each_give_an_update() -> None:
    """AB, AC and BC: no two of them differ in one silo, and AB + AC - BC is twice A."""
    world = attacked(difference=1, names=NAMES[:3], minimum_silos=2, colluding_silos=0)
    for pair in PAIRS:
        run(world, pair)
    ambon_bari, ambon_cusco, bari_cusco = sums_of(world)
    assert stolen(world, (ambon_bari + ambon_cusco - bari_cusco) / 2, "ambon") < 1e-3


def test_with_the_limit_even_the_second_of_them_is_not_given() -> None:
    world = attacked(difference=2, names=NAMES[:3], minimum_silos=2, colluding_silos=0)
    run(world, PAIRS[0])
    for pair in PAIRS[1:]:
        with pytest.raises(PolicyError, match=r"sets apart (ambon|bari): 1, the policy's minimum is 2"):
            run(world, pair)
        world.void()
    assert len(sums_of(world)) == 1


@pytest.mark.parametrize(("difference", "given"), [(1, True), (3, False)])
def test_seven_less_three_less_the_other_three(difference: int, given: bool) -> None:
    """All pairs of these rosters are three or more apart, and together they give the seventh silo's update."""
    world = attacked(difference, names=MORE_NAMES)
    run(world, MORE_NAMES[:3])
    run(world, MORE_NAMES[3:6])
    if given:
        run(world, MORE_NAMES)
        one, other, everybody = sums_of(world)
        assert stolen(world, everybody - one - other, MORE_NAMES[6]) < 1e-2
    else:
        with pytest.raises(PolicyError, match="sets apart graz: 1, the policy's minimum is 3"):
            run(world, MORE_NAMES)
        assert len(sums_of(world)) == 2


def test_the_silos_refuse_what_a_keeper_without_the_limit_would_answer() -> None:
    """Each silo remembers the rosters of the job by itself: a keeper that lost its memory gets no confirmation."""
    world = attacked(difference=3)
    run(world, NAMES)
    world.keeper._check_roster = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(PolicyError, match="sets apart ambon: 1, the policy's minimum is 3"):
        run(world, NAMES[1:])
    with pytest.raises(PolicyError, match="0 of 4 silos confirmed the roster, 3 must"):
        world.keeper.answer(world.aggregator.key_request())


def test_a_group_of_more_than_half_keeps_every_roster_the_same() -> None:
    world = attacked(difference=4, names=MORE_NAMES, minimum_silos=4)
    run(world, MORE_NAMES[:4])
    for second in (MORE_NAMES, MORE_NAMES[3:], MORE_NAMES[:5], MORE_NAMES[1:6]):
        with pytest.raises(PolicyError, match="this roster sets apart"):
            run(world, second)
        world.void()
    run(world, MORE_NAMES[:4])
    assert len(sums_of(world)) == 2


def test_the_limit_two_jobs_are_not_compared() -> None:
    """The keeper compares the rounds of one job. Who signs a second job should look at whom it leaves out."""
    first, second = attacked(difference=3), attacked(difference=3, names=NAMES[1:])
    second.states["keeper"] = first.states["keeper"]
    second.keeper = second.make_keeper()
    run(first, NAMES)
    run(second, NAMES[1:])
    assert stolen(first, sums_of(first)[0] - sums_of(second)[0], "ambon") < 1e-3
