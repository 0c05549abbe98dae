"""Members, dealers and aggregators that are started again, old disks, and attempts that open late or never."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from committee_world import (
    EIGHT,
    CommitteeWorld,
    close_to_the_mean,
    liars_in,
    other_sum,
    sealed_shares,
    started,
    two_rosters,
)
from identities import identity, speaking_as
from quatrefoil.errors import MessageRefused, RoundVoided
from quatrefoil.federation import agreement
from quatrefoil.federation.authorities import opening_of, read_void
from quatrefoil.federation.committee_messages import CommitteeVoid, MemberKey, MemberKeys, SignedKeys
from quatrefoil.federation.messages import OpenRound, RoundOffer, RoundVoid, VoidRequest
from quatrefoil.state import MemoryState
from signed_messages import body_of, changed

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
        ({"round": 4}, "round 4 is outside 1 to 3"),
        ({"attempt": 1024}, "aggregator hub opens attempt 1024 at round 1, outside 0 to 1023"),
        ({"attempt": 2**63}, "outside 0 to 1023"),
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


def test_a_member_remembers_no_more_attempts_than_a_round_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether an aggregator opens one after the other, or offers them without this member's key and has them voided."""
    monkeypatch.setattr(agreement, "MOST_ATTEMPTS", 3)
    world, hub = started(), identity("hub", "aggregator")
    request, void = world.aggregator.open_request(), world.aggregator.void_request("test")
    for attempt in range(9):
        opening = changed(request, OpenRound, hub, attempt=attempt)
        with contextlib.nullcontext() if attempt < 3 else pytest.raises(MessageRefused, match="outside 0 to 2"):
            world.silos["ambon"].member_key(opening)
    world.down = {"ambon"}
    offered = RoundOffer.decode(body_of(world.open()))
    for attempt in range(9):
        context = dataclasses.replace(offered.context, attempt=attempt)
        signed = []
        for name, key in zip(EIGHT, MemberKeys.decode(context.sealing_key).keys, strict=True):
            said = MemberKey(opening_of(context).digest(), key).encode()
            signed.append(speaking_as(identity(name, "silo")).sign(said) if key else b"")
        offer = world.hub_security.sign(RoundOffer(context, SignedKeys(tuple(signed)).encode()).encode())
        with contextlib.nullcontext() if attempt < 3 else pytest.raises(MessageRefused, match="outside 0 to 2"):
            world.silos["ambon"].member_void(offer, changed(void, VoidRequest, hub, attempt=attempt))
    remembered = world.states["ambon"].names("member/")
    assert len(remembered) == 6 and {int(name.split("/")[2]) for name in remembered} == {0, 1, 2}


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
