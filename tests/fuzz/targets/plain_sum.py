"""The stand-in for encryption: contributions, sums and keys in the clear, up to a mean."""

from __future__ import annotations

import numpy as np
from tests.fuzz.held import refused_or

from quatrefoil.contracts import SumShape
from quatrefoil.insecure import PlainAggregation

SHAPE = SumShape(5, 0.5, bytes(range(32)))
BACKEND = PlainAggregation(accept_insecure="plain-aggregation")
KEY_BYTES = 36


def seeds() -> list[bytes]:
    one = BACKEND.encrypt(np.linspace(-0.5, 0.5, 5), weight=1.0, shape=SHAPE)
    whole = one.ciphertext + BACKEND.combine_keys([one.key])
    odd = [np.nan, np.inf, -np.inf, 0.6, 1e300]
    return [whole, whole[: -KEY_BYTES - 8], *(_with(whole, value) for value in odd)]


def _with(whole: bytes, value: float) -> bytes:
    """Another last value."""
    return whole[: -KEY_BYTES - 8] + np.float64(value).tobytes() + whole[-KEY_BYTES:]


def one(data: bytes) -> None:
    """``data``: a contribution, and after it a combined key. What is accepted is within the clip bound."""
    contribution, key = data[:-KEY_BYTES], data[-KEY_BYTES:]
    accumulator = BACKEND.accumulator(shape=SHAPE)
    if refused_or(lambda: accumulator.add(contribution) or True) is None:
        return
    total = accumulator.total()
    found = refused_or(lambda: BACKEND.decrypt(total, key, count=1, shape=SHAPE))
    if found is not None:
        assert found.values.shape == (SHAPE.length,) and (np.abs(found.values) <= SHAPE.clip * (1 + 2**-32)).all()
