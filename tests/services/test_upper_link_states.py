"""A link to the upper job whose state and the group's do not fit, and an upper aggregator that repeats itself."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from quatrefoil.errors import StateCorrupt
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
        assert upper.calls == ["forget", "take"] and link._totals == {} and link.problem() is not None

    asyncio.run(job())
