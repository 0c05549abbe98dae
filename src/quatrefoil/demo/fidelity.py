"""How exact encrypted training is: of one round, which is bounded, and of all rounds together, which is measured.

**One round.** Every entry of a published mean lies within the round's ``error_bound`` of the weighted mean of the very
updates that went into it. That is a claim about each round, and :func:`mean_errors` checks it.

**All rounds.** The final weights of two trainings, one with exact means and one with rounded ones, differ by more or by
less than the bounds added up, because from the second round on the hospitals train from different models: gradient
descent may shrink a difference or let it grow. Nothing bounds that difference in advance, so it is only measured, and
shown beside the sum of the rounds' bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.demo import models
from quatrefoil.demo.baselines import Train, train_round
from quatrefoil.demo.data import Labelled
from quatrefoil.demo.inversion import shaped_like
from quatrefoil.demo.models import Arrays
from quatrefoil.federation.norms import next_norm
from quatrefoil.federation.vectors import euclidean_norm, scaled_down
from quatrefoil.policy import Limits

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Fidelity:
    """``mean_error``, ``mean_bound``: of the round that came closest to its bound, the largest error of any entry of
    the published mean, and that round's bound. ``final_difference``: the largest difference of any final weight from
    training in the clear. ``added_bounds``: the bounds of all rounds of that training added up."""

    mean_error: float
    mean_bound: float
    final_difference: float
    added_bounds: float

    def worst_of(self, other: Fidelity) -> Fidelity:
        """Of two trainings: the round closest to its bound, and the larger final difference, each with its bound."""
        mean = max(self, other, key=lambda one: one.mean_error / one.mean_bound)
        final = max(self, other, key=lambda one: one.final_difference / one.added_bounds)
        return Fidelity(mean.mean_error, mean.mean_bound, final.final_difference, final.added_bounds)


def fidelity(errors: Sequence[float], bounds: Sequence[float], encrypted: Arrays, clear: Arrays) -> Fidelity:
    """One training: its rounds' errors and bounds, and its final weights beside those of training in the clear."""
    error, bound = max(zip(errors, bounds, strict=True), key=lambda pair: pair[0] / pair[1])
    return Fidelity(error, bound, models.largest(models.difference(encrypted, clear)), sum(bounds))


def kept_within(update: Vector, *, clip: float, norm: float) -> Vector:
    """What a silo sends of an update under ``on_excess = "clip"``: values set to the bound, then all scaled down."""
    clipped = np.clip(update, -clip, clip)
    return clipped if euclidean_norm(clipped) <= norm else np.asarray(scaled_down(clipped, norm), np.float64)


def mean_errors(
    start: Arrays,
    silos: Sequence[Labelled],
    means: Sequence[Vector],
    limits: Limits,
    *,
    train: Train = train_round,
) -> list[float]:
    """For every published mean, its largest distance from the weighted mean of the updates that it was made of.

    Training is deterministic, so the updates are made again: each round from the model that the published means led
    to, and kept within the clip bound and the round's norm as silos do. The mean is taken in the longest
    floating-point type here.
    """
    model = [np.asarray(array, np.float64) for array in start]
    counts = [len(labels) for _, labels in silos]
    errors = []
    norm = limits.update_norm
    for mean in means:
        exact = np.zeros(len(mean), np.longdouble)
        for data, count in zip(silos, counts, strict=True):
            update = _flat(models.difference(train(model, data), model))
            exact += kept_within(update, clip=limits.clip, norm=norm).astype(np.longdouble) * count
        errors.append(float(np.abs(exact / sum(counts) - mean).max()))
        model = models.apply(model, shaped_like(mean, model))
        norm = next_norm(limits, norm, mean)
    return errors


def _flat(arrays: Arrays) -> Vector:
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)
