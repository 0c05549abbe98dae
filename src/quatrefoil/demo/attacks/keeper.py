"""Keeper and aggregator together: the one coalition that the additive encryption does not withstand.

A ciphertext hides its update from whoever lacks the silo's key. The keeper sees every key of the round, the aggregator
every ciphertext: put together, they decrypt each hospital by itself.
"""

from __future__ import annotations

import numpy as np

from quatrefoil.contracts import PrivateAggregation, SumShape
from quatrefoil.demo import inversion
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.inversion import Packing, Records
from quatrefoil.demo.models import Parameters


def collude_with_keeper(
    aggregation: PrivateAggregation,
    update: Parameters,
    records: Records,
    *,
    shape: SumShape,
    packing: Packing | None = None,
) -> Outcome:
    """One hospital's ``update`` (values within ``shape.clip``) encrypted; the aggregator alone, then with the keeper.

    ``without`` is the coalition, ``with_layer`` the aggregator alone, which an honest keeper leaves with a ciphertext.
    """
    vector = np.concatenate([array.ravel() for array in update])
    encrypted = aggregation.encrypt(vector, weight=1.0, shape=shape)
    combined = aggregation.combine_keys([encrypted.key])
    opened = aggregation.decrypt(encrypted.ciphertext, combined, shape=shape, count=1)  # a sum of one
    closed = inversion.ciphertext_as_update(encrypted.ciphertext, shape.length, packing)
    return Outcome(
        name="keeper",
        layer="a keeper that does not collude",
        without=_figures(opened.values, vector, update, records),
        with_layer=_figures(closed * (np.linalg.norm(vector) / np.linalg.norm(closed)), vector, update, records),
        protected=False,
        verdict="Keeper and aggregator together read every hospital's update. Nothing here stops them: "
        "the keeper is software and unattested. Run it where the aggregator's operator has no access.",
    )


def _figures(found: np.ndarray, truth: np.ndarray, update: Parameters, records: Records) -> dict[str, float]:
    candidates = inversion.invert_update(inversion.shaped_like(found, update))
    return {
        "relative_error": float(np.linalg.norm(found - truth) / np.linalg.norm(truth)),
        "psnr_db": inversion.best_psnr(candidates, records),
    }
