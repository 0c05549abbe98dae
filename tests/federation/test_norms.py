"""The norm of a round: how it is computed, who has it when, and that nothing but a published mean moves it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_policies import policy
from quatrefoil.errors import MessageRefused, ParametersRefused, UpdateRefused
from quatrefoil.federation import norms, parts
from quatrefoil.federation.messages import RoundOffer
from quatrefoil.federation.norms import AdaptiveRule, check_possible, next_norm
from quatrefoil.federation.progress import Progress
from quatrefoil.federation.publishing import FinishedRound
from signed_messages import body_of
from world import NAMES, World

NORM, FACTOR, FLOOR = 3.0, 3.0, 0.6
RULE: dict[str, object] = {
    "proofs": True,
    "update_norm": NORM,
    "update_norm_factor": FACTOR,
    "update_norm_floor": FLOOR,
    "on_excess": "clip",
}
LIMITS = policy(**RULE).limits
FIXED = policy(proofs=True, update_norm=NORM).limits

# --------------------------------------------------------------------------------------------------------- the function

numbers = st.lists(st.floats(-1e150, 1e150, allow_subnormal=False), min_size=1, max_size=40)
rules = st.builds(AdaptiveRule, st.floats(1, 1024), st.floats(0, 1))


def test_it_follows_the_mean_between_its_floor_and_the_policy() -> None:
    rule = AdaptiveRule(3.0, 0.9)
    assert rule.following(1.0, np.array([0.24, 0.32]), policy_norm=1.6) == pytest.approx(1.2)
    assert rule.following(1.0, np.zeros(2), policy_norm=1.6) == pytest.approx(0.9)
    assert rule.following(1.6, np.array([3.0, 4.0]), policy_norm=1.6) == 1.6


@given(numbers, rules, st.floats(1e-6, 1e6), st.floats(0, 1))
def test_it_is_never_over_the_policys_nor_under_the_floor(
    mean: list[float], rule: AdaptiveRule, policy_norm: float, share: float
) -> None:
    last = share * policy_norm
    found = rule.following(last, np.array(mean), policy_norm=policy_norm)
    assert rule.floor * last <= found <= policy_norm


@given(numbers, st.randoms())
def test_every_party_computes_the_same_float_in_whatever_order_it_adds(mean: list[float], random: object) -> None:
    """Squares rounded one by one, then their exact sum rounded once, and its root."""
    squares = sum((Fraction(value * value) for value in mean), Fraction(0))
    expected = math.sqrt(float(squares))
    shuffled = list(mean)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for values in (mean, shuffled):
        assert AdaptiveRule(1.0, 0.0).following(0.0, np.array(values), policy_norm=math.inf) == expected


def test_chunks_are_one_sum() -> None:
    mean = np.random.default_rng(2).standard_normal(2 * norms.CHUNK + 1)
    mean *= 10.0 ** np.random.default_rng(3).integers(-8, 8, len(mean))
    one, other = (AdaptiveRule(3.0, 0.9).following(0.0, m, policy_norm=1e300) for m in (mean, np.sort(mean)))
    assert one == other == 3.0 * math.sqrt(math.fsum(value * value for value in mean.tolist()))


@pytest.mark.parametrize("mean", [[1e200], [1.3e154, 1.3e154], [-1.7e308, 1.0]])
def test_a_mean_beyond_floats_leads_to_the_policys_norm(mean: list[float]) -> None:
    """Silos take a finite mean of any size: it must not end the job of those who compute a norm of it."""
    assert next_norm(LIMITS, 1.0, np.array(mean)) == NORM


def test_without_a_rule_it_is_the_policys_whatever_was_published() -> None:
    assert next_norm(FIXED, NORM, np.zeros(3)) == next_norm(FIXED, 0.1, np.ones(3)) == NORM
    assert next_norm(policy().limits, math.inf, np.zeros(3)) == math.inf


@pytest.mark.parametrize(
    ("factor", "floor"), [(0.0, 0.9), (-1.0, 0.9), (np.inf, 0.9), (np.nan, 0), (3, -0.1), (3, 1.1), (3, np.nan)]
)
def test_factors_and_floors_that_bound_nothing(factor: float, floor: float) -> None:
    with pytest.raises(ParametersRefused, match="give no norm"):
        AdaptiveRule(factor, floor)


@pytest.mark.parametrize("norm", [math.nextafter(NORM, 4), -0.1, math.inf, math.nan])
def test_a_norm_that_no_means_lead_to_opens_no_round(norm: float) -> None:
    check_possible(LIMITS, 2, 0.1)
    with pytest.raises(MessageRefused, match="round 2 is to be opened for a norm of"):
        check_possible(LIMITS, 2, norm)


@pytest.mark.parametrize("norm", [math.nextafter(NORM, 0), math.nextafter(NORM, 4), math.inf, math.nan])
def test_the_first_round_and_every_one_without_a_rule_have_the_policys(norm: float) -> None:
    for limits, number in ((LIMITS, 1), (FIXED, 1), (FIXED, 2)):
        check_possible(limits, number, NORM)
        with pytest.raises(MessageRefused, match=f"round {number} is to be opened for a norm of"):
            check_possible(limits, number, norm)


# --------------------------------------------------------------------------------------------------------------- rounds


def norm_of(offer: bytes) -> float:
    return RoundOffer.decode(body_of(offer)).context.update_norm


def following(norm: float, finished: FinishedRound) -> float:
    """By hand, from what was published."""
    mean = np.frombuffer(parts.split(finished.result, 2)[1], "<f8")
    return min(NORM, max(FACTOR * math.sqrt(math.fsum(v * v for v in mean.tolist())), FLOOR * norm))


def kept(world: World, *names: str) -> set[float]:
    """The norms of the next round on the disks of these parties (default: of all that have one)."""
    found = [Progress.of(world.states[name]) for name in names or (*world.names, "hub")]
    return {progress.norm for progress in found if progress is not None}


def test_rounds_are_opened_for_the_norm_that_the_means_lead_to() -> None:
    world = World(limits=RULE).begin()
    norm, seen = NORM, []
    for _ in range(4):
        finished = world.run_round()
        assert norm_of(finished.offer) == norm
        norm = following(norm, finished)
        seen.append(norm)
        assert kept(world) == {norm}
    assert seen[:2] == [FLOOR * NORM, FLOOR * (FLOOR * NORM)], "it falls no faster"
    assert len(set(seen)) == 4 and max(seen[2:]) < seen[1], "and then follows the means"
    assert "refusal" not in world.kinds()


def test_an_honest_silo_scales_down_to_the_norm_of_the_round() -> None:
    world = World(limits=RULE).begin()
    norm = following(NORM, world.run_round())
    assert world.logged("clipped") == []
    world.run_round()
    assert norm < 10**0.5 * 0.75
    assert world.logged("clipped") == [{"round": 2, "update_norm": norm}], "dakar, whose update is 2.37 long"


def test_or_refuses_where_the_policy_says_so() -> None:
    world = World(limits={**RULE, "on_excess": "refuse"}).begin()
    norm = following(NORM, world.run_round())
    offer = world.open()
    with pytest.raises(UpdateRefused, match=rf"a Euclidean norm of 2\.37171, over the {norm:.6g} of round 2"):
        world.contribution("dakar", offer)
    world.send(offer, NAMES[:3])
    assert world.finish().contributors == NAMES[:3]


def test_a_void_attempt_does_not_move_it() -> None:
    world = World(limits=RULE).begin()
    norm = following(NORM, world.run_round())
    world.send(world.open())
    world.void()
    world.open()
    world.void()
    assert norm_of(world.open()) == norm and kept(world) == {norm}
    world.send(world.offer)
    finished = world.finish()
    world.accept(finished)
    assert kept(world) == {following(norm, finished)}


def test_parties_that_are_started_again_go_on_with_it() -> None:
    world = World(limits=RULE).begin()
    norm = NORM
    for _ in range(3):
        world.silos = {name: world.make_silo(name) for name in NAMES}
        world.aggregator = world.make_aggregator(world.aggregator._job)
        world.keeper = world.make_keeper()
        finished = world.run_round()
        assert norm_of(finished.offer) == norm
        norm = following(norm, finished)


def test_a_silo_that_was_not_there_computes_it_from_the_results_that_it_takes_later() -> None:
    world = World(limits=RULE).begin()
    late = world.silos.pop("ambon")
    results = []
    for _ in range(2):
        world.send(world.open(), NAMES[1:])
        results.append(world.finish())
        world.accept(results[-1])
    assert kept(world, "ambon") == {NORM} != kept(world, "bari")
    for finished in results:
        late.accept(finished.offer, finished.release, finished.result, finished.receipts.of("ambon"))
    assert len(kept(world)) == 1
    world.silos["ambon"] = late
    assert world.run_round().contributors == NAMES


def test_a_result_taken_twice_moves_it_once() -> None:
    world = World(limits=RULE).begin()
    finished = world.run_round()
    world.accept(finished)
    assert kept(world) == {following(NORM, finished)}
