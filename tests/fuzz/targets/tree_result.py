"""The mean that an upper job of a tree publishes, as the groups below read it."""

from __future__ import annotations

import numpy as np
from tests.fuzz.held import refused_or

from quatrefoil.federation.group_sums import LARGEST, TAIL, GroupSum


def seeds() -> list[bytes]:
    """How many groups there are, and a mean over them."""
    sums = [
        GroupSum(np.array([5, -7, LARGEST, 0], np.int64), 1000, 12),
        GroupSum(np.array([0], np.int64), (1 << 24) + 7, 1),
        GroupSum(np.zeros(0, np.int64), 3, 3),
    ]
    means = [bytes([groups]) + (one.encode() / groups).tobytes() for one in sums for groups in (1, 3, 7)]
    odd = [0.25, float("nan"), float("inf"), -1.0, 1e300, 2.0**62, 2.0**63, -(2.0**63), 0.0]
    at = [np.array([1.0, *values]) for values in [(3.0, 3.0, odd[0]), *((3.0, 5.0, one) for one in odd)]]
    lies = [bytes([3]) + (np.array([one, 3.0, 5.0, 0.0])).tobytes() for one in odd]
    return [*means, *lies, *(bytes([1]) + one.tobytes() for one in at), bytes([3]) + bytes(8 * TAIL), bytes([3, 1])]


def one(data: bytes) -> None:
    """A sum that is accepted is what such a mean is of."""
    if not data:
        return
    groups, mean = data[0] or 1, data[1:]
    total = refused_or(lambda: GroupSum.of_mean(mean, groups))
    if total is None:
        return
    values = np.frombuffer(mean, "<f8") * groups
    assert len(total.grains) == len(values) - TAIL
    assert (np.abs(total.grains - values[:-TAIL]) < 2**-9).all()
    assert 1 <= total.contributors <= total.samples
