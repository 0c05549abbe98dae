"""A malicious aggregator asks for two rosters of one round.

All silos confirm both here: what is refused, the keeper refuses by itself.
"""

from __future__ import annotations

import numpy as np
import pytest

from forged_messages import asked_for
from identities import identity
from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import shape_of
from quatrefoil.federation.messages import KeyRelease, OpenRound, RoundOffer, SealedContribution
from signed_messages import body_of, changed
from world import NAMES, SAMPLES, UPDATES, World

VICTIM = "dakar"
WEIGHT = SAMPLES[VICTIM] / max(SAMPLES[name] for name in NAMES)


def received(world: World, offer: bytes) -> dict[str, list[bytes]]:
    """Signed contribution, sealed key and ciphertext of every silo, as they arrive."""
    return {name: parts.split(world.contribution(name, offer), 4) for name in NAMES}


def ask(world: World, offer: bytes, sent: dict[str, list[bytes]], names: tuple[str, ...]) -> bytes:
    context = RoundOffer.decode(body_of(offer)).context.digest()
    request = asked_for(context, [SealedContribution(sent[name][0], sent[name][1]) for name in names])
    return world.keeper.answer(world.hub_security.sign(request.encode()))


def decrypted(
    world: World, offer: bytes, sent: dict[str, list[bytes]], names: tuple[str, ...], key: bytes
) -> np.ndarray:
    shape = shape_of(RoundOffer.decode(body_of(offer)).context)
    total = world.aggregation().accumulator(shape=shape)
    for name in names:
        total.add(sent[name][2])
    return world.aggregation().decrypt(total.total(), key, shape=shape, count=len(names)).values


def test_a_keeper_that_answered_twice_would_give_a_silos_update_away() -> None:
    """Keys of both rosters, as the kernel combines them: what the keeper's rule stands against."""
    world = World().begin()
    offer = world.open()
    sent = received(world, offer)
    (attempt,) = world.keeper._open.values()
    context = attempt.context.digest()
    keys = {name: bytes(attempt.recipient.open(sent[name][1], context=context).plaintext) for name in NAMES}
    sums = []
    for names in (NAMES, NAMES[:3]):
        key = world.aggregation().combine_keys([keys[name] for name in names])
        sums.append(decrypted(world, offer, sent, names, key))
    np.testing.assert_allclose((sums[0] - sums[1]) / WEIGHT, UPDATES[VICTIM], atol=0.01)


@pytest.mark.parametrize("larger_first", [True, False])
def test_the_keeper_answers_for_one_roster(larger_first: bool) -> None:
    world = World().begin()
    offer = world.open()
    sent = received(world, offer)
    first, second = (NAMES, NAMES[:3]) if larger_first else (NAMES[:3], NAMES)
    key = parts.split(ask(world, offer, sent, first), 2)[1]
    try:
        answer = ask(world, offer, sent, second)
    except MessageRefused as refused:
        assert "is answered only once" in refused.problem
    else:
        assert parts.split(answer, 2)[1] == key
        assert KeyRelease.decode(body_of(parts.split(answer, 2)[0])).contributors == first
    assert abs(float(decrypted(world, offer, sent, first, key).mean()) / WEIGHT - UPDATES[VICTIM]) > 0.1


def test_the_key_of_one_roster_opens_no_other_sum() -> None:
    """Changing the count in the key's header does not help: the noise is all over the place."""
    world = World().begin()
    offer = world.open()
    sent = received(world, offer)
    key = bytearray(parts.split(ask(world, offer, sent, NAMES), 2)[1])
    assert key[12:16] == (4).to_bytes(4, "little")
    key[12:16] = (3).to_bytes(4, "little")
    with pytest.raises(Exception, match="key does not belong to this sum"):
        decrypted(world, offer, sent, NAMES[:3], bytes(key))


def test_two_attempts_need_a_void_between_them() -> None:
    """Another key for the same round is another roster: silos encrypt for it only against the void of the first."""
    world = World().begin()
    offer = world.open()
    sent = received(world, offer)
    ask(world, offer, sent, NAMES)
    with pytest.raises(MessageRefused, match="has been answered and cannot be voided"):
        world.void()
    with pytest.raises(MessageRefused, match="attempt 0 at round 1 has no void"):
        world.keeper.open_round(
            world.aggregator.enrolled_job,
            changed(world.aggregator.open_request(), OpenRound, identity("hub", "aggregator"), attempt=1),
        )
