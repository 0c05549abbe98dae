"""How the aggregator closes a roster: one proposal for an attempt, over restarts, and the confirmations of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asking import roster_of, sent

from identities import STRANGER, identity, renewed
from quatrefoil.errors import MessageRefused, PeerError, PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Confirmation, Contribution, RosterProposal, RoundOffer
from signed_messages import body_of, changed, damaged
from world import NAMES, World, expected_mean

REST = NAMES[:3]


@pytest.fixture
def world() -> World:
    return World().begin()


def restart(world: World) -> None:
    """A new aggregator on the same disk, and the offer again."""
    world.aggregator = world.make_aggregator(world.aggregator._job)
    world.open()


# ---------------------------------------------------------------------------------------------- the aggregator proposes


def test_the_proposal_is_what_was_received(world: World) -> None:
    offer = world.open()
    world.send(offer, REST)
    made = RosterProposal.decode(body_of(world.propose()))
    assert made.context == RoundOffer.decode(body_of(offer)).context.digest()
    assert made.contributors == REST
    assert made.contributions == tuple(sha256(sent(world, offer, name).contribution) for name in REST)


def test_a_proposal_is_the_same_after_a_restart_whoever_comes_first(world: World) -> None:
    world.send(world.open(), REST)
    first = world.propose()
    restart(world)
    with pytest.raises(MessageRefused, match="dakar comes after the roster was closed") as caught:
        world.send(world.offer, ["dakar"])
    assert caught.value.party == "dakar"
    world.send(world.offer, REST[::-1])
    assert world.propose() == world.aggregator.propose() == first
    finished = world.finish()
    assert finished.contributors == REST
    assert world.moved() == pytest.approx(expected_mean(REST), abs=finished.error_bound + 1e-6)


def test_after_a_restart_those_who_are_missing_are_named(world: World) -> None:
    world.send(world.open())
    world.propose()
    restart(world)
    world.send(world.offer, REST)
    for again in (world.aggregator.propose, world.aggregator.key_request):
        with pytest.raises(MessageRefused, match="still waiting for dakar, who were in the roster that was proposed"):
            again()
    assert [name for name in NAMES if world.aggregator.is_awaited(name)] == ["dakar"]
    world.send(world.offer, ["dakar"])
    assert world.finish().contributors == NAMES


def test_after_a_restart_a_late_silo_does_not_change_what_the_keeper_is_asked(world: World) -> None:
    """With four it would set one apart: the closed three are checked, not what arrives."""
    world = World(limits={"difference": 2}).begin()
    world.run_round(REST)
    world.send(world.open(), REST)
    world.propose()
    restart(world)
    assert [name for name in NAMES if world.aggregator.is_awaited(name)] == list(REST)
    with pytest.raises(MessageRefused, match="dakar comes after"):
        world.send(world.offer, ["dakar"])
    world.send(world.offer, REST)
    assert world.finish().contributors == REST


def test_after_a_restart_only_the_proposed_contributions_are_taken(world: World) -> None:
    """A silo that signs anew what it sent would make another roster of it."""
    world.send(world.open())
    world.propose()
    restart(world)
    signed, *rest = parts.split(world.contribution("ambon", world.offer), 4)
    anew = parts.join([changed(signed, Contribution, identity("ambon", "silo")), *rest])
    with pytest.raises(MessageRefused, match="ambon sent another contribution than the one in the roster") as caught:
        world.aggregator.receive("ambon", anew)
    assert caught.value.party == "ambon"
    world.send(world.offer)
    assert world.finish().contributors == NAMES


def test_nobody_is_left_out_of_a_closed_roster(world: World) -> None:
    world.send(world.open())
    world.propose()
    with pytest.raises(MessageRefused, match="the roster with ambon is closed"):
        world.aggregator.exclude("ambon", "because")
    assert world.finish().contributors == NAMES


def test_an_aggregator_that_forgot_its_proposal_gets_no_other_confirmed(world: World) -> None:
    """An old disk of the aggregator: the silos remember."""
    world.send(world.open(), REST)
    world.confirm(world.propose())
    world.states["hub"].replace(dict.fromkeys(world.states["hub"].names("proposal/")))
    restart(world)
    world.send(world.offer)
    proposal = world.propose()
    for name in NAMES:
        with pytest.raises(MessageRefused, match="another roster of round 1 attempt 0 was confirmed before"):
            world.confirm(proposal, [name])
    world.void()
    assert world.run_round().contributors == NAMES


# ----------------------------------------------------------------------------------- the aggregator takes confirmations


def confirmation(world: World, name: str, holder: tuple[str, ...] | None = None, **changes: object) -> bytes:
    """A silo's confirmation of what is proposed, changed, by whoever is named."""
    signed = world.silos[name].confirm(world.offer, world.aggregator.propose(), world.aggregator.voids)
    return changed(signed, Confirmation, identity(*(holder or (name, "silo"))), **changes)


