"""Norms of single arrays, and a direction that no update may point away from: what each keeps out, and that neither
silo nor aggregator can set them by itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from byzantine import CLIP, HONEST, NORM, Forger, Oversized
from identities import identity
from quatrefoil.contracts import FloatVector
from quatrefoil.errors import MessageRefused, PeerError, PolicyError, ProofRejected, UpdateRefused
from quatrefoil.federation import parts
from quatrefoil.federation.messages import Contribution, OpenRound, RoundContext, RoundOffer
from quatrefoil.federation.progress import NAME, Progress
from signed_messages import body_of, changed
from world import NAMES, World

LIAR = "cusco"
OTHERS = tuple(name for name in NAMES if name != LIAR)
AWAY = -0.1
"""By how much the liar moves every parameter: within the norm, and away from where all others moved."""

FIXED: dict[str, object] = {"proofs": True, "clip": CLIP, "update_norm": NORM}
DIRECTED: dict[str, object] = {**FIXED, "update_direction": '"last-mean"'}
LAYERED: dict[str, object] = {**FIXED, "update_layer_norms": [1.0, 0.4]}
HUB = identity("hub", "aggregator")


def after_a_round(limits: dict[str, object]) -> World:
    """A job whose first round everybody was honest in."""
    world = World(limits=limits).begin()
    send(world)
    world.accept(world.finish())
    return world


def send(world: World, **moved: float) -> dict[str, PeerError]:
    """Every silo's contribution to a new attempt, and which were refused."""
    offer, refused = world.open(), {}
    for name in NAMES:
        try:
            world.aggregator.receive(name, world.contribution(name, offer, moved.get(name, HONEST)))
        except PeerError as error:
            refused[name] = error
    return refused


def by_name(refused: dict[str, PeerError]) -> None:
    assert list(refused) == [LIAR] and isinstance(refused[LIAR], ProofRejected)
    assert refused[LIAR].party == LIAR and refused[LIAR].problem.startswith(f"{LIAR}: the proof is rejected")


class Turned(Forger):
    """Encrypts an update that points away, and sends the proof of the one that everybody would send."""

    def _held(self, update: FloatVector) -> FloatVector:
        return update

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        subject = self._agreed().subject(context, self._security.name, self._current().direction)
        encrypted, _ = self._proofs.encrypt(self._aggregation, update, subject)
        honest: FloatVector = np.full_like(update, HONEST)
        other, provable = self._proofs.encrypt(self._aggregation, honest, subject)
        sealed = self._security.seal(context.sealing_key, encrypted.key, context=context.digest())
        proven = self._proofs.prove(subject, other.ciphertext, sealed, provable)
        return self.message(context, encrypted.ciphertext, sealed, proven)


class Unasked(Oversized):
    """Proves its norm, and leaves out whatever else the round asks for."""

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        subject = self._agreed().subject(context, self._security.name, self._current().direction)
        subject = dataclasses.replace(subject, direction=b"", entries=b"")
        self._proofs._shares = ()
        encrypted, hidden = self._proofs.encrypt(self._aggregation, update, subject)
        sealed = self._security.seal(context.sealing_key, encrypted.key, context=context.digest())
        proven = self._proofs.prove(subject, encrypted.ciphertext, sealed, hidden)
        return Forger.message(self, context, encrypted.ciphertext, sealed, proven)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- a direction


@pytest.mark.parametrize("liar", [Turned, Unasked], ids=lambda kind: kind.__name__)
def test_an_update_that_points_away_from_the_last_mean(liar: type[Oversized]) -> None:
    """It takes the round back where only norms are proven, and is refused by name where the direction is."""
    world = after_a_round(FIXED)
    world.silos[LIAR].__class__ = Unasked
    assert send(world, cusco=AWAY) == {}
    assert world.finish().contributors == NAMES
    world = after_a_round(DIRECTED)
    world.silos[LIAR].__class__ = liar
    by_name(send(world, cusco=AWAY))
    finished = world.finish()
    assert finished.contributors == OTHERS
    world.accept(finished)
    assert world.moved() == pytest.approx(2 * HONEST, abs=2 * finished.error_bound + 1e-6)


def test_in_the_first_round_nothing_is_pointed_away_from() -> None:
    """The limit: nothing has been published yet."""
    world = World(limits=DIRECTED).begin()
    assert RoundOffer.decode(body_of(world.open())).context.direction == b""
    assert send(world, cusco=AWAY) == {}


def test_an_honest_silo_that_points_away_is_held_or_leaves_the_round() -> None:
    world = after_a_round({**DIRECTED, "on_excess": "clip"})
    assert send(world, cusco=AWAY) == {}
    finished = world.finish()
    assert finished.contributors == NAMES
    assert [body["round"] for body in world.logged("clipped")] == [2]
    world.accept(finished)
    # All of its update pointed away: nothing is left of it.
    assert 2 * HONEST - 0.03 < world.moved() < 2 * HONEST
    world = after_a_round(DIRECTED)
    with pytest.raises(UpdateRefused, match="the update points away from the last mean") as caught:
        world.contribution(LIAR, world.open(), AWAY)
    assert "wider limits" in caught.value.hint


def test_a_restart_knows_the_direction() -> None:
    world = after_a_round(DIRECTED)
    found = {name: Progress.of(world.states[name]) for name in (*NAMES, "hub")}
    entries = {progress.direction for progress in found.values() if progress is not None}
    assert len(found) == 5 and None not in found.values() and len(entries) == 1
    # All values of the mean are the same, up to the rounding of the sum.
    assert np.frombuffer(entries.pop(), "<i2").min() > 32000


