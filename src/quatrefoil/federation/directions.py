"""What updates of a round must not point away from, by what everybody has: the policy and the last published mean.

    direction(1) = none
    direction(t) = mean(t-1), each value times 32767 / its largest magnitude, rounded to 16 bits

in a policy with ``update_direction = "last-mean"``. Each value is one product and one rounding of float64, so that all
parties compute the same entries, and keep them with the model that the same mean led to. A mean of nothing but zeros
points nowhere, and every update agrees with it. docs/robustness.md says what it is good for.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from quatrefoil.contracts import FloatVector
from quatrefoil.errors import MessageRefused
from quatrefoil.policy import Limits

LARGEST_ENTRY = 32767
DIGEST_BYTES = 32


def next_direction(limits: Limits, mean: NDArray[np.float64]) -> bytes:
    """The entries for the round after one that published the finite ``mean``: two bytes each, little-endian; none in a
    policy that asks for no direction."""
    return entries_of(mean).astype("<i2").tobytes() if limits.update_direction else b""


def entries_of(mean: NDArray[np.float64]) -> NDArray[np.int16]:
    """A mean as the entries of a direction."""
    largest = float(np.abs(mean).max())
    if largest == 0:
        return np.zeros(len(mean), np.int16)
    with np.errstate(under="ignore"):
        # Divided first: the quotient by a subnormal number would be infinite.
        return np.asarray(np.rint(mean / largest * LARGEST_ENTRY), np.int16)


def read_entries(direction: bytes) -> NDArray[np.int16]:
    """The inverse of the bytes of :func:`next_direction`."""
    return np.frombuffer(direction, "<i2").astype(np.int16)


def agreement(update: FloatVector, direction: bytes) -> float:
    """The sum of products of an update's values and the entries, in float64."""
    return float(update.astype(np.float64, copy=False) @ read_entries(direction))


def made_to_agree(update: FloatVector, direction: bytes) -> FloatVector:
    """``update`` without what points away: its projection onto what is at right angles to the direction."""
    entries = read_entries(direction).astype(np.float64)
    away = min(0.0, agreement(update, direction))
    if away == 0.0:
        return update
    return cast(FloatVector, (update - entries * (away / float(entries @ entries))).astype(update.dtype))


def check_possible(limits: Limits, number: int, digest: bytes) -> None:
    """``MessageRefused`` for a digest of round ``number``'s direction that cannot be one. For the keeper, which sees no
    mean. Silos and aggregator compare with the one that they computed."""
    expected = DIGEST_BYTES if limits.update_direction and number > 1 else 0
    if len(digest) != expected:
        raise MessageRefused(
            f"round {number} is to be opened for a direction of {len(digest)} bytes, not {expected}",
            hint="Open it for the direction that the published means lead to",
        )


__all__ = ["agreement", "check_possible", "entries_of", "made_to_agree", "next_direction", "read_entries"]
