"""Rounds with a committee of eight, two silent and one lying: what is added, and for which rosters members answer."""

from __future__ import annotations

import dataclasses

import pytest

from committee_world import EIGHT, CommitteeWorld, close_to_the_mean, liars_in, other_sum, started, two_rosters
from identities import identity
from quatrefoil.errors import MessageRefused, PolicyError, ProofRejected
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.authorities import read_contributors, read_void
from quatrefoil.federation.committee_messages import (
    CommitteeRelease,
    Delivery,
    MemberKeys,
    MemberRequest,
    ShareRequest,
    SharesValue,
    SignedKeys,
)
from quatrefoil.federation.fitting import difference
from quatrefoil.federation.messages import Contribution, Job, Member, RosterProposal, RoundContext, RoundOffer
from signed_messages import body_of, changed

# ------------------------------------------------------------------------------------------------------ what is added


def test_two_silent_and_one_lying_of_eight_hold_up_nothing() -> None:
    world = started()
    world.down = {"bari", "elba"}
    other_sum(world, "ambon")
    world.send(world.open(), [name for name in EIGHT if name not in world.down])
    finished = world.finish()
    assert finished.contributors == ("ambon", "cusco", "dakar", "faro", "graz", "huesca")
    assert close_to_the_mean(world, finished.contributors)
    assert liars_in(world) == ["ambon"] and set(world.desk.answers.liars) == {"ambon"}
    release = CommitteeRelease.decode(finished.release)
    assert len(release.answers) == 5 and "ambon" not in {
        world.hub_security.verify(one).signer for one in release.answers
    }


def test_silos_take_only_what_so_many_members_have_answered_for() -> None:
    world = started()
    world.send(world.open())
    finished = world.finish(EIGHT[:5])
    release = CommitteeRelease.decode(finished.release)
    for answers in (release.answers[:4], (*release.answers[:4], release.answers[0])):
        few = dataclasses.replace(release, answers=answers).encode()
        with pytest.raises(MessageRefused, match="4 members answered for the roster, 5 of 8 must"):
            world.silos["ambon"].accept(finished.offer, few, finished.result, finished.receipts.of("ambon"))
    world.accept(finished)
    assert all(silo.rounds_done == 1 for silo in world.silos.values())
    assert not list(world.states["ambon"].names("member/"))


def test_a_job_of_several_rounds_comes_to_its_end_and_is_stated() -> None:
    world = started()
    world.rounds = 3
    for _ in range(3):
        world.run_round()
    assert world.aggregator.rounds_done == 3
    assert world.signed() is not None


def test_an_answer_that_is_repeated_is_the_same_byte_for_byte_also_after_a_restart() -> None:
    world = started()
    world.send(world.open())
    world.propose()
    first = world.answer_of("cusco")
    assert world.answer_of("cusco") == first
    world.restart("cusco")
    assert world.answer_of("cusco") == first


def test_late_answers_change_nothing() -> None:
    world = started()
    world.send(world.open())
    world.propose()
    late = world.answer_of("huesca")
    world.aggregator.finish(world.gathered(EIGHT[:5]))
    with pytest.raises(MessageRefused, match="no round is open"):
        world.desk.answers.take("huesca", late)
    assert world.desk.answers.liars == {}


# ---------------------------------------------------------------------------------------------------------- two rosters


def test_two_quorums_cannot_answer_two_rosters() -> None:
    world = started()
    offer = world.open()
    world.send(offer)
    first, second = two_rosters(world)
    answered: dict[bytes, set[str]] = {first: set(), second: set()}
    for asked, names in ((first, EIGHT[:5]), (second, EIGHT)):
        for name in names:
            try:
                world.silos[name].member_answer(offer, world.desk.answers.request(name, asked))
                answered[asked].add(name)
            except MessageRefused as error:
                assert error.party == "hub" and "second roster" in error.problem
    assert len(answered[first]) == 5 and len(answered[second]) == 3
    assert not answered[first] & answered[second]
    evidence = [
        one for one in world.log.entries() if one.kind == "refusal" and set(one.attached) == {"first", "second"}
    ]
    assert len(evidence) == 5 and all(one.body["party"] == "hub" for one in evidence)


def test_answers_for_two_rosters_are_no_release_together() -> None:
    world = started()
    offer = world.open()
    world.send(offer)
    first, second = two_rosters(world)
    given = []
    for asked, names in ((first, EIGHT[:3]), (second, EIGHT[3:])):
        for name in names:
            message = world.silos[name].member_answer(offer, world.desk.answers.request(name, asked))
            given.append(parts.split(message, 2)[0])
    context = RoundOffer.decode(body_of(offer)).context.digest()
    job = world.silos["ambon"]._agreed()
    for asked in (first, second):
        with pytest.raises(MessageRefused, match="for another roster"):
            read_contributors(job, world.hub_security, CommitteeRelease(asked, tuple(given)).encode(), context)


def test_an_answered_round_is_answered_for_the_same_silos_in_every_attempt() -> None:
    world = started()
    world.send(world.open())
    world.propose()
    for name in EIGHT[:4]:  # too few to give the sum, and enough that no other roster can be answered for
        world.desk.answers.take(name, world.answer_of(name))
    void = world.void()
    assert not read_void(world.silos["ambon"]._agreed(), world.hub_security, void).unanswered
    world.send(world.open(), EIGHT[:-1])
    world.propose()
    for name in EIGHT[:4]:
        with pytest.raises(MessageRefused, match="another roster of them is refused"):
            world.answer_of(name)
    for name in EIGHT[4:]:
        world.answer_of(name)


