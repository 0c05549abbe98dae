"""Repeated runs timed: medians, means of what takes another time each run, and lines through two of them."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable

from quatrefoil.planner.costs import Line, finite

Clock = Callable[[], float]
"""Seconds that only move forward, like ``time.perf_counter``."""


_DROPPED = 20
"""One run of so many, the slowest, counts for no mean: something else ran."""


class Watch:
    """Repeated runs: at least three, and as many as fit into ``budget`` seconds."""

    def __init__(self, budget: float, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock

    def ms(self, action: Callable[[], object], *, most: int = 1000) -> float:
        """The median."""
        return finite(statistics.median(self._times(action, most)))

    def mean_ms(self, action: Callable[[], object], *, most: int = 1000) -> float:
        """The mean, of what draws until something fits, as ML-DSA signatures do: their median is too short for a sum of
        many."""
        times = sorted(self._times(action, most))
        return finite(statistics.fmean(times[: len(times) - len(times) // _DROPPED]))

    def _times(self, action: Callable[[], object], most: int) -> list[float]:
        times: list[float] = []
        begin = self._clock()
        while len(times) < 3 or (self._clock() - begin < self._budget and len(times) < most):
            start = self._clock()
            action()
            times.append((self._clock() - start) * 1e3)
        return times

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
