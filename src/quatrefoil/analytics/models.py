"""Linear and logistic models as JSON: ``{"kind", "features", "weights", "intercept"}``."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from quatrefoil import strict_json
from quatrefoil.errors import EvidenceRejected, ModelRefused

LARGEST = 1 << 20
MOST_FEATURES = 4096
_HINT = 'Write {"kind": "logistic", "features": ["age"], "weights": [0.5], "intercept": -1.0}'


@dataclass(frozen=True)
class LinearModel:
    """A score is ``intercept`` + the sum of weights times features; the key holder takes a logistic one's sigmoid."""

    kind: Literal["linear", "logistic"]
    features: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "logistic"):
            raise ModelRefused(f"a model of kind {str(self.kind)[:40]!r}", hint="Use linear or logistic")
        if not 1 <= len(self.features) <= MOST_FEATURES or len(set(self.features)) != len(self.features):
            raise ModelRefused(f"a model without 1 to {MOST_FEATURES} features of different names", hint=_HINT)
        if len(self.weights) != len(self.features):
            raise ModelRefused(f"{len(self.weights)} weights for {len(self.features)} features", hint=_HINT)
        if not all(isfinite(value) and abs(value) < 2.0**200 for value in (*self.weights, self.intercept)):
            raise ModelRefused("a weight that is not finite, or beyond 2^200", hint=_HINT)

    @classmethod
    def parse(cls, data: bytes) -> LinearModel:
        """The model in a file's bytes, or ``ModelRefused``."""
        try:
            found = strict_json.parse(data, "the model", limit=LARGEST)
        except EvidenceRejected as refusal:
            raise ModelRefused(refusal.problem, hint=_HINT) from None
        if not isinstance(found, dict) or set(found) != {"kind", "features", "weights", "intercept"}:
            raise ModelRefused("the model does not have exactly kind, features, weights and intercept", hint=_HINT)
        features, weights, intercept = found["features"], found["weights"], found["intercept"]
        if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
            raise ModelRefused("features are not a list of names", hint=_HINT)
        if not isinstance(weights, list) or not all(map(_is_number, (*weights, intercept))):
            raise ModelRefused("weights are not a list of numbers, or intercept is none", hint=_HINT)
        return cls(found["kind"], tuple(features), tuple(map(float, weights)), float(intercept))

    def integers(self) -> tuple[tuple[int, ...], int]:
        """Weights and intercept as integers, or ``ModelRefused``."""
        if not all(value == int(value) and abs(value) < 1 << 53 for value in (*self.weights, self.intercept)):
            raise ModelRefused("a weight or the intercept is no integer", hint="Scale them to integers, or use ckks")
        return tuple(map(int, self.weights)), int(self.intercept)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
