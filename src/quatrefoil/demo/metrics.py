"""How good a prediction is, and how good a reconstruction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import CallerError

PSNR_CAP = 99.0
"""A perfect reconstruction has infinite PSNR; figures stop here, in decibel."""

Vector = NDArray[np.float64]


def accuracy(labels: Vector, probability: Vector) -> float:
    """The share of patients on the right side of 0.5."""
    _same_length(labels, probability)
    return float(np.mean((probability >= 0.5) == (labels >= 0.5)))


def majority_share(labels: Vector) -> float:
    """The accuracy of whoever says the same of everyone: what an accuracy is to be read beside."""
    positive = float(np.mean(labels >= 0.5))
    return max(positive, 1 - positive)


def auc(labels: Vector, probability: Vector) -> float:
    """The area under the ROC curve: how often a sick patient is ranked above a healthy one, ties counting half.

    Mann and Whitney (1947), by ranks. ``CallerError`` where one of the two kinds is absent: there is no AUC then.
    """
    _same_length(labels, probability)
    positive = labels >= 0.5
    count, others = int(positive.sum()), int((~positive).sum())
    if count == 0 or others == 0:
        raise CallerError(
            f"an AUC of {count} positives and {others} negatives does not exist", hint="Pass labels of both kinds"
        )
    _, inverse, repeats = np.unique(probability, return_inverse=True, return_counts=True)
    highest = np.cumsum(repeats)
    middle = highest - (repeats - 1) / 2  # the mean rank of each distinct value
    rank_sum = float(middle[inverse][positive].sum())
    return (rank_sum - count * (count + 1) / 2) / (count * others)


def differing_predictions(one: Vector, other: Vector) -> int:
    """How many patients two models put on different sides of 0.5."""
    _same_length(one, other)
    return int(np.sum((one >= 0.5) != (other >= 0.5)))


def psnr(guess: Vector, truth: Vector) -> float:
    """Peak signal-to-noise ratio in decibel over features in [0, 1] (peak 1): -10 log10 of the mean squared error.

    0 dB is an error as large as the range, 20 dB one tenth of it, 40 dB one hundredth; capped at :data:`PSNR_CAP`.
    """
    _same_length(guess, truth)
    return float(psnr_pairs(guess[None], truth[None])[0, 0])


def psnr_pairs(guesses: Vector, truths: Vector) -> Vector:
    """The PSNR of every guess (k x d) for every truth (n x d), as k x n; see :func:`psnr`."""
    error = np.mean((guesses[:, None, :] - truths[None, :, :]) ** 2, axis=2)
    perfect = 10 ** (-PSNR_CAP / 10)
    return np.asarray(-10 * np.log10(np.maximum(error, perfect)), dtype=np.float64)


def _same_length(one: Vector, other: Vector) -> None:
    if one.shape != other.shape or one.ndim != 1 or one.size == 0:
        raise CallerError(f"shapes {one.shape} and {other.shape} do not compare", hint="Pass two equally long vectors")
