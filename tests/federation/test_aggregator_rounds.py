"""How the aggregator ends an attempt: with the keeper's answer, or with its void."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from identities import identity
from quatrefoil.errors import CallerError, CiphertextRefused, MessageRefused, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import KeyRelease, RoundOffer, RoundResult, RoundVoid
from signed_messages import body_of, changed, damaged
from world import NAMES, SAMPLES, UPDATES, World, expected_mean

KEEPER, HUB = ("keeper", "keeper"), ("hub", "aggregator")


@pytest.fixture
def world() -> World:
    return World().begin()


# ------------------------------------------------------------------------------------------------------------ finishing


@pytest.fixture
def answered(world: World) -> bytes:
    world.send(world.open())
    return world.answer()


def released(answer: bytes, holder: tuple[str, ...] = KEEPER, **changes: object) -> bytes:
    signed, key = parts.split(answer, 2)
    return parts.join([changed(signed, KeyRelease, identity(*holder), **changes), key])


ANSWERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "garbage": (lambda a: b"garbage", "ends inside its header"),
    "by the aggregator itself": (lambda a: released(a, HUB), "signed by aggregator hub, not by keeper keeper"),
    "by another keeper": (lambda a: released(a, ("other-keeper", "keeper")), "not by keeper keeper"),
    "of another context": (lambda a: released(a, context=bytes(32)), "belongs to another round"),
    "with another key": (damaged, "key was changed"),
    "for a silo that has not contributed": (
        lambda a: released(a, contributors=(*NAMES, "elba")), "answered for elba, whose contribution is not here",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("forge", "problem"), ANSWERS.values(), ids=ANSWERS)
def test_a_wrong_answer_is_refused_and_the_right_one_still_counts(
    world: World, answered: bytes, forge: Callable[[bytes], bytes], problem: str
) -> None:
    with pytest.raises(MessageRefused, match=problem):
        world.aggregator.finish(forge(answered))
    assert world.aggregator.rounds_done == 0
    assert world.aggregator.finish(answered).contributors == NAMES


def test_a_key_for_other_contributors_does_not_decrypt(world: World, answered: bytes) -> None:
    """A keeper that names fewer than it added is noticed: the sum of fewer ciphertexts does not open."""
    with pytest.raises(CiphertextRefused, match="sums 4 secrets, not 3"):
        world.aggregator.finish(released(answered, contributors=NAMES[:3]))


def test_who_comes_after_the_roster_was_closed_is_not_in_the_sum(world: World) -> None:
    offer = world.open()
    world.send(offer, NAMES[:3])
    answer = world.answer()
    with pytest.raises(MessageRefused, match="dakar comes after the roster was closed"):
        world.send(offer, ["dakar"])
    finished = world.aggregator.finish(answer)
    assert finished.contributors == NAMES[:3]
    assert world.moved() == pytest.approx(expected_mean(NAMES[:3]), abs=finished.error_bound + 1e-6)


def test_what_was_answered_must_be_here(world: World, answered: bytes) -> None:
    offer = world.open()  # a restart has lost what was received
    world.send(offer, NAMES[:3])
    with pytest.raises(MessageRefused, match="answered for dakar, whose contribution is not here"):
        world.aggregator.finish(answered)
    world.send(offer, ["dakar"])
    assert world.aggregator.finish(answered).contributors == NAMES


def test_a_lost_answer_is_asked_for_again_even_if_a_late_silo_comes(world: World) -> None:
    offer = world.open()
    world.send(offer, NAMES[:3])
    world.answer()  # lost on the way
    world.aggregator = world.make_aggregator(world.aggregator._job)
    world.send(world.open(), NAMES[:3])
    with pytest.raises(MessageRefused, match="dakar comes after the roster was closed"):
        world.send(world.offer, ["dakar"])
    finished = world.finish()
    assert finished.contributors == NAMES[:3]
    assert world.moved() == pytest.approx(expected_mean(NAMES[:3]), abs=finished.error_bound + 1e-6)


def test_what_is_published_is_the_mean_the_release_and_the_next_model(world: World, answered: bytes) -> None:
    finished = world.aggregator.finish(answered)
    signed, mean = parts.split(finished.result, 2)
    result = RoundResult.decode(body_of(signed))
    assert result.mean == sha256(mean) and result.release == sha256(finished.release)
    weights = {name: SAMPLES[name] / max(SAMPLES[n] for n in NAMES) for name in NAMES}
    exact = sum(weights[n] * UPDATES[n] for n in NAMES) / sum(weights.values())
    assert np.abs(np.frombuffer(mean, "<f8") - exact).max() <= finished.error_bound
    (entry,) = world.logged("round-finished")
    assert entry["model"] == result.model.hex() and entry["contributors"] == list(NAMES)
    assert world.aggregator.finished(1) == finished


def test_a_restart_goes_on_with_the_first_unfinished_round(world: World) -> None:
    first = world.run_round()
    world.open()
    void = world.void()
    again = world.make_aggregator(world.aggregator._job)
    assert again.rounds_done == 1 and again.voids == [void]
    assert again.finished(1) == first
    world.aggregator = again
    assert world.run_round().number == 2


def test_it_starts_only_from_the_agreed_model(world: World) -> None:
    world.model_bytes = np.ones(10).astype("<f8").tobytes()[:64]
    with pytest.raises(CallerError, match="initial model is not the one that the job names"):
        world.make_aggregator(world.aggregator._job)


# ----------------------------------------------------------------------------------------------------- offers and voids


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"round": 2}, "offers round 2 attempt 0, not the one asked for"),
        ({"attempt": 1}, "offers round 1 attempt 1, not the one asked for"),
        ({"model": bytes(32)}, "not the one asked for"),
        ({"job": bytes(32)}, "contradicts job"),
        ({"clip": 0.5}, "contradicts job"),
    ],
)
def test_an_offer_that_was_not_asked_for_is_refused(world: World, changes: dict[str, object], problem: str) -> None:
    offer = world.keeper.open_round(world.aggregator.enrolled_job, world.aggregator.open_request())
    context = dataclasses.replace(RoundOffer.decode(body_of(offer)).context, **changes)
    with pytest.raises(MessageRefused, match=problem):
        world.aggregator.opened(changed(offer, RoundOffer, identity(*KEEPER), context=context))
    with pytest.raises(MessageRefused, match="not by keeper keeper"):
        world.aggregator.opened(changed(offer, RoundOffer, identity(*HUB)))
    world.aggregator.opened(offer)


@pytest.mark.parametrize("changes", [{"round": 2}, {"attempt": 1}, {"job": bytes(32)}], ids=lambda c: next(iter(c)))
def test_a_void_of_something_else_is_refused(world: World, changes: dict[str, object]) -> None:
    world.open()
    void = world.keeper.void(world.aggregator.void_request("test"))
    with pytest.raises(MessageRefused, match="which is not open"):
        world.aggregator.voided(changed(void, RoundVoid, identity(*KEEPER), **changes))
    with pytest.raises(MessageRefused, match="not by keeper keeper"):
        world.aggregator.voided(changed(void, RoundVoid, identity(*HUB)))
    assert world.aggregator.voids == []
    world.aggregator.voided(void)
    assert world.aggregator.voids == [void]


def test_after_a_void_the_old_attempt_takes_nothing(world: World) -> None:
    offer = world.open()
    message = world.contribution("ambon", offer)
    world.void()
    with pytest.raises(MessageRefused, match="no round is open"):
        world.aggregator.receive("ambon", message)
    with pytest.raises(RoundVoided):
        world.silos["ambon"].contribute(offer, world.silos["ambon"].model, world.aggregator.voids)
