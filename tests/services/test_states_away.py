"""Parties whose state is on a server that is away at every change, before or after it: none ends, nothing is lost."""

from __future__ import annotations

import asyncio

import pytest
from flaky import Flaky
from loopback import Loopback, trained
from whole_jobs import contributors, is_mean

from quatrefoil.audit import MemoryLog
from quatrefoil.errors import HostError, StateAway
from quatrefoil.services import rpc
from quatrefoil.services.waiting import Rests
from quatrefoil.state import MemoryState
from world import NAMES, World

pytestmark = pytest.mark.usefixtures("short_patience")


@pytest.mark.parametrize("whose", ["hub", "bari", "keeper"])
def test_a_job_goes_on_over_a_state_that_is_away_at_every_change(whose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "LONGEST_PAUSE", 0.02)
    world = World(rounds=2)
    world.states[whose] = flaky = Flaky()
    flaky.steady = True  # while the parties are made
    if whose == "hub":
        world.provenance = world.make_provenance()
        world.enrolments = world.make_enrolments()
    if whose == "keeper":
        world.keeper = world.make_keeper()
    trainings: list[int] = []

    def train(model):
        trainings.append(1)
        return trained("bari", model)

    async def job() -> None:
        async with Loopback(world, deadline=120, give_up=120) as hub:
            silos = [*hub.silos(*(name for name in NAMES if name != "bari")), hub.silo("bari", train)]
            flaky.steady = False
            async with asyncio.timeout(120):
                await asyncio.shield(hub.run)
                for silo in silos:
                    while not silo.ended:
                        await asyncio.sleep(0.05)
            for silo in silos:
                await silo.result()

    asyncio.run(job())
    # What a silo is told once, and what others confirm in its place, does not come again.
    once = ("put acknowledged", "put confirmed")
    assert {what for what, failed in flaky.failures.items() if failed != 2 and what not in once} == set()
    assert flaky.failures
    assert contributors(world) == [NAMES, NAMES] and is_mean(world, NAMES, NAMES)
    released = [entry.body["round"] for entry in world.log.entries() if entry.kind == "key-release"]
    assert set(released) == {1, 2}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_state_that_stays_away_ends_a_service_with_its_reason() -> None:
    away, clock = StateAway("x", hint="y"), Clock()
    rests = Rests(10.0, clock)
    pauses = [rests.next(away) for _ in range(20)]
    assert all(0.1 < pause <= 3.0 for pause in pauses) and max(pauses) > 1.0
    clock.now = 10.0
    rests.next(away)
    clock.now = 10.1
    with pytest.raises(HostError, match=r"^x\. y$"):
        rests.next(away)
    rests.over()
    assert rests.next(away) < 1.0


def test_a_state_that_is_away_is_no_word_to_others() -> None:
    """What the state's server is called is the operator's business."""
    world = World(rounds=1)
    world.states["bari"] = MemoryState()
    world.states["hub"] = flaky = Flaky()
    flaky.steady = True
    world.provenance = world.make_provenance()
    world.enrolments = world.make_enrolments()

    async def job() -> None:
        async with Loopback(world) as hub:
            silo = hub.silo("bari", log=MemoryLog())
            flaky.steady = False
            await hub.until(lambda: bool(hub.refused))
            assert "connection refused" in str(hub.refused[0][1])
            assert "connection refused" not in " ".join(silo.reports)

    asyncio.run(job())
