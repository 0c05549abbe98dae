"""No proofs yet: one hospital sends its update times -10, and the encrypted sum takes it like any other.

The clip bound limits each value, not the direction: a poisoned update is clipped to it, and still ruins the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quatrefoil.demo import baselines
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.baselines import Aggregate, clear_mean
from quatrefoil.demo.data import Labelled
from quatrefoil.demo.models import Parameters

FACTOR = -10.0


@dataclass(frozen=True)
class Poisoned:
    """``aggregate`` with the update of silo ``position`` replaced by -10 times itself, clipped to ``clip``."""

    aggregate: Aggregate
    position: int
    clip: float = baselines.CLIP

    def __call__(self, updates: Sequence[Parameters], counts: Sequence[int], number: int) -> Parameters:
        sent = list(updates)
        sent[self.position] = [np.clip(FACTOR * array, -self.clip, self.clip) for array in sent[self.position]]
        return self.aggregate(sent, counts, number)


def poison_the_mean(
    start: Parameters,
    silos: Sequence[Labelled],
    held_out: Labelled,
    *,
    position: int = 0,
    aggregate: Aggregate = clear_mean,
) -> Outcome:
    """Accuracy and AUC on ``held_out`` after an honest training and after a poisoned one.

    ``aggregate`` may be the encrypted one: it makes no difference, which is the point.
    """
    honest = baselines.score(baselines.federated(start, silos, aggregate).parameters, held_out)
    trained = baselines.federated(start, silos, Poisoned(aggregate, position)).parameters
    ruined = baselines.score(trained, held_out)
    poisoned = {"accuracy": ruined.accuracy, "auc": ruined.auc, "honest_accuracy": honest.accuracy}
    return Outcome(
        name="poison",
        layer="integrity proofs",
        without=poisoned,
        with_layer=poisoned,  # there is no such layer in this release
        protected=False,
        verdict=f"One hospital that sends {FACTOR:g} times its update takes the model from an accuracy of "
        f"{honest.accuracy:.3f} to {ruined.accuracy:.3f}. Nothing protects against this today: "
        "the updates are hidden, and nothing proves them honest or bounded in length.",
    )
