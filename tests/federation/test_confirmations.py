"""What a silo confirms: one roster for the updates of a round, with its own contribution, and no small group apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from identities import STRANGER, identity
from quatrefoil.errors import HostError, MessageRefused, PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Confirmation, RosterProposal, RoundOffer, RoundVoid
from quatrefoil.state import MemoryState
from signed_messages import body_of, changed
from world import MORE_NAMES, NAMES, World

KEEPER, HUB = ("keeper", "keeper"), ("hub", "aggregator")
AWAY = "dakar"
REST = NAMES[:3]


@pytest.fixture
def world() -> World:
    return World().begin()


def proposal(
    world: World, offer: bytes, names: Sequence[str] = NAMES, holder: tuple[str, ...] = HUB, **changes: object
) -> bytes:
    """The aggregator's proposal of these silos' recorded contributions, changed, by whoever is named."""
    signed = [parts.split(world.contribution(name, offer), 4)[0] for name in names]
    made = RosterProposal(
        RoundOffer.decode(body_of(offer)).context.digest(), tuple(names), tuple(sha256(one) for one in signed)
    )
    return changed(world.hub_security.sign(made.encode()), RosterProposal, identity(*holder), **changes)


def lost(world: World) -> RoundVoid:
    """The keeper is started again: a void by a keeper that cannot know whether it has answered."""
    world.keeper = world.make_keeper()
    return RoundVoid.decode(body_of(world.void()))


def confirms(
    world: World, name: str, offer: bytes, names: Sequence[str], voids: Sequence[bytes] | None = None
) -> bytes:
    given = world.aggregator.voids if voids is None else voids
    return world.silos[name].confirm(offer, proposal(world, offer, names), given)


# --------------------------------------------------------------------------------------------- one roster of an attempt


def test_a_confirmation_names_the_attempt_and_the_roster(world: World) -> None:
    offer = world.open()
    proposed = proposal(world, offer)
    confirmation = Confirmation.decode(body_of(world.silos["ambon"].confirm(offer, proposed)))
    assert confirmation.context == RoundOffer.decode(body_of(offer)).context.digest()
    assert confirmation.proposal == RosterProposal.decode(body_of(proposed)).digest()
    assert world.logged("confirmation")[0]["contributors"] == list(NAMES)


def test_the_same_roster_again_gives_the_same_bytes_even_after_a_restart(world: World) -> None:
    offer = world.open()
    first = confirms(world, "ambon", offer, NAMES)
    assert confirms(world, "ambon", offer, NAMES) == first
    world.silos["ambon"] = world.make_silo("ambon")
    assert confirms(world, "ambon", offer, NAMES) == first


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("second", [NAMES[1:], REST, ("ambon", "cusco", "dakar")], ids="-".join)
def test_a_second_roster_of_the_same_attempt_is_refused(world: World, second: Sequence[str], restarted: bool) -> None:
    offer = world.open()
    first = confirms(world, "ambon", offer, NAMES)
    if restarted:
        world.silos["ambon"] = world.make_silo("ambon")
    with pytest.raises(MessageRefused, match="another roster of round 1 attempt 0 was confirmed before"):
        confirms(world, "ambon", offer, second)
    assert confirms(world, "ambon", offer, NAMES) == first


def test_the_same_silos_with_another_contribution_are_another_roster(world: World) -> None:
    offer = world.open()
    confirms(world, "ambon", offer, NAMES)
    contributions = RosterProposal.decode(body_of(proposal(world, offer))).contributions
    other = proposal(world, offer, contributions=(*contributions[:3], bytes(32)))
    with pytest.raises(MessageRefused, match="another roster of round 1 attempt 0 was confirmed before"):
        world.silos["ambon"].confirm(offer, other)


def test_a_silo_that_is_not_in_the_roster_confirms_it_too(world: World) -> None:
    """One that has sent nothing, and one that was left out."""
    offer = world.open()
    confirms(world, AWAY, offer, REST)
    world.contribution("cusco", offer)
    confirms(world, "cusco", offer, ("ambon", "bari", "dakar"))


def test_what_cannot_be_stored_is_not_confirmed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = world.open()
    proposed = proposal(world, offer)

    def full(*_: object) -> bytes:
        raise HostError("full", hint="")

    monkeypatch.setattr(MemoryState, "put_once", full)
    with pytest.raises(HostError):
        world.silos["ambon"].confirm(offer, proposed)
    monkeypatch.undo()
    assert "confirmation" not in world.kinds()
    confirms(world, "ambon", offer, REST)


def test_nothing_is_confirmed_once_the_round_is_over(world: World) -> None:
    offer = world.open()
    proposed = proposal(world, offer)
    world.send(offer)
    world.accept(world.finish())
    with pytest.raises(MessageRefused, match="round 1 was offered, 2 is next"):
        world.silos["ambon"].confirm(offer, proposed)


# ------------------------------------------------------------------------------------------------- the proposal itself


def unsent(world: World, offer: bytes) -> bytes:
    """A roster with cusco in it, which has sent nothing for this attempt."""
    made = proposal(world, offer, NAMES[:2])
    body = RosterProposal.decode(body_of(made))
    return changed(
        made,
        RosterProposal,
        identity(*HUB),
        contributors=("ambon", "bari", "cusco"),
        contributions=(*body.contributions, bytes(32)),
    )


def with_other_contribution(world: World, offer: bytes) -> bytes:
    contributions = RosterProposal.decode(body_of(proposal(world, offer))).contributions
    return proposal(world, offer, contributions=(*contributions[:2], bytes(32), contributions[3]))


Make = Callable[[World, bytes], bytes]
NOT_MY_CONTRIBUTION = "has another contribution of cusco than was sent"
UNSORTED = "not sorted, or names silos that are not of the job"
WRONG: dict[str, tuple[Make, str]] = {
    "another contribution of mine": (with_other_contribution, NOT_MY_CONTRIBUTION),
    "mine, though I sent nothing": (unsent, NOT_MY_CONTRIBUTION),
    "unsorted": (lambda w, o: proposal(w, o, NAMES[::-1]), UNSORTED),
    "one silo twice": (lambda w, o: proposal(w, o, ("ambon", "ambon", "bari", "cusco")), UNSORTED),
    "a stranger": (lambda w, o: proposal(w, o, contributors=("ambon", "bari", "cusco", "elba")), UNSORTED),
    "more names than contributions": (lambda w, o: proposal(w, o, REST, contributors=NAMES), UNSORTED),
    "more contributions than names": (lambda w, o: proposal(w, o, contributors=REST), UNSORTED),
    "nobody": (lambda w, o: proposal(w, o, ()), "has 0 silos, the policy's minimum is 3"),
    "too few": (lambda w, o: proposal(w, o, NAMES[2:]), "has 2 silos, the policy's minimum is 3"),
    "another attempt": (lambda w, o: proposal(w, o, context=bytes(32)), "is of another round or attempt"),
    "by a silo": (lambda w, o: proposal(w, o, holder=("ambon", "silo")), "signed by silo ambon, not by aggregator hub"),
    "by the keeper": (lambda w, o: proposal(w, o, holder=KEEPER), "signed by keeper keeper, not by aggregator hub"),
    "by another aggregator": (lambda w, o: proposal(w, o, holder=("other-hub", "aggregator")), "not by aggregator hub"),
    "by another consortium": (lambda w, o: proposal(w, o, holder=(*HUB, STRANGER)), "no trusted root"),
    "another message": (lambda w, o: w.aggregator.open_request(), "expected urn:quatrefoil:roster-proposal"),
    "no message": (lambda w, o: b"", "not well-formed CBOR"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "problem"), WRONG.values(), ids=WRONG)
def test_a_wrong_proposal_is_refused_and_leaves_the_silo_free(world: World, make: Make, problem: str) -> None:
    offer = world.open()
    wrong = make(world, offer)
    with pytest.raises(MessageRefused, match=problem):
        world.silos["cusco"].confirm(offer, wrong)
    assert world.states["cusco"].names("confirmed/") == [] and "confirmation" not in world.kinds()
    confirms(world, "cusco", offer, NAMES)


def test_a_proposal_for_an_offer_that_this_silo_would_not_send_to_is_refused(world: World) -> None:
    forged = changed(world.open(), RoundOffer, identity(*HUB))
    with pytest.raises(MessageRefused, match="signed by aggregator hub, not by keeper keeper"):
        world.silos["ambon"].confirm(forged, proposal(world, world.offer))


# ------------------------------------------------------------------------------------------------------- other attempts


def test_the_attempts_before_need_their_voids_even_if_nothing_was_sent_to_them(world: World) -> None:
    confirms(world, AWAY, world.open(), REST)
    void = world.void()
    second = world.open()
    with pytest.raises(MessageRefused, match="was confirmed for another attempt, which is not void"):
        confirms(world, AWAY, second, REST, [])
    confirms(world, AWAY, second, REST, [void])


def test_after_a_void_by_the_keeper_that_held_the_key_another_roster_is_confirmed(world: World) -> None:
    confirms(world, AWAY, world.open(), NAMES)
    assert RoundVoid.decode(body_of(world.void())).unanswered
    confirms(world, AWAY, world.open(), REST)


@pytest.mark.parametrize("name", ["ambon", AWAY], ids=["one that sends again", "one that does not"])
def test_after_a_void_by_a_keeper_that_lost_the_key_only_the_same_roster_is_confirmed(world: World, name: str) -> None:
    confirms(world, name, world.open(), NAMES)
    assert not lost(world).unanswered
    second = world.open()
    world.silos[name] = world.make_silo(name)
    for other in (REST, NAMES[1:]):
        with pytest.raises(MessageRefused, match="round 1 may have been answered for ambon, bari, cusco, dakar before"):
            confirms(world, name, second, other)
    confirms(world, name, second, NAMES)


def test_a_lost_attempt_is_not_made_good_by_a_later_one_that_was_not_answered(world: World) -> None:
    confirms(world, "ambon", world.open(), NAMES)
    lost(world)
    confirms(world, "ambon", world.open(), NAMES)
    world.void()
    third = world.open()
    with pytest.raises(MessageRefused, match="may have been answered for ambon, bari, cusco, dakar before"):
        confirms(world, "ambon", third, REST)
    confirms(world, "ambon", third, NAMES)


def test_a_silo_that_confirmed_nothing_of_a_lost_attempt_confirms_what_comes(world: World) -> None:
    world.send(world.open())
    lost(world)
    confirms(world, "ambon", world.open(), REST)


@pytest.mark.parametrize("holder", [HUB, ("ambon", "silo"), ("other-keeper", "keeper")], ids=lambda holder: holder[1])
def test_nobody_but_the_keeper_says_that_nothing_was_answered(world: World, holder: tuple[str, str]) -> None:
    confirms(world, AWAY, world.open(), NAMES)
    lost(world)
    forged = changed(world.aggregator.voids[0], RoundVoid, identity(*holder), unanswered=True)
    second = world.open()
    proposed = proposal(world, second, REST)
    with pytest.raises(MessageRefused, match="not by keeper keeper"):
        world.silos[AWAY].confirm(second, proposed, [forged])


# ------------------------------------------------------------------------------------------------------- other rounds


def test_a_small_group_is_refused_by_what_the_silo_itself_remembers() -> None:
    world = World(limits={"difference": 2}).begin()
    world.run_round()
    world.silos["ambon"] = world.make_silo("ambon")
    offer = world.open()
    with pytest.raises(PolicyError, match="this roster sets apart dakar: 1, the policy's minimum is 2"):
        confirms(world, "ambon", offer, REST)
    confirms(world, "ambon", offer, NAMES)


def test_a_silo_that_was_away_learns_the_rosters_from_the_results() -> None:
    world = World(limits={"difference": 2}).begin()
    late = world.silos.pop(AWAY)
    finished = world.run_round(REST)
    late.accept(finished.offer, finished.release, finished.result, finished.receipts.of(AWAY))
    world.silos[AWAY] = late
    offer = world.open()
    with pytest.raises(PolicyError, match="sets apart dakar: 1"):
        confirms(world, AWAY, offer, NAMES)


def test_a_roster_that_was_confirmed_and_never_answered_does_not_count() -> None:
    """Six are confirmed and the seventh is waited for after all: with both, it would be a group of its own for ever."""
    world = World(names=MORE_NAMES, limits={"difference": 3}).begin()
    world.send(world.open(), MORE_NAMES[:6])
    world.confirm(world.propose())
    world.void()
    assert world.run_round().contributors == MORE_NAMES
    assert world.run_round().contributors == MORE_NAMES


def test_rosters_are_remembered_once_each_and_confirmations_only_as_long_as_the_round(world: World) -> None:
    for names in (NAMES, REST, NAMES, REST):
        world.run_round(names)
    state = world.states["ambon"]
    assert state.names("confirmed/") == []
    assert len(state.names("roster/")) == 2
