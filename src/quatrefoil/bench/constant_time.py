"""Whether the time of a step tells a fixed secret from random ones: Welch's t-test on measured times.

Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?" (DATE 2017): two classes of inputs in random order,
and t over all times and over those below each of 100 percentiles, since a leak may show only where nothing interrupted
the processor; and over squared distances from the mean, for a difference in spread. The largest |t| is given. It finds
leaks; that it finds none is no proof that there is none, and a busy machine hides more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil import _core
from quatrefoil.errors import ParametersRefused

SUSPICIOUS, LEAK = 4.5, 10.0
"""Above the first, the test vector leakage assessment of Goodwill and others (NIST workshop, 2011) finds a leak; the
second is where the paper's own tool begins to say so. Between them, measure again with more measurements."""

FEWEST = 1000
_BATCH = 500
_CROPS = tuple(1 - 0.5 ** (10 * (step + 1) / 100) for step in range(100))
"""Percentiles, denser towards the top, as in the tool of the paper."""

_MINUS_ONE = _core.MODULUS - 1


def _float(value: float) -> int:
    return int(np.float64(value).view(np.uint64))


def _two_floats(value: float) -> int:
    half = int(np.float32(value).view(np.uint32))
    return half << 32 | half


@dataclass(frozen=True)
class Case:
    """A step, and the fixed secret that is compared with random ones. ``what``: that secret in words."""

    step: str
    what: str
    fixed: int


CASES = (
    Case("noise bits", "all zero", 0),
    Case("noise bits", "all one", 2**64 - 1),
    Case("key transform", "all zero", 0),
    Case("key transform", "all -1", _MINUS_ONE),
    Case("key times a", "all zero", 0),
    Case("key times a", "all -1", _MINUS_ONE),
    Case("key sum", "all zero", 0),
    Case("key sum", "all -42", 2**64 - _core.ETA),
    Case("key expansion", "seed of zeros", 0),
    Case("encryption, seeds", "seeds of zeros", 0),
    Case("encryption, values", "all zero", _float(0.0)),
    Case("encryption, values", "all at the bound", _float(1.0)),
    Case("encryption, values", "all at its other end", _float(-1.0)),
    Case("encryption, float32", "all zero", _two_floats(0.0)),
    Case("encryption, float32", "all at the bound", _two_floats(1.0)),
)
CONTROL = Case("leaky control", "all zero", 0)
"""A branch on each secret, which the bench must find: otherwise it could not have seen anything else either."""

NOT_CLAIMED = (
    Case("encryption, values", "all subnormal", 1),
    Case("encryption, float32", "all subnormal", _two_floats(1e-45)),
)
"""Measured beside the others, and not claimed to be constant: processors may be slower on subnormal values."""


def measure_constant_time(
    measurements: int, progress: Callable[[str], None], *, levels: list[str] | None = None
) -> list[dict[str, Any]]:
    """A row for each case and each copy of the loops on this processor: largest |t|, of which times, median ticks.

    ``levels``: only those copies. Raises ``ParametersRefused`` for too few measurements.
    """
    if measurements < FEWEST:
        raise ParametersRefused(
            f"{measurements} measurements are fewer than {FEWEST}", hint="Take 20000, or more on a busy machine"
        )
    every = _core.processor_levels()
    rows = []
    try:
        for level in levels or every:
            _core.limit_processor(level)
            for case in (CONTROL, *CASES, *NOT_CLAIMED):
                progress(f"{level}: {case.step}, {case.what}")
                rows.append({"level": level, **_row(case, measurements)})
    finally:
        _core.limit_processor(every[0])
    return rows


def largest_t(times: NDArray[np.float64], classes: NDArray[np.bool_]) -> tuple[float, str]:
    """The largest |t| of all tests, and the test that gave it: of which times, or of their spread."""
    found = [(abs(_welch(times[~classes], times[classes])), "all")]
    for crop in _CROPS:
        kept = times < np.quantile(times, crop)
        found.append((abs(_welch(times[kept & ~classes], times[kept & classes])), f"lowest {crop:.1%}"))
    means = np.where(classes, times[classes].mean(), times[~classes].mean())
    spread = (times - means) ** 2
    found.append((abs(_welch(spread[~classes], spread[classes])), "spread"))
    return max(found)


def verdict(t: float) -> str:
    """What a |t| says, in a word or two."""
    return "leak" if t >= LEAK else "unclear" if t >= SUSPICIOUS else "none seen"


def _row(case: Case, measurements: int) -> dict[str, Any]:
    classes = np.frombuffer(os.urandom(measurements), np.uint8) & 1
    batches = [
        _core.time_step(case.step, case.fixed, classes[start : start + _BATCH].tobytes(), os.urandom(32))
        for start in range(0, measurements, _BATCH)
    ]
    # The first measurements of each batch fill caches and wake the wide units.
    warm = np.arange(measurements) % _BATCH >= _BATCH // 10
    times, chosen = np.concatenate(batches)[warm].astype(np.float64), classes[warm].astype(np.bool_)
    t, of = largest_t(times, chosen)
    return {
        "step": case.step,
        "fixed": case.what,
        "claimed": case not in (CONTROL, *NOT_CLAIMED),
        "measurements": len(times),
        "t": t,
        "of": of,
        "ticks_fixed": float(np.median(times[~chosen])),
        "ticks_random": float(np.median(times[chosen])),
        "verdict": verdict(t),
    }


def _welch(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Welch's t of two samples; 0 where one is too small to say anything, or nothing varies."""
    if min(len(a), len(b)) < FEWEST // 10:
        return 0.0
    variance = float(a.var(ddof=1)) / len(a) + float(b.var(ddof=1)) / len(b)
    return (float(a.mean()) - float(b.mean())) / sqrt(variance) if variance > 0 else 0.0
