"""What one run of the demo found: one immutable value, for the report and for ``quatrefoil demo --json``.

docs/demo.md says what every key means and how it is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quatrefoil.demo.baselines import Score
from quatrefoil.demo.fidelity import Fidelity
from quatrefoil.demo.leakage import Leakage
from quatrefoil.demo.serving import Served
from quatrefoil.planner import Plan
from quatrefoil.policy import STAND_INS

COLUMNS = ("alone", "pooled", "federated", "encrypted")


@dataclass(frozen=True)
class Trainings:
    """One row of scores: each hospital alone, all records pooled, federated in the clear, federated under the plan."""

    alone: Score
    pooled: Score
    federated: Score
    encrypted: Score


@dataclass(frozen=True)
class ModelResult:
    """The scores of one model on held-out patients, averaged over the splits.

    ``hospitals``: by title, each on its own patients. ``together``: all patients, each judged by the own hospital's
    model. ``anywhere``: all patients, judged by every hospital's model in turn; for the one common model of the other
    columns this is ``together`` again, so ``anywhere`` compares one model with one model.
    """

    title: str
    hospitals: Mapping[str, Trainings]
    together: Trainings
    anywhere: Trainings


@dataclass(frozen=True)
class Channel:
    """One channel of the aggregator: the certified name of the other end, and the negotiated key exchange."""

    peer: str
    group: str


@dataclass(frozen=True)
class LayerCost:
    """What a layer took in one round beside the same work in the clear: milliseconds, and bytes."""

    layer: str
    ms: float
    plain_ms: float
    bytes: int
    plain_bytes: int


@dataclass(frozen=True)
class PoisonedTraining:
    """What came out of one training: the score on all held-out patients, and whose contributions were refused."""

    score: Score
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Poisoned:
    """One poisoned training without proofs and one with them. ``refused``: by the proofs, in any round."""

    name: str
    without_proofs: PoisonedTraining
    with_proofs: PoisonedTraining

    @property
    def refused(self) -> tuple[str, ...]:
        return self.with_proofs.refused

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "accuracy_without_proofs": self.without_proofs.score.accuracy,
            "accuracy_with_proofs": self.with_proofs.score.accuracy,
            "refused": list(self.refused),
        }


@dataclass(frozen=True)
class DemoResult:
    """One run of the demo.

    ``headline``: the key of ``models`` that the top-level JSON figures are from. ``predictions``: how many were
    compared for ``differing_predictions``. ``data``: the rows of ``data.summary``. ``clipped_values``: values of
    updates that silos set to the policy's bound, over all splits. ``served``: what came after the training; where it
    is None, ``not_served`` is what is not installed for it.
    """

    headline: str
    models: Mapping[str, ModelResult]
    data: Sequence[Mapping[str, int | str]]
    splits: int
    rounds: int
    differing_predictions: int
    predictions: int
    fidelity: Fidelity
    clipped_values: int
    attack: Leakage
    poisoned: Poisoned
    channels: Sequence[Channel]
    costs: Sequence[LayerCost]
    plan: Plan
    seconds: float
    served: Served | None = None
    not_served: Sequence[str] = ()

    @property
    def encrypted(self) -> bool:
        """Whether the plan's sums are over ciphertexts; a stand-in adds what it can read."""
        return ("aggregation", self.plan.backend("aggregation")) not in STAND_INS.values()

    def as_json(self) -> dict[str, Any]:
        """The keys that scripts rely on first; ``schema`` and ``machine`` are added by whoever writes the file.

        ``accuracy.alone`` and ``auc.alone`` are ``anywhere`` of the headline model: one model for all patients, like
        the other three.
        """
        headline = self.models[self.headline]
        return {
            "accuracy": _figures(headline, "accuracy"),
            "auc": _figures(headline, "auc"),
            "differing_predictions": self.differing_predictions,
            "attack": self.attack.as_json(),
            "poisoned": self.poisoned.as_json(),
            "channels": [{"group": channel.group, "peer": channel.peer} for channel in self.channels],
            "rounds": self.rounds,
            "insecure": list(self.plan.insecure),
            "model": self.headline,
            "models": {key: asdict(model) for key, model in self.models.items()},
            "views": self.attack.views_as_json(),
            "predictions": self.predictions,
            "splits": self.splits,
            "weights": asdict(self.fidelity),
            "clipped_values": self.clipped_values,
            "data": [dict(row) for row in self.data],
            "costs": [asdict(cost) for cost in self.costs],
            "plan": self.plan.to_json(),
            "serving": {"not_installed": list(self.not_served)} if self.served is None else self.served.as_json(),
            "seconds": round(self.seconds, 3),
        }


def _figures(model: ModelResult, figure: str) -> dict[str, float]:
    return {column: float(getattr(getattr(model.anywhere, column), figure)) for column in COLUMNS}
