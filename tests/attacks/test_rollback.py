"""A keeper started on an old disk: what its rules save even then, and what they do not.

The software keeper has no counter that cannot be turned back, and no witnesses. That is a limit, shown here.
"""

from __future__ import annotations

import numpy as np
import pytest

from quatrefoil.errors import MessageRefused, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import shape_of
from quatrefoil.federation.messages import OpenRound, RoundOffer
from quatrefoil.federation.state import MemoryState
from world import NAMES, SAMPLES, UPDATES, World, body_of, changed, identity

WEIGHT = SAMPLES["dakar"] / max(SAMPLES[name] for name in NAMES)


def opened(limits: dict[str, object]) -> tuple[World, bytes, MemoryState, bytes]:
    """A round in which everybody has sent: its offer, the keeper's disk before the answer, and the aggregator's
    request."""
    world = World(limits=limits).begin()
    offer = world.open()
    backup = world.states["keeper"].copy()  # type: ignore[attr-defined]
    world.send(offer)
    return world, offer, backup, world.aggregator.key_request()


def sum_by(world: World, offer: bytes, names: tuple[str, ...], key: bytes) -> np.ndarray:
    shape = shape_of(RoundOffer.decode(body_of(offer)).context)
    total = world.aggregation().accumulator(shape=shape)
    for name in names:
        total.add(parts.split(world.contribution(name, offer), 3)[2])
    return world.aggregation().decrypt(total.total(), key, shape=shape, count=len(names)).values


def test_an_old_disk_gives_no_second_answer_for_the_same_contributions() -> None:
    """Its sealing key was in memory only: the sealed keys on the wire stay closed for ever."""
    world, _, backup, request = opened({})
    world.keeper.answer(request)
    rolled_back = world.make_keeper(backup)
    with pytest.raises(RoundVoided, match="the keeper restarted and its sealing key is gone"):
        rolled_back.answer(request)


def test_an_old_disk_helps_nobody_once_the_silos_have_the_result() -> None:
    world, _, backup, _ = opened({})
    first_void, next_opening = world.aggregator.void_request("again"), world.aggregator.open_request()
    world.accept(world.finish())
    rolled_back = world.make_keeper(backup)
    void = rolled_back.void(first_void)
    again = changed(next_opening, OpenRound, identity("hub", "aggregator"), attempt=1)
    offer = rolled_back.open_round(world.aggregator.enrolled_job, again)
    for silo in world.silos.values():
        with pytest.raises(MessageRefused, match="round 1 was offered, 2 is next"):
            silo.contribute(offer, silo.model, [void])


@pytest.mark.parametrize("difference", [1, 3])
def test_the_limit_an_old_disk_and_a_withheld_result_give_two_sums_of_the_same_updates(difference: int) -> None:
    """Who can put back the keeper's disk and runs the aggregator withholds the first answer from the silos. The keeper
    voids the attempt, as it must. The silos see that void and encrypt the same updates again, for another roster.
    The keeper has forgotten the first answer, so ``minimum_roster_group`` does not help either."""
    world, first, backup, request = opened({"difference": difference})
    everybody = sum_by(world, first, NAMES, parts.split(world.keeper.answer(request), 2)[1])
    world.keeper = world.make_keeper(backup)
    world.void()
    second = world.open()
    world.send(second, NAMES[:3])
    key = parts.split(world.keeper.answer(world.aggregator.key_request()), 2)[1]
    without = sum_by(world, second, NAMES[:3], key)
    np.testing.assert_allclose((everybody - without) / WEIGHT, UPDATES["dakar"], atol=0.01)
    kinds = [entry.kind for entry in world.log.entries() if entry.kind in ("key-release", "round-void")]
    assert kinds[:2] == ["key-release", "round-void"], "the log shows an answer and then a void of one attempt"
