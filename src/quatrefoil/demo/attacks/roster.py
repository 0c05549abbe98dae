"""Roster limits off: two sums over nearly equal rosters, subtracted, are one hospital's update (intersection attack).

Each sum by itself is protected. The common model is the same in both rounds (a repeated round), as an aggregator that
controls the schedule would arrange it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quatrefoil.demo import inversion
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.inversion import Records
from quatrefoil.demo.models import Arrays, Parameters


def subtract_two_sums(all_of_them: Arrays, without_one: Arrays, victim: Arrays, records: Records) -> Outcome:
    """The victim's update from the decrypted sums with it and without it; ``records`` are the victim's patients.

    All three are weighted alike: ``victim`` is the contribution as it entered the sum. ``with_layer`` is what one sum
    alone gives away; that the second is refused is for the caller to show.
    """
    found: Parameters = [np.asarray(a - b, np.float64) for a, b in zip(all_of_them, without_one, strict=True)]
    return Outcome(
        name="roster",
        layer="limit on how rosters may change",
        without={"relative_error": _relative(found, victim), "psnr_db": _psnr(found, records)},
        with_layer={"relative_error": _relative(all_of_them, victim), "psnr_db": _psnr(all_of_them, records)},
        protected=True,
        verdict="Two sums that differ by one hospital give that hospital's update by subtraction. "
        "A second roster that close to the first is refused.",
    )


def _relative(found: Arrays, truth: Arrays) -> float:
    """The Euclidean distance from the truth, as a share of the truth's length."""
    flat, true = _flat(found), _flat(truth)
    return float(np.linalg.norm(flat - true) / np.linalg.norm(true))


def _psnr(update: Arrays, records: Records) -> float:
    return inversion.best_psnr(inversion.invert_update(update), records)


def _flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)
