"""Who is computed for next: in turns, and nobody fills the room to wait alone."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.serving.memory import Memory, MemoryFull
from quatrefoil.serving.places import NoPlace, Place, Places

LATER = 1e9


async def queued(places: Places, *parties: str) -> list[asyncio.Task[Place]]:
    tasks = []
    for party in parties:
        tasks.append(asyncio.ensure_future(places.take(party, time.monotonic() + 1000)))
        await asyncio.sleep(0)
    return tasks


def test_places_go_round_the_parties() -> None:
    async def run() -> None:
        places = Places(1, 10)
        held = await places.take("a", time.monotonic() + 1)
        order: list[str] = []
        tasks = await queued(places, "a", "a", "a", "b", "c", "b")
        for name, task in zip("aaabcb", tasks, strict=True):
            task.add_done_callback(lambda _, name=name: order.append(name))
        for _ in tasks:
            held.give_back()
            await asyncio.sleep(0.001)
            held = next(task.result() for task in tasks if task.done() and task.result()._places is not None)
        assert order == ["a", "b", "c", "a", "b", "a"]

    asyncio.run(run())


def test_a_party_cannot_fill_the_room_to_wait() -> None:
    async def run() -> None:
        places = Places(1, 4)
        await places.take("greedy", time.monotonic() + 1)
        greedy = await queued(places, *["greedy"] * 4)
        with pytest.raises(NoPlace) as refused:
            await places.take("greedy", time.monotonic() + 1)
        assert refused.value.pause_s >= 1
        other = await queued(places, "modest")
        assert not other[0].done()
        with pytest.raises(NoPlace):
            await greedy[-1]
        assert places.waiting == 4
        # Equal shares: nobody is sent away for somebody who has as many.
        third = await queued(places, "modest")
        assert not third[0].done()
        with pytest.raises(NoPlace):
            await places.take("modest", time.monotonic() + 1)

    asyncio.run(run())


def test_who_waits_too_long_or_leaves_makes_room() -> None:
    async def run() -> None:
        places = Places(1, 1)
        held = await places.take("a", time.monotonic() + 1)
        with pytest.raises(NoPlace):
            await places.take("b", time.monotonic() + 0.01)
        assert places.waiting == 0
        (left,) = await queued(places, "b")
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        assert (places.waiting, places.taken) == (0, 1)
        (waits,) = await queued(places, "c")
        held.give_back()
        held.give_back()
        (await waits).give_back()
        assert (places.waiting, places.taken) == (0, 0)

    asyncio.run(run())


def test_without_a_queue_a_taken_place_is_a_refusal() -> None:
    async def run() -> None:
        places = Places(1, 0)
        await places.take("a", time.monotonic() + 1)
        with pytest.raises(NoPlace):
            await places.take("b", time.monotonic() + 1)

    asyncio.run(run())


def test_everybody_who_waits_can_be_sent_away() -> None:
    async def run() -> None:
        places = Places(1, 4)
        held = await places.take("a", time.monotonic() + 1)
        tasks = await queued(places, "a", "b")
        places.dismiss()
        assert all(isinstance(one, NoPlace) for one in await asyncio.gather(*tasks, return_exceptions=True))
        held.give_back()
        assert (places.waiting, places.taken) == (0, 0)

    asyncio.run(run())


@given(
    concurrent=st.integers(1, 3),
    room=st.integers(0, 4),
    steps=st.lists(st.tuples(st.sampled_from(["take", "give", "leave"]), st.sampled_from("abc")), max_size=60),
)
def test_places_are_never_lost_nor_given_twice(concurrent: int, room: int, steps: list[tuple[str, str]]) -> None:
    async def run() -> None:
        places = Places(concurrent, room)
        tasks: list[asyncio.Task[Place]] = []
        for step, party in steps:
            have = [task for task in tasks if task.done() and not task.cancelled() and task.exception() is None]
            if step == "take":
                tasks += await queued(places, party)
            elif step == "give" and have:
                have[0].result().give_back()
                tasks.remove(have[0])
            elif step == "leave" and (waits := [task for task in tasks if not task.done()]):
                waits[-1].cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            held = sum(task.done() and not task.cancelled() and task.exception() is None for task in tasks)
            assert held == places.taken <= concurrent
            assert places.waiting == sum(not task.done() for task in tasks) <= room
            assert held == concurrent or not places.waiting
        counted = Counter(task.done() for task in tasks)
        assert counted[False] == places.waiting
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


def test_a_party_holds_its_share_of_memory_and_gives_it_back() -> None:
    memory = Memory(120)
    with memory.holding("a") as first, memory.holding("b") as other:
        first.more(100)
        with pytest.raises(MemoryFull):
            first.more(21)
        other.more(60)
        with pytest.raises(MemoryFull):
            other.more(1)
        with pytest.raises(MemoryFull):
            first.more(1)
        with memory.holding("c") as third:
            third.more(40)
            with pytest.raises(MemoryFull):
                third.more(1)
        assert memory.held == 160
    assert memory.held == 0
    with memory.holding("a") as alone:
        alone.more(120)
