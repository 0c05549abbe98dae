"""A norm that follows the means: what it keeps out, and that neither silo nor aggregator can set it by itself."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from byzantine import CLIP, HONEST, NORM, Overlong
from identities import identity
from quatrefoil.errors import MessageRefused, PeerError, PolicyError, ProofRejected
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256, shape_of
from quatrefoil.federation.messages import Contribution, OpenRound, RoundOffer
from quatrefoil.federation.progress import NAME, Progress
from quatrefoil.insecure.software import SoftwareEvidence
from signed_messages import body_of, changed
from world import NAMES, SAMPLES, World

LIAR = "cusco"
OTHERS = tuple(name for name in NAMES if name != LIAR)
LONG = -0.14
"""By how much the liar moves every parameter: a norm of 0.44, just under the policy's 0.5. Honest updates have 0.16."""

FIXED: dict[str, object] = {"proofs": True, "clip": CLIP, "update_norm": NORM}
ADAPTIVE: dict[str, object] = {**FIXED, "update_norm_factor": 1.5, "update_norm_floor": 0.2}

HUB, KEEPER = identity("hub", "aggregator"), identity("keeper", "keeper")


def after_a_round(limits: dict[str, object], **others: object) -> World:
    """A job whose first round everybody was honest in."""
    world = World(limits=limits, **others).begin()
    for name, offer in ((name, world.open()) if name == NAMES[0] else (name, world.offer) for name in NAMES):
        world.aggregator.receive(name, world.contribution(name, offer, HONEST))
    world.accept(world.finish())
    return world


def norm_of(world: World) -> float:
    progress = Progress.of(world.states["ambon"])
    assert progress is not None
    return progress.norm


# ---------------------------------------------------------------------------------------------- a silo just under it


@pytest.mark.parametrize("limits", [FIXED, ADAPTIVE], ids=["fixed", "adaptive"])
def test_an_attacker_just_under_the_policys_norm(limits: dict[str, object]) -> None:
    """It is added under a fixed norm, and refused by name under one that follows the means, where the others go on."""
    world = after_a_round(limits)
    before = world.moved()
    world.silos[LIAR].__class__ = Overlong
    offer, refused = world.open(), {}
    for name in NAMES:
        try:
            world.aggregator.receive(name, world.contribution(name, offer, LONG if name == LIAR else HONEST))
        except PeerError as error:
            refused[name] = error
    finished = world.finish()
    world.accept(finished)
    share = SAMPLES[LIAR] / sum(SAMPLES[name] for name in NAMES)
    if limits is FIXED:
        assert refused == {} and finished.contributors == NAMES
        mean = share * LONG + (1 - share) * HONEST
    else:
        assert list(refused) == [LIAR] and isinstance(refused[LIAR], ProofRejected)
        assert refused[LIAR].party == LIAR and refused[LIAR].problem.startswith(f"{LIAR}: the proof is rejected")
        assert finished.contributors == OTHERS
        mean = HONEST
    assert world.moved() - before == pytest.approx(mean, abs=finished.error_bound + 1e-6)


def test_in_the_first_round_it_passes_in_either() -> None:
    """The limit: nothing has been published that its norm could follow."""
    world = World(limits=ADAPTIVE).begin()
    world.silos[LIAR].__class__ = Overlong
    offer = world.open()
    for name in NAMES:
        world.aggregator.receive(name, world.contribution(name, offer, LONG if name == LIAR else HONEST))
    assert world.finish().contributors == NAMES


def test_an_update_within_the_rounds_norm_needs_a_proof_for_that_norm() -> None:
    """True, and proven for the norm of the last round: the statement is another."""
    world = after_a_round(ADAPTIVE)
    world.silos[LIAR].__class__ = Overlong
    with pytest.raises(ProofRejected, match=f"{LIAR}: the proof is rejected") as caught:
        world.aggregator.receive(LIAR, world.contribution(LIAR, world.open(), HONEST))
    assert caught.value.party == LIAR


