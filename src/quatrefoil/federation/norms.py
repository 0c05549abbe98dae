"""The norm that silos prove to keep in a round, from what everybody has: the policy and the published means.

    norm(1) = policy's
    norm(t) = min(policy's, max(factor * |mean(t-1)|, floor * norm(t-1)))

in a policy that gives factor and floor; in any other it is the policy's in every round. Only a published mean moves it:
an attempt that ends with a void does not. Every party computes it by itself, and keeps it with the model that the same
mean led to. docs/robustness.md says what it is good for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import MessageRefused, ParametersRefused
from quatrefoil.policy import Limits

Vector = NDArray[np.float64]

CHUNK = 1 << 16
"""Values that are Python numbers at a time: each takes four times its eight bytes."""


@dataclass(frozen=True)
class AdaptiveRule:
    """The norm of a round follows the mean of the last, between a ``floor`` and the policy's norm.

    ``floor``: updates that pull the mean to nothing shrink the norm, and with it the honest updates; it shrinks by no
    more than that a round. Wider than what a policy takes: ``quatrefoil bench byzantine`` measures what less costs.
    """

    factor: float
    floor: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor > 0 and 0 <= self.floor <= 1):
            raise ParametersRefused(
                f"a factor of {self.factor} and a floor of {self.floor} give no norm",
                hint="Choose a factor above 0, like 3, and a floor from 0 to 1, like 0.9",
            )

    def following(self, norm: float, mean: Vector, *, policy_norm: float) -> float:
        """The norm of the round after one with ``norm`` that published the finite ``mean``.

        Every party computes the same float64, in whatever order it adds: each square, the sum of all squares, the root
        and each product are rounded once. What is beyond float64 is infinite, and the norm then the policy's.
        """
        return min(policy_norm, max(self.factor * _length(mean), self.floor * norm))


def next_norm(limits: Limits, norm: float, mean: Vector) -> float:
    """The norm of the round after one with ``norm`` that published ``mean``, under a policy with these limits."""
    if not limits.norm_is_adaptive:
        return limits.update_norm
    rule = AdaptiveRule(limits.update_norm_factor, limits.update_norm_floor)
    return rule.following(norm, mean, policy_norm=limits.update_norm)


def check_possible(limits: Limits, number: int, norm: float) -> None:
    """``MessageRefused`` for a norm of round ``number`` that no means could have led to.

    For the keeper, which sees no mean. Silos and aggregator compare with the norm that they computed.
    """
    fixed = number == 1 or not limits.norm_is_adaptive
    possible = norm == limits.update_norm if fixed else 0 <= norm <= limits.update_norm
    if not possible:
        raise MessageRefused(
            f"round {number} is to be opened for a norm of {norm}, the policy's is {limits.update_norm}",
            hint="Open it for the norm that the published means lead to",
        )


def _length(mean: Vector) -> float:
    with np.errstate(over="ignore", under="ignore"):
        squares = mean * mean
    try:
        return math.sqrt(math.fsum(_numbers(squares)))
    except OverflowError:  # the sum of finite squares is beyond float64
        return math.inf


def _numbers(values: Vector) -> Iterator[float]:
    for start in range(0, len(values), CHUNK):
        yield from values[start : start + CHUNK].tolist()


__all__ = ["AdaptiveRule", "check_possible", "next_norm"]
