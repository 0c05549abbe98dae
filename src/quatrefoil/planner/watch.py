"""Repeated runs timed: medians, and lines through two of them."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable

from quatrefoil.planner.costs import Line, finite

Clock = Callable[[], float]
"""Seconds that only move forward, like ``time.perf_counter``."""


class Watch:
    """Medians of repeated runs: at least three, and as many as fit into ``budget`` seconds."""

    def __init__(self, budget: float, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock

    def ms(self, action: Callable[[], object], *, most: int = 1000) -> float:
        times: list[float] = []
        begin = self._clock()
        while len(times) < 3 or (self._clock() - begin < self._budget and len(times) < most):
            start = self._clock()
            action()
            times.append((self._clock() - start) * 1e3)
        return finite(statistics.median(times))

    async def ms_of(self, action: Callable[[], Awaitable[object]]) -> float:
        times: list[float] = []
        begin = self._clock()
        while len(times) < 3 or (self._clock() - begin < self._budget and len(times) < 1000):
            start = self._clock()
            await action()
            times.append((self._clock() - start) * 1e3)
        return finite(statistics.median(times))


def line(small: float, large: float, size: float) -> Line:
    """Through a measurement at (about) nothing and one at ``size``. Noise may order them the wrong way: then flat."""
    return Line(small, max(0.0, (large - small) / size))


__all__ = ["Clock", "Watch", "line"]