def test_the_keeper_refuses_the_key_of_a_proof_for_another_norm() -> None:
    """Where an aggregator let it pass: the claim is checked against the norm in the context."""
    world = after_a_round(ADAPTIVE)
    offer = world.open()
    context = RoundOffer.decode(body_of(offer)).context
    keys: list[bytes] = []
    liar = world.silos[LIAR]
    liar.__class__ = Overlong
    assert isinstance(liar, Overlong)
    liar.keys = keys
    sent = world.contribution(LIAR, offer, HONEST)
    contribution = Contribution.decode(body_of(parts.split(sent, 4)[0]))
    subject = world.aggregator._job.subject(context, LIAR)
    proofs = world.aggregator._proofs
    proofs.check_key(dataclasses.replace(subject, norm=NORM), contribution, bytearray(keys[0]))
    with pytest.raises(ProofRejected, match=f"{LIAR} sealed a key that its proof is not about") as caught:
        proofs.check_key(subject, contribution, bytearray(keys[0]))
    assert caught.value.party == LIAR


def test_the_contribution_of_an_earlier_round_with_a_larger_norm_is_refused() -> None:
    """Its ciphertext is given the header of this round, and signed again by its silo: the proof is of the other."""
    world = World(limits=ADAPTIVE).begin()
    offer = world.open()
    old = {name: world.contribution(name, offer, HONEST) for name in NAMES}
    for name, message in old.items():
        world.aggregator.receive(name, message)
    world.accept(world.finish())
    context = RoundOffer.decode(body_of(world.open())).context
    assert context.update_norm < NORM
    signed, sealed, ciphertext, proof = parts.split(old[LIAR], 4)
    fits = ciphertext[:56] + context.digest() + ciphertext[88:]
    world.aggregation().accumulator(shape=shape_of(context)).add(fits)  # its header is right now
    again = changed(signed, Contribution, identity(LIAR, "silo"), context=context.digest(), ciphertext=sha256(fits))
    with pytest.raises(ProofRejected, match=f"{LIAR}: the proof is rejected"):
        world.aggregator.receive(LIAR, parts.join([again, sealed, fits, proof]))
    with pytest.raises(MessageRefused, match=f"{LIAR} contributes to another round or attempt"):
        world.aggregator.receive(LIAR, old[LIAR])


# ------------------------------------------------------------------------------------ an aggregator that states another


def opened_for(world: World, norm: float) -> bytes:
    """The keeper's offer of the next round, which the aggregator asked for with a norm of its choice."""
    request = changed(world.aggregator.open_request(), OpenRound, HUB, update_norm=norm)
    return world.keeper.open_round(world.aggregator.enrolled_job, request)


@pytest.mark.parametrize("lie", ["higher", "the policy's", "lower", "one bit", "none at all"])
def test_silos_send_nothing_under_a_norm_that_the_means_do_not_lead_to(lie: str) -> None:
    world = after_a_round(ADAPTIVE)
    norm = norm_of(world)
    stated = {
        "higher": norm * 1.1, "the policy's": NORM, "lower": norm / 2, "one bit": math.nextafter(norm, 0),
        "none at all": 0.0,
    }[lie]  # fmt: skip
    offer = opened_for(world, stated)
    for name, silo in world.silos.items():
        for refusing in (lambda silo=silo: silo.check_offer(offer), lambda silo=silo: silo.confirm(offer, b"", [])):
            with pytest.raises(MessageRefused, match="aggregator hub opened round 2 for a norm of"):
                refusing()
        with pytest.raises(MessageRefused, match=f"for a norm of {stated}, and the published means lead to {norm}"):
            silo.contribute(offer, silo.model)
        assert world.states[name].names("outbox/") == []
    assert len([body for body in world.logged("refusal") if "means lead to" in body["reason"]]) == 3 * len(NAMES)


@pytest.mark.parametrize("stated", [math.nextafter(NORM, 1), -0.1, math.inf, math.nan])
def test_the_keeper_opens_no_round_for_a_norm_over_the_policys(stated: float) -> None:
    world = after_a_round(ADAPTIVE)
    with pytest.raises(MessageRefused, match="round 2 is to be opened for a norm of"):
        opened_for(world, stated)
    assert world.kinds().count("round-opened") == 2, "the first round's, of keeper and aggregator"


