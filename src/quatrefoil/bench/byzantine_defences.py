"""How a mean is made of updates of which some are malicious, seeing all of them or none.

In the clear, with every update before them: multi-Krum (Blanchard et al., NeurIPS 2017), the coordinate-wise median and
the trimmed mean (Yin et al., ICML 2018). They count silos, not records, and are told how many are malicious. The bounds
see nothing but whether a proof verifies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quatrefoil.bench.byzantine_worlds import Vector

Combine = Callable[[NDArray[np.float64], Vector, int], Vector]
"""(updates, silos x values; shares of the silos; how many are malicious) -> the mean."""

NormRule = Literal["policy", "adaptive", "directed"]


def weighted_mean(updates: NDArray[np.float64], shares: Vector, malicious: int) -> Vector:  # noqa: ARG001
    mean: Vector = shares @ updates / shares.sum()
    return mean


def multi_krum(updates: NDArray[np.float64], shares: Vector, malicious: int) -> Vector:  # noqa: ARG001
    """The mean of the n - f updates that are closest to their n - f - 2 nearest neighbours, by squared distances."""
    count = len(updates)
    squares = np.einsum("ij,ij->i", updates, updates)
    distances = squares[:, None] + squares[None, :] - 2 * updates @ updates.T
    np.fill_diagonal(distances, np.inf)
    nearest = np.sort(distances, axis=1)[:, : max(1, count - malicious - 2)]
    chosen = nearest.sum(axis=1).argsort(kind="stable")[: count - malicious]
    mean: Vector = updates[chosen].mean(axis=0)
    return mean


def median(updates: NDArray[np.float64], shares: Vector, malicious: int) -> Vector:  # noqa: ARG001
    middle: Vector = np.median(updates, axis=0)
    return middle


def trimmed_mean(updates: NDArray[np.float64], shares: Vector, malicious: int) -> Vector:  # noqa: ARG001
    """Of every value, the ``malicious`` smallest and as many of the largest are left out."""
    mean: Vector = np.sort(updates, axis=0)[malicious : len(updates) - malicious].mean(axis=0)
    return mean


DEFENCES: Mapping[str, tuple[Combine, NormRule | None]] = {
    "mean": (weighted_mean, None),
    "bound": (weighted_mean, "policy"),
    "adaptive-bound": (weighted_mean, "adaptive"),
    "directed-bound": (weighted_mean, "directed"),
    "krum": (multi_krum, None),
    "median": (median, None),
    "trimmed-mean": (trimmed_mean, None),
}
"""How the mean is made, and what is proven: nothing where every update is seen, and under the plain mean."""

SEES_UPDATES = ("krum", "median", "trimmed-mean")

__all__ = ["DEFENCES", "SEES_UPDATES", "median", "multi_krum", "trimmed_mean", "weighted_mean"]
