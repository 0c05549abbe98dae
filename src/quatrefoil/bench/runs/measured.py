"""What a phase of a workload took when it ran, beside the same work in the clear."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class PhaseRun:
    """All passes of one phase together, under the plan and in the clear; the way from who asks to who has the answer.
    ``bytes``: what crossed the network under the plan."""

    phase: str
    plain_ms: float
    ms: float
    bytes: int

    @property
    def added_ms(self) -> float:
        return self.ms - self.plain_ms


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Milliseconds, and the result."""
    begin = time.perf_counter()
    result = work()
    return (time.perf_counter() - begin) * 1e3, result


def middle(work: Callable[[], object], repeats: int) -> float:
    """Milliseconds of ``work``, the median of ``repeats`` after one that is not counted."""
    work()
    return median(timed(work)[0] for _ in range(repeats))
