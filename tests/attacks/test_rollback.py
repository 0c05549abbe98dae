"""A keeper that is started on an old disk, or on a copy of one, by whoever also runs the aggregator.

The software keeper has no counter that cannot be turned back. The silos are its witnesses: it answers only for a
roster that a quorum of them has confirmed, and any two quorums share an honest silo, which confirms one roster for the
updates of a round.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from identities import identity
from quatrefoil.errors import MessageRefused, PolicyError, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import shape_of
from quatrefoil.federation.keeper import Keeper
from quatrefoil.federation.messages import OpenRound, RoundOffer, RoundVoid
from quatrefoil.state import MemoryState
from signed_messages import body_of, changed
from world import NAMES, SAMPLES, UPDATES, World

VICTIM = "dakar"
REST = NAMES[:3]
WEIGHT = SAMPLES[VICTIM] / max(SAMPLES[name] for name in NAMES)
GROUPS = pytest.mark.parametrize("group", [1, 3])


def backup_of(world: World, name: str) -> MemoryState:
    state = world.states[name]
    assert isinstance(state, MemoryState)
    return state.copy()


def answered(group: int, names: Sequence[str] = NAMES) -> tuple[World, MemoryState, np.ndarray]:
    """A first round that was answered and whose result no silo has seen; the keeper's disk from before the answer; and
    the sum, which the aggregator has."""
    world = World(limits={"difference": group}).begin()
    first = world.open()
    backup = backup_of(world, "keeper")
    world.send(first, names)
    return world, backup, sum_by(world, first, names, world.answer())


def sum_by(world: World, offer: bytes, names: Sequence[str], answer: bytes) -> np.ndarray:
    shape = shape_of(RoundOffer.decode(body_of(offer)).context)
    total = world.aggregation().accumulator(shape=shape)
    for name in names:
        total.add(parts.split(world.contribution(name, offer), 4)[2])
    key = parts.split(answer, 2)[1]
    return world.aggregation().decrypt(total.total(), key, shape=shape, count=len(names)).values


def next_attempt(world: World, keeper: Keeper, names: Sequence[str]) -> bytes:
    """The aggregator goes on with this keeper: the void of the attempt, and the next one, to which ``names`` send."""
    world.keeper = keeper
    world.void()
    offer = world.open()
    world.send(offer, names)
    return offer


def forget(world: World, names: Sequence[str]) -> None:
    """These silos forget what they have confirmed: a Quatrefoil without confirmations, or a silo's own old disk."""
    for name in names:
        state = world.states[name]
        state.replace(dict.fromkeys([*state.names("confirmed/"), *state.names("roster/")]))


def test_an_old_disk_gives_no_second_answer_for_the_same_contributions() -> None:
    """Its sealing key was in memory only: the sealed keys on the wire stay closed for ever."""
    world, backup, _ = answered(1)
    request = world.aggregator.key_request()
    world.keeper.answer(request)
    rolled_back = world.make_keeper(backup)
    for ask in (rolled_back.answer, rolled_back.check):
        with pytest.raises(RoundVoided, match="the keeper restarted and its sealing key is gone"):
            ask(request)


def test_an_old_disk_helps_nobody_once_the_silos_have_the_result() -> None:
    world = World().begin()
    offer = world.open()
    backup = backup_of(world, "keeper")
    world.send(offer)
    first_void, next_opening = world.aggregator.void_request("again"), world.aggregator.open_request()
    world.accept(world.finish())
    rolled_back = world.make_keeper(backup)
    void = rolled_back.void(first_void)
    again = changed(next_opening, OpenRound, identity("hub", "aggregator"), attempt=1)
    offer = rolled_back.open_round(world.aggregator.enrolled_job, again)
    for silo in world.silos.values():
        with pytest.raises(MessageRefused, match="round 1 was offered, 2 is next"):
            silo.contribute(offer, silo.model, [void])


@GROUPS
def test_an_old_disk_and_a_withheld_result_buy_no_second_roster(group: int) -> None:
    """The keeper voids the attempt that it has answered, as it must: it cannot know. Its void does not say
    ``unanswered``, so the silos send the same updates again and confirm the same roster only."""
    world, backup, _ = answered(group)
    next_attempt(world, world.make_keeper(backup), REST)
    assert not RoundVoid.decode(body_of(world.aggregator.voids[0])).unanswered
    proposal = world.propose()
    for silo in world.silos.values():
        with pytest.raises(MessageRefused, match="round 1 may have been answered for ambon, bari, cusco, dakar before"):
            silo.confirm(world.offer, proposal, world.aggregator.voids)
    with pytest.raises(PolicyError, match="0 of 4 silos confirmed the roster, 3 must"):
        world.keeper.answer(world.aggregator.key_request())


@GROUPS
def test_the_same_roster_again_gives_the_same_sum(group: int) -> None:
    """What an old disk costs is an attempt, if the same silos are there."""
    world, backup, everybody = answered(group)
    offer = next_attempt(world, world.make_keeper(backup), NAMES)
    again = sum_by(world, offer, NAMES, world.answer())
    np.testing.assert_allclose(again, everybody, atol=1e-3)


