"""The round as it is, with sums in CKKS: the same parties and messages, and what one silo can spoil without proofs."""

from __future__ import annotations

import numpy as np
import pytest

from quatrefoil.errors import CiphertextRefused, ParametersRefused, QuatrefoilError
from quatrefoil.federation import parts
from quatrefoil.federation.publishing import FinishedRound
from world import NAMES, World, expected_mean

LIMITS = {"difference": 3}


def mean_of(finished: FinishedRound) -> np.ndarray:
    return np.frombuffer(parts.split(finished.result, 2)[1], "<f8")


def test_a_round_publishes_the_weighted_mean_and_a_bound_that_holds() -> None:
    world = World(backend="ckks", limits=LIMITS).begin()
    finished = world.run_round()
    assert np.abs(mean_of(finished) - expected_mean()).max() <= finished.error_bound < 1e-8


def test_a_round_in_ckks_and_an_additive_one_agree_within_their_bounds() -> None:
    """All else the same: the same silos, updates and weights."""
    rounds = [World(backend=backend, limits=LIMITS).begin().run_round() for backend in ("ckks", "additive-rlwe")]
    apart = np.abs(mean_of(rounds[0]) - mean_of(rounds[1])).max()
    assert apart <= rounds[0].error_bound + rounds[1].error_bound
    assert rounds[0].contributors == rounds[1].contributors == NAMES


def test_all_rounds_of_a_job_are_summed_and_a_silo_may_be_away() -> None:
    world = World(backend="ckks", limits={"difference": 1}, rounds=3).begin()
    world.run_round()
    world.run_round(("ambon", "bari", "cusco"))
    world.run_round()
    moved = 2 * expected_mean() + expected_mean(("ambon", "bari", "cusco"))
    assert world.moved() == pytest.approx(moved, abs=1e-6)


def test_a_ciphertext_of_an_earlier_attempt_is_refused_by_name() -> None:
    world = World(backend="ckks", limits=LIMITS).begin()
    first = world.open()
    kept = {name: world.contribution(name, first) for name in NAMES}
    world.void()
    world.open()
    with pytest.raises(QuatrefoilError):
        world.aggregator.receive("ambon", kept["ambon"])


def test_without_one_silos_key_nothing_is_published() -> None:
    world = World(backend="ckks", limits=LIMITS).begin()
    aggregation = world.silos["bari"]._aggregation
    encrypt = aggregation.encrypt

    def another_key(*given, **named):
        one = encrypt(*given, **named)
        one.key[:] = encrypt(*given, **named).key
        return one

    aggregation.encrypt = another_key
    world.send(world.open())
    answer = world.answer()
    with pytest.raises(CiphertextRefused, match="does not belong to this sum"):
        world.aggregator.finish(answer)
    assert "result" not in world.kinds()


def test_the_limit_a_silo_that_sends_garbage_spoils_the_round_and_is_not_named() -> None:
    """What proofs are for."""
    world = World(backend="ckks", limits=LIMITS).begin()
    aggregation = world.silos["dakar"]._aggregation
    encrypt = aggregation.encrypt

    def garbage(*given, **named):
        one = encrypt(*given, **named)
        words = np.random.default_rng(1).integers(0, 1 << 59, (len(one.ciphertext) - 96) // 8, dtype=np.uint64)
        return type(one)(one.ciphertext[:96] + words.tobytes(), one.key)

    aggregation.encrypt = garbage
    world.send(world.open())
    answer = world.answer()
    with pytest.raises(CiphertextRefused, match="does not belong to this sum") as refused:
        world.aggregator.finish(answer)
    assert "dakar" not in str(refused.value) and "refusal" not in world.kinds()


def test_a_job_with_proofs_cannot_be_in_ckks() -> None:
    world = World(backend="ckks", limits={**LIMITS, "proofs": True, "update_norm": 3.0})
    with pytest.raises(ParametersRefused, match="nothing can be proven"):
        world.begin().run_round()
