"""A link to the upper job whose state and the group's do not fit, and an upper aggregator that repeats itself."""

from __future__ import annotations

import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quatrefoil.errors import StateCorrupt
from quatrefoil.federation.group_sums import GroupSum
from quatrefoil.services import upper_link
from quatrefoil.services.upper_link import UpperLink
from quatrefoil.services.vitals import Vitals


class Published:
    """The silo above, which has taken round 1 of an upper job that is over; the group has published that."""

    silo = SimpleNamespace(started=True, rounds_done=1, job=SimpleNamespace(digest=lambda: bytes(32), name="upper"))
    held: tuple[int, ...] = ()
    ended = True

    def __init__(self) -> None:
        self.calls: list[str] = []

    def total(self, _: int) -> None:
        return None

    def forget(self, _: int) -> None:
        self.calls.append("forget")

    def take(self, *_: bytes) -> None:
        self.calls.append("take")


def link_of(upper: Any) -> UpperLink:
    none: Any = None
    return UpperLink(
        upper, none, none, grain=1.0, witness=None, give_up=1.0, report=lambda _: None, vitals=Vitals("aggregator")
    )


def test_a_group_on_an_old_state_is_told_so_and_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upper_link, "group_sum", lambda *_: None)

    async def job() -> None:
        link = link_of(Published())
        link.start()
        old, opened = SimpleNamespace(rounds_done=0), SimpleNamespace()
        with pytest.raises(StateCorrupt, match="sum of round 1 was published to the group before"):
            await asyncio.wait_for(link.finish(old, opened), 60)  # type: ignore[arg-type]
        await link.close()

    asyncio.run(job())


def test_a_result_that_comes_again_after_it_was_published_changes_nothing() -> None:
    async def job() -> None:
        upper = Published()
        link = link_of(upper)
        link.accept(b"offer", b"release", b"result", b"receipts")
        await asyncio.sleep(0)
        assert upper.calls == ["forget", "take"] and link._taken == set() and link.problem() is not None

    asyncio.run(job())


class Ahead:
    """The silo above, which has taken many rounds that the group has not come to. ``alive``: sums in memory."""

    def __init__(self) -> None:
        self.silo = SimpleNamespace(started=False, rounds_done=0)
        self.ended = True
        self.alive: weakref.WeakSet[GroupSum] = weakref.WeakSet()

    def take(self, *_: bytes) -> None:
        self.silo.rounds_done += 1

    def forget(self, _: int) -> None:
        pass

    def total(self, number: int) -> GroupSum:
        found = Sum(np.full(1000, number), 2, 1)
        self.alive.add(found)
        return found


class Sum(GroupSum):
    """One that can be looked for: values are compared by what they hold."""

    __hash__ = object.__hash__


def test_what_a_slow_group_is_behind_by_is_not_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upper_link, "group_sum", lambda *_: None)
    published: list[int] = []

    def publish(_: object, __: object, total: GroupSum, ___: float) -> str:
        published.append(int(total.grains[0]))
        return "finished"

    monkeypatch.setattr(upper_link, "publish_total", publish)

    async def job() -> None:
        upper = Ahead()
        link = link_of(upper)
        for _ in range(50):
            link.accept(b"offer", b"release", b"result", b"receipts")
        await link._until(lambda: link._rounds_done == 50)
        gc.collect()
        assert len(upper.alive) == 0
        group = SimpleNamespace(rounds_done=0)
        for _ in range(50):
            assert await link.finish(group, SimpleNamespace()) == "finished"  # type: ignore[arg-type, comparison-overlap]
            group.rounds_done += 1
        gc.collect()
        assert published == list(range(1, 51)) and link._taken == set()
        assert len(upper.alive) <= 1  # a thread may hold on to its last result

    asyncio.run(job())