@GROUPS
def test_without_confirmations_an_old_disk_gives_two_sums_of_the_same_updates(group: int) -> None:
    """What is won from silos that do not remember. The keeper has forgotten its answer, so ``minimum_roster_group``
    does not help."""
    world, backup, everybody = answered(group)
    forget(world, NAMES)
    offer = next_attempt(world, world.make_keeper(backup), REST)
    without = sum_by(world, offer, REST, world.answer())
    np.testing.assert_allclose((everybody - without) / WEIGHT, UPDATES[VICTIM], atol=0.01)
    kinds = [entry.kind for entry in world.log.entries() if entry.kind in ("key-release", "round-void")]
    assert kinds[:2] == ["key-release", "round-void"], "the log shows an answer and then a void of one attempt"


@GROUPS
def test_one_silo_that_forgets_changes_nothing_and_two_do(group: int) -> None:
    """``colluding_silos`` is 1, so three of four must confirm. A silo on an old disk counts as one of the colluding:
    with more of them than the policy says, the two quorums share no honest silo."""
    world, backup, everybody = answered(group)
    forget(world, ["ambon"])
    offer = next_attempt(world, world.make_keeper(backup), REST)
    proposal = world.propose()
    world.confirm(proposal, ["ambon"])
    for name in ("bari", "cusco", "dakar"):
        with pytest.raises(MessageRefused, match="may have been answered for"):
            world.confirm(proposal, [name])
    with pytest.raises(PolicyError, match="1 of 4 silos confirmed the roster, 3 must"):
        world.keeper.answer(world.aggregator.key_request())
    forget(world, ["bari", "cusco"])
    world.confirm(proposal, ["bari", "cusco"])
    without = sum_by(world, offer, REST, world.keeper.answer(world.aggregator.key_request()))
    np.testing.assert_allclose((everybody - without) / WEIGHT, UPDATES[VICTIM], atol=0.01)


def test_silos_that_confirmed_nothing_are_no_quorum_of_their_own() -> None:
    """The first roster was confirmed by three. Whoever is asked for a second, one of the three is among them."""
    world = World().begin()
    offer = world.open()
    backup = backup_of(world, "keeper")
    world.send(offer)
    world.answer(("ambon", "bari", "cusco"))
    next_attempt(world, world.make_keeper(backup), ("ambon", "bari", VICTIM))
    proposal = world.propose()
    world.confirm(proposal, [VICTIM])
    for name in ("ambon", "bari", "cusco"):
        with pytest.raises(MessageRefused, match="may have been answered for"):
            world.confirm(proposal, [name])
    assert len(world.aggregator.confirmed) < world.aggregator.quorum


@GROUPS
def test_a_keeper_and_a_copy_of_its_disk_answer_for_one_roster(group: int) -> None:
    """Both run at once. The first answers attempt 0; the copy has voided that and holds the key of attempt 1."""
    world = World(limits={"difference": group}).begin()
    first = world.open()
    copy = world.make_keeper(backup_of(world, "keeper"))
    world.send(first)
    world.answer()
    next_attempt(world, copy, REST)
    proposal = world.propose()
    for silo in world.silos.values():
        with pytest.raises(MessageRefused, match="may have been answered for ambon, bari, cusco, dakar"):
            silo.confirm(world.offer, proposal, world.aggregator.voids)
    with pytest.raises(PolicyError, match="0 of 4 silos confirmed the roster, 3 must"):
        copy.answer(world.aggregator.key_request())


@GROUPS
def test_a_copy_of_a_keepers_disk_that_answers_first_leaves_the_keeper_no_other_roster(group: int) -> None:
    """The other way round: all have sent to attempt 0, whose key the keeper holds, and the copy answers attempt 1. A
    third keeper, on a copy of the copy, voids attempt 1, so that the silos may turn to attempt 0 again."""
    world = World(limits={"difference": group}).begin()
    first = world.open()
    keeper, hub = world.keeper, world.aggregator
    copied = backup_of(world, "keeper")
    world.send(first)
    closed = world.propose()
    world.states["hub"] = MemoryState({"model": world.states["hub"].get("model") or b""})
    world.aggregator = world.make_aggregator(hub._job)
    world.open()
    second = next_attempt(world, world.make_keeper(copied), REST)
    void_request, before_the_answer = world.aggregator.void_request("another copy"), copied.copy()
    assert world.answer(REST)
    for silo in world.silos.values():
        if silo is not world.silos[VICTIM]:
            with pytest.raises(MessageRefused, match="already sent its update of round 1 under another context"):
                silo.confirm(first, closed, [])
    void = world.make_keeper(before_the_answer).void(void_request)
    for name in REST:
        with pytest.raises(MessageRefused, match="round 1 may have been answered for ambon, bari, cusco before"):
            world.silos[name].confirm(first, closed, [void])
    hub.confirm(VICTIM, world.silos[VICTIM].confirm(first, closed, [void]))  # it was in no quorum yet
    with pytest.raises(PolicyError, match="1 of 4 silos confirmed the roster, 3 must"):
        keeper.answer(hub.key_request())
    assert second != first


def test_rosters_of_earlier_rounds_are_remembered_by_the_silos_where_the_keeper_has_forgotten_them() -> None:
    """The disk is from before the first round; the keeper then knows of no earlier roster at all."""
    world = World(limits={"difference": 3}).begin()
    backup = backup_of(world, "keeper")
    world.run_round()
    world.keeper = world.make_keeper(backup)
    offer = world.open()
    world.send(offer, REST)
    proposal = world.propose()
    for silo in world.silos.values():
        with pytest.raises(PolicyError, match="sets apart dakar: 1, the policy's minimum is 3"):
            silo.confirm(offer, proposal, [])
    with pytest.raises(PolicyError, match="0 of 4 silos confirmed"):
        world.keeper.answer(world.aggregator.key_request())
