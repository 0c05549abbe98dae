"""Rounds with a committee of eight, two silent and one lying: what is added, who is named, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest

from committee_world import EIGHT, CommitteeWorld, sealed_shares
from quatrefoil.errors import CiphertextRefused, MessageRefused, PolicyError, ProofRejected, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.authorities import read_contributors, read_void
from quatrefoil.federation.committee_messages import (
    CommitteeRelease,
    CommitteeVoid,
    Complaint,
    Delivery,
    MemberAnswer,
    MemberKey,
    MemberKeys,
    MemberRequest,
    ShareReport,
    ShareRequest,
    SharesValue,
    SignedKeys,
)
from quatrefoil.federation.fitting import difference
from quatrefoil.federation.messages import (
    Contribution,
    Job,
    Member,
    OpenRound,
    RosterProposal,
    RoundContext,
    RoundOffer,
    RoundVoid,
)
from quatrefoil.state import MemoryState
from world import body_of, changed, damaged, expected_mean, identity, speaking_as


def started(**limits: object) -> CommitteeWorld:
    found = CommitteeWorld(limits=limits)
    found.begin()
    return found


def close_to_the_mean(world: CommitteeWorld, names: tuple[str, ...] = EIGHT, bound: float = 1e-3) -> bool:
    return world.moved() == pytest.approx(expected_mean(names), abs=bound)


def other_sum(world: CommitteeWorld, name: str) -> None:
    """``name`` answers with another sum than that of its shares, and signs it."""

    def lie(message: bytes) -> bytes:
        signed, total = parts.split(message, 2)
        wrong = total[:-8] + bytes(7) + b"\x01"
        return parts.join([changed(signed, MemberAnswer, identity(name, "silo"), sum=sha256(wrong)), wrong])

    world.lies[name] = lie


def liars_in(world: CommitteeWorld) -> list[str]:
    return [body["silo"] for body in world.logged("refusal") if "another sum" in body["reason"]]


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


# --------------------------------------------------------------------------------------------------------- bad answers


def test_a_member_that_answers_twice_is_named_with_both_answers() -> None:
    world = started()
    world.send(world.open())
    world.propose()
    first = world.answer_of("cusco")
    world.desk.answers.take("cusco", first)
    world.desk.answers.take("cusco", first)
    other_sum(world, "cusco")
    with pytest.raises(MessageRefused, match="cusco answers twice, and differently"):
        world.desk.answers.take("cusco", world.answer_of("cusco"))
    entry = next(one for one in world.log.entries() if one.kind == "refusal" and "two answers" in one.body["reason"])
    assert set(entry.attached) == {"first", "second"} and entry.body["silo"] == "cusco"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda signed, total: (signed, bytes(len(total))), "is not what it signed"),
        (lambda signed, total: (changed(signed, MemberAnswer, identity("cusco", "silo"), member=1), total), "is not"),
        (
            lambda signed, total: (changed(signed, MemberAnswer, identity("cusco", "silo"), proposal=bytes(32)), total),
            "answers for another roster",
        ),
        (lambda signed, total: (changed(signed, MemberAnswer, identity("bari", "silo")), total), "not by silo cusco"),
    ],
)
def test_what_a_member_has_not_signed_is_no_answer(change: object, problem: str) -> None:
    world = started()
    world.send(world.open())
    world.propose()
    signed, total = parts.split(world.answer_of("cusco"), 2)
    with pytest.raises(MessageRefused, match=problem):
        world.desk.answers.take("cusco", parts.join(list(change(signed, total))))  # type: ignore[operator]
    assert "cusco" not in world.desk.answers.answered


def test_with_more_liars_than_are_allowed_for_nothing_is_published_and_nobody_is_accused() -> None:
    world = started()
    world.send(world.open())
    for name in ("ambon", "bari", "cusco", "dakar"):
        other_sum(world, name)
    world.propose()
    with pytest.raises(CiphertextRefused):
        world.gathered(EIGHT)
    assert world.desk.answers.liars == {} and world.aggregator.rounds_done == 0


def test_an_answer_that_comes_during_a_trial_has_no_part_in_its_end() -> None:
    world = started()
    world.send(world.open())
    other_sum(world, "faro")
    world.propose()
    for name in EIGHT[:5]:
        world.desk.answers.take(name, world.answer_of(name))
    trial = world.desk.answers.trial()
    for name in EIGHT[5:]:
        world.desk.answers.take(name, world.answer_of(name))
    found = world.desk.answers.conclude(world.proposal, trial)
    assert found is not None and world.desk.answers.liars == {}
    release = CommitteeRelease.decode(parts.split(found, 2)[0])
    assert {world.hub_security.verify(one).signer for one in release.answers} == set(EIGHT[:5])


def test_a_trial_that_fails_while_more_answers_come_ends_nothing() -> None:
    world = started()
    world.send(world.open())
    other_sum(world, "ambon")
    world.propose()
    answers = world.desk.answers
    for name in EIGHT[:5]:
        answers.take(name, world.answer_of(name))
    trial = answers.trial()
    for name in EIGHT[5:]:
        answers.take(name, world.answer_of(name))
    assert answers.conclude(world.proposal, trial) is None and answers.liars == {}
    assert answers.can_try
    assert answers.conclude(world.proposal, answers.trial()) is not None and liars_in(world) == ["ambon"]


# ---------------------------------------------------------------------------------------------------------- two rosters


def two_rosters(world: CommitteeWorld) -> tuple[bytes, bytes]:
    """Proposals of an aggregator that signs two for one attempt."""
    first = world.propose()
    proposal = RosterProposal.decode(body_of(first))
    less = dataclasses.replace(
        proposal, contributors=proposal.contributors[:-1], contributions=proposal.contributions[:-1]
    )
    return first, world.hub_security.sign(less.encode())


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


# -------------------------------------------------------------------------------------------------------- lying dealers


def dealt_wrong(world: CommitteeWorld, dealer: str, victim: str, *, shown: str) -> None:
    """``dealer`` seals another share to ``victim`` than it commits to, and shows the right one, a wrong one, or
    none."""
    silo, number = world.silos[dealer], EIGHT.index(victim)
    deal = silo._dealer._aggregation.deal_key

    class Lying:
        def __getattr__(self, name: str) -> object:
            return getattr(silo._aggregation, name)

        def deal_key(self, *arguments: object) -> object:
            found = deal(*arguments)
            true = bytes(found.shares[number])
            found.shares[number][-1] ^= 1
            if shown == "right":
                world.after = lambda: found.shares[number].__setitem__(slice(None), true)
            return found

    silo._dealer._aggregation = Lying()  # type: ignore[assignment]


def test_a_dealer_that_shows_the_right_share_stays_and_the_member_answers_with_it() -> None:
    world = started()
    dealt_wrong(world, "faro", "bari", shown="right")
    world.send(world.open())
    world.after()
    finished = world.finish()
    assert "faro" in finished.contributors and close_to_the_mean(world)
    (complaint,) = world.logged("complaint")
    assert (complaint["member"], complaint["silo"]) == ("bari", "faro")
    assert {body["member"] for body in world.logged("share-opened")} == {"bari"}
    assert not [body for body in world.logged("refusal") if body["silo"] == "faro"]


def test_a_dealer_that_shows_a_wrong_share_is_left_out_and_named() -> None:
    world = started()
    dealt_wrong(world, "faro", "bari", shown="wrong")
    world.send(world.open())
    finished = world.finish()
    assert "faro" not in finished.contributors and close_to_the_mean(world, finished.contributors)
    reasons = [body["reason"] for body in world.logged("refusal") if body["silo"] == "faro"]
    assert any("member bari complains, and it showed no share that fits" in reason for reason in reasons)


def test_a_dealer_that_was_started_again_has_nothing_to_show_and_is_left_out() -> None:
    world = started()
    dealt_wrong(world, "faro", "bari", shown="right")
    world.send(world.open())
    world.restart("faro")
    assert "faro" not in world.finish().contributors


def test_a_liar_gains_nothing_by_complaining() -> None:
    world = started()
    offer = world.open()
    world.send(offer)
    silo = world.silos["bari"]
    honest = ShareReport.decode(body_of(silo.check_shares(offer, world.desk.shares.request("bari"))))
    signed = world.aggregator._current_attempt().received["faro"].signed

    lie = dataclasses.replace(
        honest,
        accepted=tuple(one for one in honest.accepted if one != sha256(signed)),
        complaints=(Complaint("faro", sha256(signed), "so I say"),),
    )
    world.desk.shares.take_report("bari", speaking_as(identity("bari", "silo")).sign(lie.encode()))
    finished = world.finish(EIGHT[2:])
    assert "faro" in finished.contributors and close_to_the_mean(world)


def test_no_more_shares_are_shown_than_members_may_lie() -> None:
    world = started()
    for victim in ("bari", "cusco"):
        dealt_wrong(world, "faro", victim, shown="right")
    world.send(world.open())
    world.share()
    assert "faro" in world.aggregator.refused
    assert any("shown shares might tell its key" in body["reason"] for body in world.logged("refusal"))


def test_shares_that_the_aggregator_changed_are_its_own_fault() -> None:
    world = started()
    offer = world.open()
    world.send(offer)
    received = world.aggregator._current_attempt().received
    sealed = parts.split(received["faro"].sealed_key, 8)
    broken = parts.join([damaged(one) for one in sealed])
    received["faro"] = dataclasses.replace(received["faro"], sealed_key=broken)
    with pytest.raises(MessageRefused, match="aggregator hub brings another share than faro signed") as caught:
        world.silos["bari"].check_shares(offer, world.desk.shares.request("bari"))
    assert caught.value.party == "hub"


def test_shares_are_sealed_to_each_member_apart() -> None:
    world = started()
    offer = world.open()
    shares = sealed_shares(world.contribution("ambon", offer))
    assert len(set(shares)) == 8 and all(shares)


# ---------------------------------------------------------------------------------------------- restarts and old disks


def test_members_that_are_started_again_are_silent_and_the_round_goes_on() -> None:
    world = started()
    world.send(world.open())
    for name in ("ambon", "bari"):
        world.restart(name)
    assert world.finish().contributors == EIGHT
    silent = [body for body in world.logged("refusal") if "is silent" in body["reason"]]
    assert {body["silo"] for body in silent} == {"ambon", "bari"}


def test_with_too_many_silent_the_attempt_is_voided_and_the_next_one_ends_the_round() -> None:
    world = started()
    world.send(world.open())
    for name in EIGHT[:4]:
        world.restart(name)
    world.share()
    assert world.desk.members.is_hopeless
    void = CommitteeVoid.decode(world.void("too few members are left"))
    assert len(void.voids) == 8
    offer = world.open()
    assert RoundOffer.decode(body_of(offer)).context.attempt == 1
    for name in EIGHT:  # the same update again, against the void
        silo = world.silos[name]
        silo.take_void_receipts(world.aggregator.void_receipts(name), world.aggregator.voids)
    world.send(offer)
    assert world.finish().contributors == EIGHT and close_to_the_mean(world)


def test_an_attempt_that_is_void_is_answered_no_more() -> None:
    world = started()
    offer = world.open()
    world.send(offer)
    proposal = world.propose()
    requests = {name: world.desk.answers.request(name, proposal) for name in EIGHT}
    world.void()
    for name, silo in world.silos.items():
        with pytest.raises(RoundVoided):
            silo.member_answer(offer, requests[name])


@pytest.mark.parametrize("votes", [4, 0])
def test_a_void_takes_as_many_members_as_an_answer(votes: int) -> None:
    world = started()
    world.send(world.open())
    void = CommitteeVoid.decode(world.void())
    few = CommitteeVoid(void.voids[:votes] + void.voids[:votes]).encode()
    with pytest.raises(MessageRefused, match=f"{votes} members void an attempt, 5 of 8 must"):
        read_void(world.silos["ambon"]._agreed(), world.hub_security, few)
    for forged in (
        (*void.voids[:4], changed(void.voids[4], RoundVoid, identity("ambon", "silo"))),
        (*void.voids[:4], changed(void.voids[4], RoundVoid, identity("hub", "aggregator"))),
        (*void.voids[:4], changed(void.voids[4], RoundVoid, identity("elba", "silo"), attempt=7)),
    ):
        with pytest.raises(MessageRefused):
            read_void(world.silos["ambon"]._agreed(), world.hub_security, CommitteeVoid(forged).encode())


def disk_of(world: CommitteeWorld, name: str) -> MemoryState:
    state = world.states[name]
    assert isinstance(state, MemoryState)
    return state.copy()


def test_an_old_disk_of_a_member_buys_no_second_answer() -> None:
    world = started()
    old = {name: disk_of(world, name) for name in EIGHT}
    offer = world.open()
    world.send(offer)
    first, second = two_rosters(world)
    for name in EIGHT[:5]:
        world.silos[name].member_answer(offer, world.desk.answers.request(name, first))
    requests = {name: world.desk.answers.request(name, second) for name in EIGHT}
    for name in EIGHT[:5]:
        world.states[name] = old[name]
        world.restart(name)
        with pytest.raises(RoundVoided, match="key of round 1 attempt 0 is gone"):
            world.silos[name].member_answer(offer, requests[name])


def test_a_member_that_finds_its_disk_to_be_old_signs_no_void() -> None:
    world = started()
    old = disk_of(world, "ambon")
    offer = world.open()
    world.states["ambon"] = old
    world.restart("ambon")
    with pytest.raises(MessageRefused, match="its state is an old copy"):
        world.silos["ambon"].member_void(offer, world.aggregator.void_request("test"))


def test_an_aggregator_that_is_started_again_goes_on_with_the_same_offer_and_roster() -> None:
    world = started()
    offer = world.open()
    messages = {name: world.contribution(name, offer) for name in EIGHT}
    world.send(offer)
    proposal = world.propose()
    early = world.answer_of("ambon")
    world.restart_hub()
    assert world.open() == offer
    for name in EIGHT:
        assert world.contribution(name, offer) == messages[name]
    world.send(offer)
    world.share()
    assert world.aggregator.propose() == proposal and world.answer_of("ambon") == early
    assert world.aggregator.finish(world.gathered(EIGHT)).contributors == EIGHT


# ------------------------------------------------------------------------------------------------------------- opening


def test_an_attempt_opens_without_the_silent_and_not_without_more() -> None:
    world = started()
    world.down = {"ambon", "bari", "cusco"}
    with pytest.raises(MessageRefused, match="5 members have given keys, 6 are waited for"):
        world.open()
    world.down = {"ambon", "bari"}
    offer = world.open()
    shares = sealed_shares(world.contribution("faro", offer))
    assert [bool(share) for share in shares] == [False, False, *[True] * 6]


def test_members_that_were_started_again_before_the_offer_hold_nothing_up() -> None:
    world = started()
    request = world.aggregator.open_request()
    for name in EIGHT[:3]:
        world.silos[name].member_key(request)
        world.restart(name)
    world.send(world.open())
    assert len(world.desk.members.usable) == 5
    assert world.finish().contributors == EIGHT and close_to_the_mean(world)


def test_a_lie_among_too_few_voids_the_attempt_and_the_next_one_finds_the_liar() -> None:
    world = started()
    request = world.aggregator.open_request()
    for name in EIGHT[:3]:
        world.silos[name].member_key(request)
        world.restart(name)
    other_sum(world, "faro")
    world.send(world.open())
    world.propose()
    with pytest.raises(RoundVoided, match="5 members answered, and 5 of them do not agree"):
        world.gathered(EIGHT)
    world.void()
    world.send(world.open())
    assert world.finish(("faro", *EIGHT)).contributors == EIGHT and liars_in(world) == ["faro"]


@pytest.mark.parametrize("change", ["other key", "not signed", "few", "by another", "another attempt"])
def test_silos_seal_only_to_keys_that_members_signed_for_this_attempt(change: str) -> None:

    world = started()
    offered = RoundOffer.decode(body_of(world.open()))
    keys = list(MemberKeys.decode(offered.context.sealing_key).keys)
    signed = list(SignedKeys.decode(offered.evidence).keys)
    if change == "other key":
        keys[2] = keys[3]
    elif change == "not signed":
        signed[2] = b""
    elif change == "few":
        keys[:4], signed[:4] = [b""] * 4, [b""] * 4
    elif change == "by another":
        signed[2] = changed(signed[2], MemberKey, identity("hub", "aggregator"))
    else:
        signed[2] = changed(signed[2], MemberKey, identity("cusco", "silo"), opening=bytes(32))
    context = dataclasses.replace(offered.context, sealing_key=MemberKeys(tuple(keys)).encode())
    lie = world.hub_security.sign(RoundOffer(context, SignedKeys(tuple(signed)).encode()).encode())
    with pytest.raises(MessageRefused):
        world.silos["ambon"].check_offer(lie)


def test_an_offer_that_the_aggregator_has_not_signed_is_refused() -> None:
    world = started()
    offer = changed(world.open(), RoundOffer, identity("keeper", "keeper"))
    with pytest.raises(MessageRefused, match="not by aggregator hub"):
        world.silos["ambon"].check_offer(offer)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"round": 2}, "round 2 is asked for, 1 is next"),
        ({"model": bytes(32)}, "from another model"),
        ({"job": bytes(32)}, "of another job"),
        ({"update_norm": 1.0}, "another norm or direction"),
        ({"direction": bytes(32)}, "another norm or direction"),
    ],
)
def test_a_member_gives_no_key_for_anything_but_the_round_that_is_next(
    changes: dict[str, object], problem: str
) -> None:
    world = started()
    request = changed(world.aggregator.open_request(), OpenRound, identity("hub", "aggregator"), **changes)
    with pytest.raises(MessageRefused, match=problem):
        world.silos["ambon"].member_key(request)


def test_only_the_aggregator_of_the_job_opens_an_attempt() -> None:
    world = started()
    request = changed(world.aggregator.open_request(), OpenRound, identity("bari", "silo"))
    with pytest.raises(MessageRefused, match="not by aggregator hub"):
        world.silos["ambon"].member_key(request)


def test_a_member_gives_one_key_for_an_attempt_the_same_bytes() -> None:
    world = started()
    request = world.aggregator.open_request()
    first = world.silos["ambon"].member_key(request)
    assert world.silos["ambon"].member_key(request) == first
    world.restart("ambon")
    with pytest.raises(RoundVoided, match="is gone"):
        world.silos["ambon"].member_key(request)


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
