"""What one run of the demo found: one immutable value, for the report and for ``quatrefoil demo --json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quatrefoil.demo.baselines import Score
from quatrefoil.demo.leakage import Leakage

COLUMNS = ("alone", "pooled", "federated", "encrypted")


@dataclass(frozen=True)
class Trainings:
    """One row of scores: each hospital alone, all records pooled, federated in the clear, federated encrypted."""

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
    """One channel: ``peer`` names both ends for a person, ``group`` is the negotiated key exchange."""

    peer: str
    group: str


@dataclass(frozen=True)
class LayerCost:
    """What a layer took in one round beside the same work in the clear: milliseconds, and bytes sent."""

    layer: str
    milliseconds: float
    plain_milliseconds: float
    bytes: int
    plain_bytes: int


@dataclass(frozen=True)
class PhaseFollowed:
    """One phase of the plan: the layers on its way and the threats that they answer."""

    name: str
    layers: Sequence[str]
    threats: Sequence[str]


@dataclass(frozen=True)
class DemoResult:
    """One run of the demo.

    ``headline``: the key of ``models`` that the top-level JSON figures are from. ``predictions``: how many were
    compared for ``differing_predictions``. ``weight_difference`` and ``weight_bound``: largest difference of any
    weight between encrypted and clear federated training, and what quantisation allows. ``data``: the rows of
    ``data.summary``. ``insecure``: the stand-ins used, ``unprotected``: the threats that nothing answers.
    """

    headline: str
    models: Mapping[str, ModelResult]
    data: Sequence[Mapping[str, int | str]]
    splits: int
    rounds: int
    differing_predictions: int
    predictions: int
    weight_difference: float
    weight_bound: float
    attack: Leakage
    channels: Sequence[Channel]
    costs: Sequence[LayerCost]
    plan: Sequence[PhaseFollowed]
    unprotected: Sequence[str]
    insecure: Sequence[str]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The keys that scripts rely on first; ``schema`` and ``machine`` are added by whoever writes the file.

        ``accuracy.alone`` and ``auc.alone`` are ``anywhere`` of the headline model (one model, all patients, like the
        other three); ``alone_own_patients`` is ``together``.
        """
        headline = self.models[self.headline]
        return {
            "accuracy": _figures(headline, "accuracy"),
            "auc": _figures(headline, "auc"),
            "differing_predictions": self.differing_predictions,
            "attack": self.attack.as_json(),
            "channels": [asdict(channel) for channel in self.channels],
            "rounds": self.rounds,
            "insecure": list(self.insecure),
            "model": self.headline,
            "models": {key: asdict(model) for key, model in self.models.items()},
            "predictions": self.predictions,
            "splits": self.splits,
            "weight_difference": self.weight_difference,
            "weight_bound": self.weight_bound,
            "data": [dict(row) for row in self.data],
            "costs": [asdict(cost) for cost in self.costs],
            "plan": [asdict(phase) for phase in self.plan],
            "unprotected": list(self.unprotected),
            "seconds": self.seconds,
        }


def _figures(model: ModelResult, figure: str) -> dict[str, float]:
    values = {column: float(getattr(getattr(model.anywhere, column), figure)) for column in COLUMNS}
    return {**values, "alone_own_patients": float(getattr(model.together.alone, figure))}