Forge = Callable[[World], bytes]
WRONG: dict[str, tuple[Forge, str]] = {
    "of another proposal": (lambda w: confirmation(w, "ambon", proposal=bytes(32)), "ambon confirms another roster"),
    "of another silo": (lambda w: confirmation(w, "bari"), "signed by silo bari, not by silo ambon"),
    "in another role": (lambda w: confirmation(w, "ambon", ("ambon", "aggregator")), "signed by aggregator ambon"),
    "of another consortium": (lambda w: confirmation(w, "ambon", ("ambon", "silo", STRANGER)), "no trusted root"),
    "with another certificate": (
        lambda w: changed(confirmation(w, "ambon"), Confirmation, renewed("ambon", "silo")), "agreed certificate",
    ),
    "damaged": (lambda w: damaged(confirmation(w, "ambon")), "signature of 'ambon'"),
    "another message": (lambda w: w.silos["ambon"].consent(w.enrolments.job()), "expected urn:quatrefoil:confirmation"),
}  # fmt: skip


def test_a_confirmation_of_an_earlier_attempt_that_comes_late_changes_nothing() -> None:
    world = World().begin()
    world.send(world.open())
    late = confirmation(world, "ambon", context=bytes(32))
    world.aggregator.confirm("ambon", late)
    assert world.aggregator.confirmed == []
    assert "refusal" not in [entry.kind for entry in world.logs["hub"].entries()]


@pytest.mark.parametrize(("forge", "problem"), WRONG.values(), ids=WRONG)
def test_a_wrong_confirmation_is_refused_logged_and_not_counted(world: World, forge: Forge, problem: str) -> None:
    world.send(world.open())
    world.propose()
    wrong = forge(world)
    with pytest.raises(PeerError, match=problem):
        world.aggregator.confirm("ambon", wrong)
    assert world.aggregator.confirmed == []
    assert [body["silo"] for body in world.logged("refusal")] == ["ambon"]
    assert world.finish().contributors == NAMES


def test_a_stranger_confirms_nothing(world: World) -> None:
    world.send(world.open())
    world.propose()
    with pytest.raises(MessageRefused, match="elba is not on the roster of job test-job"):
        world.aggregator.confirm("elba", confirmation(world, "ambon", ("elba", "silo")))
    assert world.aggregator.confirmed == []


def test_a_silo_confirms_once_however_often_it_is_heard(world: World) -> None:
    world.send(world.open())
    proposal = world.propose()
    for _ in range(3):
        world.confirm(proposal, ["bari", "ambon"])
    world.aggregator.confirm("ambon", confirmation(world, "ambon"))  # signed anew
    assert world.aggregator.confirmed == ["ambon", "bari"]
    with pytest.raises(PolicyError, match="2 of 4 silos confirmed the roster, 3 must"):
        world.keeper.answer(world.aggregator.key_request())
    world.confirm(proposal, ["dakar"])
    assert roster_of(world.keeper.answer(world.aggregator.key_request())) == NAMES


def test_before_there_is_a_proposal_nothing_can_be_confirmed(world: World) -> None:
    with pytest.raises(MessageRefused, match="no round is open"):
        world.aggregator.confirm("ambon", b"")
    with pytest.raises(MessageRefused, match="no round is open"):
        world.aggregator.propose()
    world.send(world.open())
    with pytest.raises(MessageRefused, match="no roster has been proposed"):
        world.aggregator.confirm("ambon", b"")
