"""Members and dealers that lie, in rounds with a committee of eight: what their lies change, and who is named."""

from __future__ import annotations

import dataclasses

import pytest

from committee_world import EIGHT, CommitteeWorld, close_to_the_mean, liars_in, other_sum, sealed_shares, started
from identities import identity, speaking_as
from quatrefoil.errors import CiphertextRefused, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.committee_messages import CommitteeRelease, Complaint, MemberAnswer, ShareReport
from signed_messages import body_of, changed, damaged

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
