"""What an honest silo makes of an update that a round has no proof for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from job_policies import policy
from quatrefoil.errors import MessageRefused, UpdateRefused
from quatrefoil.federation import directions
from quatrefoil.federation.directions import agreement, entries_of, made_to_agree, next_direction, read_entries
from quatrefoil.federation.holding import Bounds, held
from quatrefoil.federation.vectors import euclidean_norm

SIZES, SHARES = (3, 0, 5), (0.5, 1.0, 0.8)
moderate = st.floats(-1, 1, width=32)
updates = st.sampled_from([np.float32, np.float64]).flatmap(lambda kind: arrays(kind, sum(SIZES), elements=moderate))
means = arrays(np.float64, sum(SIZES), elements=st.floats(-1, 1))
DIRECTED = policy(proofs=True, update_norm=1.0, update_direction='"last-mean"').limits


@given(updates, means, st.floats(0.01, 4))
def test_what_is_held_keeps_every_bound(
    update: NDArray[np.float32] | NDArray[np.float64], mean: NDArray[np.float64], norm: float
) -> None:
    direction = next_direction(DIRECTED, mean)
    bounds = Bounds(0.75, norm, SIZES, SHARES, direction)
    kept = bounds.hold(update)
    assert kept.dtype == update.dtype and np.abs(kept).max() <= 0.75 and euclidean_norm(kept) <= norm
    for _, part, most in bounds._parts(kept):
        assert euclidean_norm(part) <= most
    # What is lost to the type's rounding is far below what the statement leaves for that of the integers.
    tolerance = np.abs(read_entries(direction).astype(np.float64)).sum()
    assert agreement(kept, direction) >= -1e-6 * tolerance
    if not bounds.excess(update) and np.abs(update).max() <= 0.75:
        assert held(update, bounds, refuse=True, round_number=1) is update


@given(updates, means)
def test_only_what_points_away_is_taken_out(
    update: NDArray[np.float32] | NDArray[np.float64], mean: NDArray[np.float64]
) -> None:
    direction = entries_of(mean).astype("<i2").tobytes()
    kept = made_to_agree(update, direction)
    if agreement(update, direction) >= 0:
        assert kept is update
    else:
        assert euclidean_norm(kept) <= euclidean_norm(update) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ([0.9, 0, 0, 0, 0, 0, 0, 0], "norm of 0.9 in array 0, over the 0.5"),
        ([0, 0, 0, 0, 0, 0, 0, 0.81], "norm of 0.81 in array 2, over the 0.8"),
        ([0, 0, 0, 0.7, 0.7, 0.7, 0, 0], "norm of 1.21244, over the 1"),
        ([-0.1, 0, 0, 0, 0, 0, 0, 0], "points away from the last mean"),
    ],
)
def test_a_silo_that_is_to_refuse_says_what_is_too_much(update: list[float], said: str) -> None:
    direction = entries_of(np.array([1.0, 0, 0, 0, 0, 0, 0, 0])).astype("<i2").tobytes()
    bounds = Bounds(1.0, 1.0, SIZES, SHARES, direction)
    with pytest.raises(UpdateRefused, match=said) as caught:
        held(np.array(update), bounds, refuse=True, round_number=3)
    assert "of round 3" in caught.value.problem and "wider limits" in caught.value.hint


def test_nothing_is_held_to_bounds_that_a_policy_does_not_give() -> None:
    update = np.full(8, -5.0)
    assert held(update, Bounds(10, math.inf, SIZES), refuse=True, round_number=1) is update
    assert next_direction(policy().limits, np.ones(3)) == b""


@pytest.mark.parametrize(
    ("mean", "entries"),
    [
        ([0.0, 0.0], [0, 0]),
        ([-0.0, 5e-324], [0, 32767]),
        ([1e308, -1e308], [32767, -32767]),
        ([0.5, -0.25, 1e-9], [32767, -16384, 0]),
    ],
)
def test_the_entries_of_a_mean(mean: list[float], entries: list[int]) -> None:
    assert entries_of(np.array(mean)).tolist() == entries
    assert read_entries(next_direction(DIRECTED, np.array(mean))).tolist() == entries


def test_the_keeper_takes_a_digest_where_the_policy_asks_for_a_direction() -> None:
    directions.check_possible(DIRECTED, 1, b"")
    directions.check_possible(DIRECTED, 2, bytes(32))
    directions.check_possible(policy().limits, 2, b"")
    for limits, number, digest in ((DIRECTED, 1, bytes(32)), (DIRECTED, 2, b""), (policy().limits, 2, bytes(32))):
        with pytest.raises(MessageRefused, match=f"round {number} is to be opened for a direction"):
            directions.check_possible(limits, number, digest)
