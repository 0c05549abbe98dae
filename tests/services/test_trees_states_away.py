"""A tree with a party whose state is on a server that is away at every change: nobody ends, and no sum is lost."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from flaky import Flaky
from grove import GROUPS, Grove, clear_mean

from quatrefoil.services import rpc

pytestmark = pytest.mark.usefixtures("short_patience")
ALL = tuple(silo for silos in GROUPS.values() for silo in silos)
ONCE = ("put acknowledged", "put confirmed")
"""What a silo is told once, and what others confirm in its place, does not come again."""

PARTIES = {
    "north's silo above": (True, "north"),
    "the upper aggregator": (True, "hub"),
    "the upper keeper": (True, "keeper"),
    "north's aggregator": (False, "hub"),
    "north's keeper": (False, "keeper"),
}
"""Whether it is in the upper job, and what it is called there."""


def flaky_in(tree: Grove, whose: str) -> Flaky:
    above, party = PARTIES[whose]
    world = tree.upper.world if above else tree.groups["north"].world
    world.states[party] = flaky = Flaky()
    flaky.steady = True  # while the parties are made
    world.provenance = world.make_provenance()
    world.enrolments = world.make_enrolments()
    world.keeper = world.make_keeper()
    return flaky


@pytest.mark.parametrize("whose", PARTIES)
def test_a_tree_goes_on_over_a_state_that_is_away_at_every_change(whose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "LONGEST_PAUSE", 0.02)

    async def job() -> None:
        tree = Grove(GROUPS, rounds=3)
        flaky = flaky_in(tree, whose)
        async with tree:
            flaky.steady = False
            tree.start_silos()
            await tree.finished()
            flaky.steady = True
            models = [tree.model(silo) for silo in ALL]
            assert all(np.array_equal(model, clear_mean(ALL) * 3) for model in models)
            assert {what for what, failed in flaky.failures.items() if failed != 2 and what not in ONCE} == set()
            assert flaky.failures

    asyncio.run(job())
