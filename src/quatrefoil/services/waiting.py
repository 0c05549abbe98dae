"""How the services wait for each other under asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from quatrefoil.errors import StateAway
from quatrefoil.services.rpc import FIRST_PAUSE, jittered, longer


@dataclass(frozen=True)
class Waiting:
    """How long a round waits, in seconds: ``deadline`` for silos beyond the minimum, ``give_up`` for the minimum."""

    deadline: float
    give_up: float


class Rests:
    """Pauses before a service goes on from what is stored, because its state was away: longer and longer, for
    ``give_up`` seconds in all until something was done again."""

    def __init__(self, give_up: float, now: Callable[[], float] = time.monotonic) -> None:
        self._give_up = give_up
        self._now = now
        self._end: float | None = None
        self._pause = FIRST_PAUSE

    def over(self) -> None:
        """It is back."""
        self._pause, self._end = FIRST_PAUSE, None

    def next(self, away: StateAway) -> float:
        """Seconds to wait now; ``away`` is raised again when that was enough."""
        if self._end is None:
            self._end = self._now() + self._give_up
        if self._now() > self._end:
            raise away
        self._pause = longer(self._pause)
        return jittered(self._pause)


async def wake(condition: asyncio.Condition) -> None:
    """Have everybody who waits look again."""
    async with condition:
        condition.notify_all()


async def wait_until(ready: Callable[[], bool], condition: asyncio.Condition, seconds: float) -> bool:
    """Whether ``ready()`` became true in time. It must be cheap: it is asked whenever the condition is woken."""
    try:
        async with asyncio.timeout(seconds), condition:
            await condition.wait_for(ready)
    except TimeoutError:
        return ready()
    return True