@pytest.mark.parametrize("limits", [FIXED, ADAPTIVE], ids=["fixed", "adaptive"])
def test_the_keeper_opens_no_first_round_for_less_than_the_policys(limits: dict[str, object]) -> None:
    world = World(limits=limits).begin()
    with pytest.raises(MessageRefused, match=r"round 1 is to be opened for a norm of 0\.4, the policy's is 0\.5"):
        opened_for(world, 0.4)


def test_in_a_job_without_the_rule_no_round_has_another_norm() -> None:
    for limits in (FIXED, {}):
        world = after_a_round(limits)
        with pytest.raises(MessageRefused, match=r"round 2 is to be opened for a norm of 0\.4"):
            opened_for(world, 0.4)


def test_an_attempt_that_is_open_is_not_offered_again_for_another_norm() -> None:
    world = after_a_round(ADAPTIVE)
    offer = world.open()
    with pytest.raises(MessageRefused, match="round 2 attempt 0 is open for another model, norm or direction"):
        opened_for(world, norm_of(world) / 2)
    assert world.keeper.open_round(world.aggregator.enrolled_job, world.aggregator.open_request()) == offer


def test_no_roster_of_a_round_under_another_norm_is_answered() -> None:
    """Where three silos had been made to send under it, none confirms it while it remembers the means."""
    world = after_a_round(ADAPTIVE)
    offer = opened_for(world, NORM)
    context = RoundOffer.decode(body_of(offer)).context
    progress = Progress.of(world.states["hub"])
    assert progress is not None
    world.states["hub"].replace({NAME: dataclasses.replace(progress, norm=NORM).encode()})
    world.aggregator.opened(offer)
    for name in NAMES[:3]:
        own = Progress.of(world.states[name])
        assert own is not None
        world.states[name].replace({NAME: dataclasses.replace(own, norm=NORM).encode()})
        world.aggregator.receive(name, world.contribution(name, offer, HONEST))
        world.states[name].replace({NAME: own.encode()})
    proposal = world.propose()
    for silo in world.silos.values():
        with pytest.raises(MessageRefused, match="aggregator hub opened round 2 for a norm of"):
            silo.confirm(offer, proposal, [])
    with pytest.raises(PolicyError, match="0 of 4 silos confirmed the roster, 3 must"):
        world.keeper.answer(world.aggregator.key_request())
    assert context.update_norm == NORM


# ----------------------------------------------------------------------------------------- a keeper that changes it


def with_norm(offer: bytes, norm: float) -> bytes:
    context = dataclasses.replace(RoundOffer.decode(body_of(offer)).context, update_norm=norm)
    return changed(offer, RoundOffer, KEEPER, context=context, evidence=SoftwareEvidence(context.digest()).encode())


@pytest.mark.parametrize("share", [0.5, 1.5])
def test_a_norm_that_the_keeper_changed_is_noticed_by_the_aggregator_and_by_silos(share: float) -> None:
    world = after_a_round(ADAPTIVE)
    offer = world.keeper.open_round(world.aggregator.enrolled_job, world.aggregator.open_request())
    forged = with_norm(offer, share * norm_of(world))
    with pytest.raises(MessageRefused, match="for a norm of"):
        world.aggregator.opened(forged)
    with pytest.raises(MessageRefused, match="for a norm of"):
        world.silos["ambon"].check_offer(forged)
    world.aggregator.opened(offer)


def test_a_result_of_a_round_under_another_norm_is_not_taken() -> None:
    world = after_a_round(ADAPTIVE)
    offer = world.open()
    for name in NAMES:
        world.aggregator.receive(name, world.contribution(name, offer, HONEST))
    finished = world.finish()
    model, norm = world.silos["ambon"].model, norm_of(world)
    with pytest.raises(MessageRefused, match="for a norm of"):
        world.silos["ambon"].accept(
            with_norm(offer, NORM), finished.release, finished.result, finished.receipts.of("ambon")
        )
    assert norm_of(world) == norm
    assert all(np.array_equal(a, b) for a, b in zip(model, world.silos["ambon"].model, strict=True))
    world.accept(finished)
    assert norm_of(world) < NORM
