"""The aggregator with members of a committee that pool what they hold: up to so many nothing, then everything."""

from __future__ import annotations

import numpy as np
import pytest

from committee_world import EIGHT, CommitteeWorld
from quatrefoil.errors import CiphertextRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import shape_of
from quatrefoil.federation.committee_messages import MemberRequest
from quatrefoil.federation.messages import RosterProposal, RoundOffer
from signed_messages import body_of
from world import SAMPLES, UPDATES


def shares_of(names: tuple[str, ...]) -> tuple[CommitteeWorld, dict[int, bytes], bytes, RoundOffer]:
    """What these members opened of ambon's contribution, each as an answer about that silo alone; its ciphertext."""
    world = CommitteeWorld()
    world.begin()
    offer = world.open()
    world.send(offer)
    world.share()
    signed = world.aggregator._current_attempt().received["ambon"]
    answers = {}
    for name in names:
        opened = world.silos[name]._member._open
        assert opened is not None
        (share,) = (one for digest, one in opened[1].shares.items() if opened[1].claims[digest][0] == "ambon")
        threshold = world.policy.threshold
        assert threshold is not None
        answers[EIGHT.index(name) + 1] = world.aggregation().add_shares([share], threshold)
    return world, answers, signed.ciphertext.read(), RoundOffer.decode(body_of(offer))


def test_the_limit_as_many_members_as_answer_read_every_update_with_the_aggregator() -> None:
    world, answers, ciphertext, offered = shares_of(EIGHT[:5])
    threshold, shape = world.policy.threshold, shape_of(offered.context)
    assert threshold is not None
    total = world.aggregation().accumulator(shape=shape)
    total.add(ciphertext)
    found = world.aggregation().recover_key(answers, threshold, total=total.total(), shape=shape, count=1)
    values = world.aggregation().decrypt(total.total(), found.combined_key, shape=shape, count=1).values
    weight = SAMPLES["ambon"] / max(SAMPLES[name] for name in EIGHT)
    assert np.allclose(values / weight, UPDATES["ambon"], atol=1e-3)


def test_one_member_less_than_answer_opens_nothing() -> None:
    world, answers, ciphertext, offered = shares_of(EIGHT[:4])
    threshold, shape = world.policy.threshold, shape_of(offered.context)
    assert threshold is not None
    total = world.aggregation().accumulator(shape=shape)
    total.add(ciphertext)
    with pytest.raises(CiphertextRefused):
        world.aggregation().recover_key(answers, threshold, total=total.total(), shape=shape, count=1)


def test_the_limit_more_members_than_liars_that_answer_twice_give_one_update_away() -> None:
    """2 t_rec - n of them, two here with ``liars = 1``, are in two sets of answers that have no honest member in
    common: the aggregator that they are with has two rosters answered, and the difference is one update."""
    world = CommitteeWorld()
    world.begin()
    offer = world.open()
    world.send(offer)
    world.propose()
    threshold, attempt = world.policy.threshold, world.aggregator._current_attempt()
    assert threshold is not None and 2 * threshold.recovery - threshold.members == 2
    everybody = RosterProposal.decode(body_of(world.proposal))
    others = RosterProposal(everybody.context, everybody.contributors[1:], everybody.contributions[1:])
    assert everybody.contributors[0] == "ambon"
    adding, shape = world.aggregation(), shape_of(attempt.context)
    turned = {}
    for name in EIGHT[6:]:
        opened = world.silos[name]._member._open
        assert opened is not None
        turned[name] = dict(opened[1].shares)
    sums = []
    for roster, asked in ((everybody, EIGHT[:3]), (others, EIGHT[3:6])):
        request = MemberRequest(world.hub_security.sign(roster.encode()), ()).encode()
        answers = {
            EIGHT.index(name) + 1: parts.split(world.silos[name].member_answer(offer, request), 2)[1] for name in asked
        }
        for name, shares in turned.items():
            answers[EIGHT.index(name) + 1] = adding.add_shares([shares[one] for one in roster.contributions], threshold)
        total, count = attempt.total(roster.contributors), len(roster.contributors)
        found = adding.recover_key(answers, threshold, total=total, shape=shape, count=count)
        assert found.liars == ()
        sums.append(adding.decrypt(total, found.combined_key, shape=shape, count=count).values)
    weight = SAMPLES["ambon"] / max(SAMPLES[name] for name in EIGHT)
    assert np.allclose((sums[0] - sums[1]) / weight, UPDATES["ambon"], atol=1e-3)


def test_no_share_crosses_the_aggregator_in_the_clear() -> None:
    world, _, _, _ = shares_of(EIGHT[:1])
    opened = world.silos["ambon"]._member._open
    assert opened is not None
    received = world.aggregator._current_attempt().received
    crossed = b"".join(one.signed + one.sealed_key + one.ciphertext.read() for one in received.values())
    shares = [bytes(share) for share in opened[1].shares.values()]
    assert len(shares) == len(EIGHT)
    assert all(share[:64] not in crossed and share[-64:] not in crossed for share in shares)
