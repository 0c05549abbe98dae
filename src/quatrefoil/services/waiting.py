"""How the services wait for each other under asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """How long a round waits, in seconds: ``deadline`` for silos beyond the minimum, ``give_up`` for the minimum."""

    deadline: float
    give_up: float


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