# ----------------------------------------------------------------------------------------------------- norms of arrays


def one_array(world: World, name: str, offer: bytes, array: int, by: float) -> bytes:
    """A contribution in which only one array moves."""
    silo = world.silos[name]
    trained: list[NDArray[np.floating]] = [
        part + part.dtype.type(by if position == array else 0) for position, part in enumerate(silo.model)
    ]
    return silo.contribute(offer, trained)


@pytest.mark.parametrize("array", [0, 1])
def test_an_update_of_which_one_array_is_too_long(array: int) -> None:
    """All of the norm in one array: accepted where the whole is bounded, refused where that array is."""
    sent = 0.45 / np.sqrt([6, 4][array])  # a norm of 0.45, in an array that may have 0.5, or 0.2
    for limits, refused in ((FIXED, False), (LAYERED, array == 1)):
        world = World(limits=limits).begin()
        world.silos[LIAR].__class__ = Unasked if limits is FIXED or refused else type(world.silos[LIAR])
        offer = world.open()
        message = one_array(world, LIAR, offer, array, float(sent))
        if not refused:
            world.aggregator.receive(LIAR, message)
            continue
        with pytest.raises(ProofRejected, match=f"{LIAR}: the proof is rejected") as caught:
            world.aggregator.receive(LIAR, message)
        assert caught.value.party == LIAR


def test_an_honest_silo_scales_the_array_down_or_leaves_the_round() -> None:
    world = World(limits={**LAYERED, "on_excess": "clip"}).begin()
    world.aggregator.receive(LIAR, one_array(world, LIAR, world.open(), 1, 0.2))
    assert [body["round"] for body in world.logged("clipped")] == [1]
    world = World(limits=LAYERED).begin()
    with pytest.raises(UpdateRefused, match=r"has a Euclidean norm of 0\.4 in array 1, over the 0\.2 of round 1"):
        one_array(world, LIAR, world.open(), 1, 0.2)


def test_the_keeper_refuses_a_key_under_other_claims_than_the_policys() -> None:
    """Where an aggregator let it pass: the keeper makes the statement itself."""
    world = after_a_round({**LAYERED, **DIRECTED})
    offer = world.open()
    context = RoundOffer.decode(body_of(offer)).context
    world.silos[LIAR].__class__ = Unasked
    sealed: list[bytes] = []
    encrypt = world.silos[LIAR]._proofs.encrypt
    world.silos[LIAR]._proofs.encrypt = lambda *given: (  # type: ignore[method-assign]
        lambda made: (sealed.append(bytes(made[0].key)), made)[1]
    )(encrypt(*given))
    contribution = Contribution.decode(body_of(parts.split(world.contribution(LIAR, offer, HONEST), 4)[0]))
    subject, proofs = world.aggregator._job.subject(context, LIAR), world.keeper._proofs
    with pytest.raises(ProofRejected, match=f"{LIAR} sealed a key that its proof is not about"):
        proofs.check_key(subject, contribution, bytearray(sealed[0]))


def test_a_model_of_other_arrays_than_the_policy_has_norms_for() -> None:
    with pytest.raises(PolicyError, match=r"norms for 3 arrays, and job .* a model of 2"):
        World(limits={**FIXED, "update_layer_norms": [1.0, 0.5, 0.5]}).begin()


# ------------------------------------------------------------------------------------ an aggregator that states another


def opened_for(world: World, direction: bytes) -> bytes:
    """The keeper's offer of the next round, which the aggregator asked for with a direction of its choice."""
    request = changed(world.aggregator.open_request(), OpenRound, HUB, direction=direction)
    return world.keeper.open_round(world.aggregator.enrolled_job, request)


@pytest.mark.parametrize("direction", [bytes(32), bytes(range(32))])
def test_silos_send_nothing_under_a_direction_that_the_means_do_not_lead_to(direction: bytes) -> None:
    world = after_a_round(DIRECTED)
    offer = opened_for(world, direction)
    for name, silo in world.silos.items():
        for refusing in (lambda silo=silo: silo.check_offer(offer), lambda silo=silo: silo.confirm(offer, b"", [])):
            with pytest.raises(MessageRefused, match="aggregator hub opened round 2 for another direction"):
                refusing()
        assert world.states[name].names("outbox/") == []


@pytest.mark.parametrize(("limits", "direction"), [(DIRECTED, b""), (DIRECTED, bytes(31)), (FIXED, bytes(32))])
def test_the_keeper_opens_no_round_for_a_direction_that_is_none(limits: dict[str, object], direction: bytes) -> None:
    world = after_a_round(limits)
    with pytest.raises(MessageRefused, match="round 2 is to be opened for a direction of"):
        opened_for(world, direction)


def test_an_attempt_that_is_open_is_not_offered_again_for_another_direction() -> None:
    world = after_a_round(DIRECTED)
    offer = world.open()
    with pytest.raises(MessageRefused, match="is open for another model, norm or direction"):
        opened_for(world, bytes(32))
    assert world.keeper.open_round(world.aggregator.enrolled_job, world.aggregator.open_request()) == offer


def test_an_aggregator_that_forgot_the_direction_takes_no_round() -> None:
    world = after_a_round(DIRECTED)
    offer = world.open()
    progress = Progress.of(world.states["hub"])
    assert progress is not None
    world.states["hub"].replace({NAME: dataclasses.replace(progress, direction=bytes(20)).encode()})
    with pytest.raises(MessageRefused, match="for another direction than the published means lead to"):
        world.aggregator.opened(offer)
