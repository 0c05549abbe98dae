"""Roster limits off: two sums over nearly equal rosters, subtracted, are close to one hospital's update.

Each sum by itself is protected. The attacker needs nothing but two published means and the sample counts, so every
hospital can mount this as well as the aggregator. The common model has moved between the two rounds, so the difference
is not exact; late in training it hardly moves.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quatrefoil.demo.attacks.outcome import Outcome

Vector = NDArray[np.float64]


def subtract_two_means(
    victim: str, counts: Mapping[str, int], *, everyone: Vector, without_victim: Vector, truth: Vector, refusal: str
) -> Outcome:
    """The victim's update from two published means, of a round with it and of the next one without it.

    ``truth``: what it sent in the first of the two. ``refusal``: what the keeper answers to the second round under the
    demo's policy; empty where it answers.
    """
    total, own = sum(counts.values()), counts[victim]
    found = (total * everyone - (total - own) * without_victim) / own
    gap, gap_of_one = _relative(found, truth), _relative(everyone, truth)
    return Outcome(
        name="roster",
        layer="the limit on how rosters may change",
        turned_off="A job under minimum_roster_group = 1 instead of 3, in which the hospital "
        f"{victim} leaves before the last round. The keeper answers every round.",
        won=f"The last but one mean less the last one, times the numbers of patients, is {victim}'s own update to "
        f"{gap:.1%} of its length, correlation {_correlation(found, truth):.4f}. The two means are published.",
        left=(f"The last round is refused: {refusal}. " if refusal else "The keeper answers all the same. ")
        + f"One mean alone is {gap_of_one:.0%} of the update's length away from it, correlation "
        f"{_correlation(everyone, truth):.2f}.",
        verdict="Two sums that differ by one hospital give that hospital away; the keeper refuses the second one.",
        without={"relative_error": gap, "correlation": _correlation(found, truth)},
        with_layer={
            "relative_error": gap_of_one,
            "correlation": _correlation(everyone, truth),
            "second_roster": f"refused: {refusal}" if refusal else "answered",
        },
        protected=bool(refusal),
    )


def _relative(found: Vector, truth: Vector) -> float:
    """The Euclidean distance from the truth, as a share of the truth's length."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def _correlation(found: Vector, truth: Vector) -> float:
    """The cosine of the angle between the two."""
    return float(found @ truth / (np.linalg.norm(found) * np.linalg.norm(truth)))
