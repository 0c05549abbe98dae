"""Load on two servers by turns: pairs of single requests, and as many at once as a number of clients asks.

Whatever else the machine does falls on both. A pair is one request to each, the order alternating from pair to pair;
what is compared is the difference within pairs.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from quatrefoil.errors import ParametersRefused

Ask = Callable[[], Awaitable[None]]
"""Asks once, from arrays to arrays. Raises where the answer is not the expected one."""

FEWEST_PAIRS = 20
WARM_UP = 5
"""Pairs that are not counted."""

TURNS = 3
"""Turns that each server has at saturation."""


@dataclass(frozen=True)
class Pairs:
    """Milliseconds, request by request: ``plain[n]`` and ``layered[n]`` are one pair."""

    plain: Sequence[float]
    layered: Sequence[float]

    @property
    def overhead(self) -> float:
        """The median of the differences within pairs, as a part of the median of the plain ones."""
        return statistics.median(self._differences) / statistics.median(self.plain)

    @property
    def overhead_between(self) -> tuple[float, float]:
        """Between which the overhead lies, at 95 %: order statistics of the differences (normal approximation)."""
        ordered, count = sorted(self._differences), len(self.plain)
        reach = 0.98 * math.sqrt(count)
        centre = (count - 1) / 2
        low, high = max(0, math.floor(centre - reach)), min(count - 1, math.ceil(centre + reach))
        middle = statistics.median(self.plain)
        return ordered[low] / middle, ordered[high] / middle

    @property
    def added_ms(self) -> float:
        return statistics.median(self._differences)

    @property
    def _differences(self) -> list[float]:
        return [after - before for before, after in zip(self.plain, self.layered, strict=True)]


@dataclass(frozen=True)
class Saturation:
    """Answers of each server in all its turns, and the seconds of those."""

    answers: tuple[int, int]
    seconds: tuple[float, float]

    @property
    def per_s(self) -> tuple[float, float]:
        """Plain, and layered."""
        return self.answers[0] / self.seconds[0], self.answers[1] / self.seconds[1]

    @property
    def ratio(self) -> float:
        plain, layered = self.per_s
        return layered / plain


async def pairs(plain: Ask, layered: Ask, seconds: float, *, fewest: int = FEWEST_PAIRS) -> Pairs:
    """Pairs for ``seconds``, after a warm-up, and at least ``fewest``."""
    if not seconds > 0:
        raise ParametersRefused(f"{seconds} seconds measure nothing", hint="Choose a number like 20")
    times: tuple[list[float], list[float]] = ([], [])
    asks = (plain, layered)
    for _ in range(WARM_UP):
        await plain()
        await layered()
    end, number = time.perf_counter() + seconds, 0
    while number < fewest or time.perf_counter() < end:
        for one in ((0, 1), (1, 0))[number % 2]:
            begin = time.perf_counter()
            await asks[one]()
            times[one].append(1e3 * (time.perf_counter() - begin))
        number += 1
    return Pairs(*times)


async def saturation(
    plain: Ask, layered: Ask, seconds: float, *, clients: int, on_turn: Callable[[int], None] = lambda _: None
) -> Saturation:
    """``clients`` ask without pause, :data:`TURNS` turns each server, ``seconds`` together. ``on_turn``: called before
    each turn with 0 (plain) or 1, and with -1 after the last."""
    counts, spent = [0, 0], [0.0, 0.0]
    asks = (plain, layered)
    for turn in range(TURNS):
        for one in ((0, 1), (1, 0))[turn % 2]:
            on_turn(one)
            count, took = await flood(asks[one], seconds / (2 * TURNS), clients=clients)
            counts[one] += count
            spent[one] += took
    on_turn(-1)
    return Saturation((counts[0], counts[1]), (spent[0], spent[1]))


async def flood(ask: Ask, seconds: float, *, clients: int) -> tuple[int, float]:
    """How many answers ``clients`` got that asked without pause for ``seconds``, and until the last one came."""
    if clients < 1:
        raise ParametersRefused(f"{clients} clients ask nothing", hint="Choose a number like 8")
    begin = time.perf_counter()

    async def one() -> int:
        answered = 0
        while time.perf_counter() - begin < seconds:
            await ask()
            answered += 1
        return answered

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(clients)]
    return sum(task.result() for task in tasks), time.perf_counter() - begin


def percentile(values: Sequence[float], part: float) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


__all__ = ["Ask", "Pairs", "Saturation", "flood", "pairs", "percentile", "saturation"]
