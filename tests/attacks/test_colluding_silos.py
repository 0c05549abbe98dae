"""Silos that pool their updates with the sum: what is left of the others, and which policies are refused."""

from __future__ import annotations

import numpy as np
import pytest

from job_policies import policy
from quatrefoil.errors import PolicyInvalid
from quatrefoil.federation import parts
from world import MORE_NAMES, SAMPLES, UPDATES, World

LARGEST = max(SAMPLES[name] for name in MORE_NAMES)


def left_over(colluders: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """The published sum less the colluders' own updates, and whose updates are in it."""
    names = MORE_NAMES[:5]
    world = World(names=names).begin()
    finished = world.run_round()
    mean = np.frombuffer(parts.split(finished.result, 2)[1], "<f8")
    total = mean * sum(SAMPLES[name] / LARGEST for name in names)
    for name in names[:colluders]:
        total = total - UPDATES[name] * SAMPLES[name] / LARGEST
    return total, names[colluders:]


def test_all_but_one_learn_the_last_update() -> None:
    total, (victim,) = left_over(4)
    np.testing.assert_allclose(total * LARGEST / SAMPLES[victim], UPDATES[victim], atol=0.01)


@pytest.mark.parametrize("colluders", [1, 2, 3])
def test_fewer_learn_a_sum_of_at_least_two(colluders: int) -> None:
    total, others = left_over(colluders)
    exact = sum(UPDATES[name] * SAMPLES[name] / LARGEST for name in others)
    np.testing.assert_allclose(total, exact, atol=0.001)
    assert len(others) >= 2


def test_the_limit_a_silo_that_outweighs_the_other_honest_ones_is_hidden_by_little() -> None:
    """Cusco has 200 samples, the two honest silos beside it 50: most of what is left of the sum is cusco's."""
    total, others = left_over(2)
    assert others == ("cusco", "dakar", "elba")
    assert abs(float(total.mean()) - UPDATES["cusco"]) < 0.11 * abs(UPDATES["cusco"])


@pytest.mark.parametrize(("colluding", "minimum"), [(1, 2), (2, 3), (5, 6), (5, 2)])
def test_a_policy_that_leaves_one_honest_silo_is_refused(colluding: int, minimum: int) -> None:
    with pytest.raises(PolicyInvalid, match=rf"{minimum} is under colluding_silos \+ 2 = {colluding + 2}"):
        policy(colluding_silos=colluding, minimum_silos=minimum)


@pytest.mark.parametrize(("colluding", "minimum"), [(0, 2), (1, 3), (5, 7)])
def test_a_policy_that_leaves_two_is_taken(colluding: int, minimum: int) -> None:
    assert policy(colluding_silos=colluding, minimum_silos=minimum).limits.minimum_silos == minimum