# -------------------------------------------------------------------------------------------------------- the keeper's


def test_members_answer_for_no_roster_under_the_minimum() -> None:
    world = started()
    world.send(world.open(), EIGHT[:2])
    world.share()
    with pytest.raises(PolicyError, match="2 of at least 3 silos contributed"):
        world.aggregator.check_roster()
    proposal = world.aggregator.propose()
    with pytest.raises(MessageRefused, match="the policy's minimum is 3"):
        world.silos["ambon"].member_answer(world.offer, world.desk.answers.request("ambon", proposal))


def test_members_set_no_small_group_apart() -> None:
    world = started(group=3)
    world.run_round()
    world.send(world.open(), EIGHT[:-1])
    world.share()
    with pytest.raises(PolicyError, match="sets apart huesca"):
        world.aggregator.check_roster()
    proposal = world.aggregator.propose()
    with pytest.raises(PolicyError, match="sets apart huesca"):
        world.silos["ambon"].member_answer(world.offer, world.desk.answers.request("ambon", proposal))


def test_members_answer_for_no_contribution_under_another_silos_name() -> None:
    """An aggregator and one silo with it, which signs as many contributions as a roster takes, would else have the key
    of the one honest silo among them."""
    world = started()
    offer = world.open()
    world.send(offer)
    context = RoundOffer.decode(body_of(offer)).context
    received = world.aggregator._current_attempt().received
    liar = world.silos["huesca"]
    trained = [array + array.dtype.type(0.1) for array in liar.model]
    update = difference(trained, liar.model, liar.job.layout)
    more = [parts.split(liar._encrypt(context, update), 4)[:2] for _ in range(2)]
    brought = [*more, [received["ambon"].signed, received["ambon"].sealed_key]]
    contributions = (received["ambon"].signed, more[0][0], more[1][0])
    names = ("ambon", "graz", "huesca")
    proposal = RosterProposal(context.digest(), names, tuple(sha256(one) for one in contributions))
    request = MemberRequest(world.hub_security.sign(proposal.encode()), ()).encode()
    for number, name in enumerate(EIGHT[:6]):
        shares = [(signed, parts.split(sealed, 8)) for signed, sealed in brought]
        deliveries = tuple(
            Delivery(signed, tuple(sha256(one) for one in sealed), sealed[number]) for signed, sealed in shares
        )
        asked = ShareRequest(context.digest(), number + 1, deliveries)
        world.silos[name].check_shares(offer, world.hub_security.sign(asked.encode()))
        with pytest.raises(MessageRefused, match="contribution of huesca in the place of graz's") as caught:
            world.silos[name].member_answer(offer, request)
        assert caught.value.party == "hub"


def test_a_contribution_whose_claim_is_of_other_shares_is_refused() -> None:

    world = started()
    offer = world.open()
    signed, *beside = parts.split(world.contribution("ambon", offer), 4)
    (claim,) = Contribution.decode(body_of(signed)).claims
    said = SharesValue.decode(claim.value)
    short = (said.commitments[0][:-1], *said.commitments[1:])
    for value in (
        b"",
        SharesValue(said.commitments[:-1], said.values).encode(),
        SharesValue(short, said.values).encode(),
        SharesValue(said.commitments, said.values[:-1]).encode(),
    ):
        claims = (dataclasses.replace(claim, value=value),)
        lie = changed(signed, Contribution, identity("ambon", "silo"), claims=claims)
        with pytest.raises(ProofRejected, match=r"ambon (claims|commits|signed another claim)"):
            world.aggregator.receive("ambon", parts.join([lie, *beside]))


def test_a_job_with_other_members_or_with_a_keeper_is_no_job_of_this_policy() -> None:

    world = CommitteeWorld()
    world.enrol()
    signed = world.enrolments.job()
    keeper = identity("keeper", "keeper")
    for changes in (
        {"members": EIGHT[:-1]},
        {"members": ()},
        {"members": EIGHT[::-1]},
        {"keeper": Member(keeper.name, keeper.fingerprint, 0)},
    ):
        lie = changed(signed, Job, identity("hub", "aggregator"), **changes)
        with pytest.raises(PolicyError, match="for its committee, and the policy appoints"):
            world.silos["ambon"].consent(lie)


def test_contexts_of_one_attempt_are_two_only_if_the_aggregator_lies_and_a_silo_sends_to_one() -> None:
    world = started()
    offer = world.open()
    world.contribution("ambon", offer)
    offered = RoundOffer.decode(body_of(offer))
    other = dataclasses.replace(offered, context=_without_one_key(offered.context))

    signed = list(SignedKeys.decode(offered.evidence).keys)
    signed[0] = b""
    lie = world.hub_security.sign(dataclasses.replace(other, evidence=SignedKeys(tuple(signed)).encode()).encode())
    with pytest.raises(MessageRefused, match="already sent its update of round 1 under another context"):
        world.contribution("ambon", lie)


def _without_one_key(context: RoundContext) -> RoundContext:

    keys = list(MemberKeys.decode(context.sealing_key).keys)
    keys[0] = b""
    return dataclasses.replace(context, sealing_key=MemberKeys(tuple(keys)).encode())
