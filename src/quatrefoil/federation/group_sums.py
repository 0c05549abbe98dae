"""What a group's aggregator contributes to an upper job: the group's sum as exact integers (``tree``).

docs/scale.md has the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import MessageRefused, UpdateRefused
from quatrefoil.federation.sums import OpenedSum
from quatrefoil.federation.vectors import ArrayLayout, Arrays, Layout

LARGEST = (1 << 31) - 1
"""What an entry of an upper contribution is at most: the clip bound of an upper job, so that one grain of its
encryption is 1 and an integer is never rounded."""

TAIL = 3
"""Entries behind the group's sum: how many silos are in it, and the sum of their counts in two digits."""

_DIGIT = 1 << 24
_WHOLE = 2.0**-10
"""How far a decrypted value may be from an integer: rounding to float64 moves it by less than 2^-20."""


@dataclass(frozen=True)
class GroupSum:
    """What goes up: the sum of a group's updates in ``grains``, integers of which one is clip / (2^(w-1) - 1) of the
    lower job, the ``samples`` of its contributors together, and their number."""

    grains: NDArray[np.int64]
    samples: int
    contributors: int

    def encode(self) -> NDArray[np.float64]:
        """As an update of the upper job; ``UpdateRefused`` where an entry does not fit."""
        largest = int(np.abs(self.grains).max(initial=0))
        high, low = divmod(self.samples, _DIGIT)
        for what, value in (("a sum", largest), ("the count of silos", self.contributors), ("samples", high)):
            if not 0 <= value <= LARGEST:
                raise UpdateRefused(
                    f"{what} of {value} does not fit into an upper job, which holds {LARGEST}",
                    hint="Make the groups smaller, or add another level",
                )
        return np.concatenate([self.grains, [self.contributors, low, high]]).astype(np.float64)

    @classmethod
    def of_mean(cls, mean: bytes, groups: int) -> GroupSum:
        """The sum over ``groups`` groups, of the mean that an upper job published; ``MessageRefused`` where that is
        not what such a sum leads to."""
        means = np.frombuffer(mean, "<f8") if len(mean) % 8 == 0 else np.zeros(0)
        # A mean of entries is no larger than they may be: so nothing below overflows.
        bounded = len(means) > TAIL and bool((np.abs(means) < LARGEST + 1).all())
        values = means * groups if bounded else np.zeros(0)
        whole = np.rint(values)
        if not bounded or (np.abs(values - whole) > _WHOLE).any():
            raise MessageRefused(
                "the upper job published what is no sum of integers", hint="Ask the upper aggregator's operator"
            )
        contributors, low, high = (int(value) for value in whole[-TAIL:])
        if min(low, high) < 0 or not 1 <= contributors <= low + high * _DIGIT:
            raise MessageRefused(
                f"the upper job published a sum of {contributors} silos with {low + high * _DIGIT} samples",
                hint="Ask the upper aggregator's operator",
            )
        return cls(whole[:-TAIL].astype(np.int64), low + high * _DIGIT, contributors)


def upper_layout(length: int) -> Layout:
    """The layout of an upper job over groups with models of ``length`` values."""
    return Layout((ArrayLayout((length + TAIL,), "<f8"),))


def upper_initial(length: int) -> Arrays:
    """The model that an upper job begins with. Nobody trains it: its means add up in it."""
    return [np.zeros(length + TAIL)]


def grains_of(values: NDArray[np.float64], grain: float) -> NDArray[np.int64]:
    """The integers that a decrypted sum is made of; ``UpdateRefused`` where it is not made of any."""
    counted = values / grain
    whole = np.rint(counted)
    if not np.isfinite(counted).all() or (np.abs(counted - whole) > _WHOLE).any():
        raise UpdateRefused(
            "the group's sum is not made of whole grains", hint="Add it with additive-rlwe: other sums are not exact"
        )
    return whole.astype(np.int64)


def group_sum(opened: OpenedSum, grain: float) -> GroupSum:
    """What goes up of a group's opened sum; ``grain``: of the group's encryption."""
    return GroupSum(grains_of(opened.values, grain), opened.samples, len(opened.contributors))


__all__ = ["LARGEST", "TAIL", "GroupSum", "grains_of", "group_sum", "upper_initial", "upper_layout"]
