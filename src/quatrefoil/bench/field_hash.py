"""What the field hash in a receipt costs: a hash of one sample, the matrix that is expanded once, its rows combined.

python -m quatrefoil.bench.field_hash
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from quatrefoil import _core
from quatrefoil.errors import ParametersRefused
from quatrefoil.proofs.field_hash import ELEMENT_BYTES, FieldHash

SIZES = (30, 784, 150_528)
"""The heart data's columns, a digit of 28 by 28, an image of 3 by 224 by 224."""

_WITHIN_S = 0.5


def measure_field_hash(sizes: tuple[int, ...] = SIZES, low: int = -128, high: int = 127) -> dict[str, Any]:
    """A row for each size, on one thread: ``hash_us`` of a sample, ``expand_ms`` of the matrix, ``combine_ms`` of its
    rows; medians. With ``rows``, ``rho_entries``, ``hash_bytes`` and ``matrix_bytes``."""
    if not sizes:
        raise ParametersRefused("no sizes measure nothing", hint="Choose numbers like 784")
    return {"level": _core.processor_levels()[0], "range": [low, high], "rows": [_row(one, low, high) for one in sizes]}


def _row(size: int, low: int, high: int) -> dict[str, Any]:
    made = FieldHash(size, low, high)
    inputs = np.random.default_rng(7).integers(low, high + 1, size, np.int32)
    rho, point = os.urandom(made.rho_bytes), bytes(ELEMENT_BYTES * (made.rows - 1).bit_length())
    return {
        "inputs": size,
        "rows": made.rows,
        "rho_entries": made.rho_entries,
        "hash_bytes": 8 * made.rows,
        "matrix_bytes": 8 * made.rows * (size + made.rho_entries),
        "hash_us": 1e6 * _median(lambda: made.hash(inputs, rho)),
        "expand_ms": 1e3 * _median(lambda: FieldHash(size, low, high)),
        "combine_ms": 1e3 * _median(lambda: made.row_combination(point)),
    }


def _median(step: Callable[[], object]) -> float:
    times, end = list[float](), time.perf_counter() + _WITHIN_S
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


__all__ = ["SIZES", "measure_field_hash"]


if __name__ == "__main__":  # prints the measurement
    print(json.dumps(measure_field_hash(), indent=2))
