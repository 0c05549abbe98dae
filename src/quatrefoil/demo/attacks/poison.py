"""No proofs yet: one hospital sends its update times -10, and the encrypted sum takes it like any other.

The clip bound limits each value, not the direction: a poisoned update is clipped to it, and still ruins the model.
"""

from __future__ import annotations

import numpy as np

from quatrefoil.demo import models
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.baselines import CLIP, Score
from quatrefoil.demo.models import Arrays, Parameters

FACTOR = -10.0


def poisoned(start: Arrays, trained: Arrays, *, clip: float = CLIP) -> Parameters:
    """What the hospital returns instead of ``trained``: its update times -10, values cut to the clip bound."""
    update = [np.clip(FACTOR * array, -clip, clip) for array in models.difference(trained, start)]
    return models.apply([np.asarray(array, np.float64) for array in start], update)


def poison_the_model(attacker: str, *, rounds: int, honest: Score, ruined: Score) -> Outcome:
    """Scores on all held-out patients of two encrypted trainings, an honest one and one with a poisoning hospital."""
    return Outcome(
        name="poison",
        layer="proofs of bounded updates (they do not exist yet)",
        turned_off=f"The demo's job of {rounds} encrypted rounds, in which the hospital {attacker} sends {FACTOR:g} "
        "times its update, every value within the clip bound.",
        won=f"Nothing is read; the model is ruined. Accuracy on held-out patients: {ruined.accuracy:.3f} instead of "
        f"{honest.accuracy:.3f} (AUC {ruined.auc:.3f} instead of {honest.auc:.3f}); saying the same of everyone "
        f"gives {ruined.majority:.3f}.",
        left="There is no such layer in this release: every one of these updates was accepted, unseen.",
        verdict="Nothing protects against this today: updates are hidden, and nothing proves them honest.",
        without={
            "accuracy": ruined.accuracy,
            "auc": ruined.auc,
            "honest_accuracy": honest.accuracy,
            "honest_auc": honest.auc,
        },
        with_layer={},
        protected=False,
    )
