"""Networks that can be evaluated on encrypted rows: dense, square, dense; then nothing, or a sigmoid for each output.

As JSON: ``{"kind": "network", "features", "hidden": {"weights", "biases"}, "output": {"weights", "biases"}, "outputs",
"activation"}``, weights a list for each unit. ONNX: ``network_onnx``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quatrefoil import strict_json
from quatrefoil.errors import EvidenceRejected, ModelRefused

LARGEST = 8 << 20
"""Bytes of a model's file."""
MOST_UNITS = 4096
"""Inputs, hidden units, outputs."""
LARGEST_WEIGHT = 2.0**100
_FIELDS = {"kind", "features", "hidden", "output", "outputs", "activation"}
_HINT = (
    'Write {"kind": "network", "features": ["age"], "hidden": {"weights": [[0.5]], "biases": [0]}, '
    '"output": {"weights": [[2]], "biases": [-1]}, "outputs": ["risk"], "activation": "sigmoid"}'
)
Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Network:
    """Outputs are ``output`` times the squares of (``hidden`` times inputs + ``hidden_biases``) + ``output_biases``;
    the key holder takes the sigmoid. Weights: a row for each unit. ``features``: names of the inputs, or none where
    they are a table's columns in their order. ``ModelRefused`` for shapes or numbers that make no such network."""

    features: tuple[str, ...]
    hidden: Rows
    hidden_biases: tuple[float, ...]
    output: Rows
    output_biases: tuple[float, ...]
    outputs: tuple[str, ...] = ("score",)
    activation: Literal["identity", "sigmoid"] = "identity"

    def __post_init__(self) -> None:
        if self.activation not in ("identity", "sigmoid"):
            raise ModelRefused(f"an activation {str(self.activation)[:40]!r}", hint="Use identity or sigmoid")
        self._require_dense("hidden", self.hidden, self.hidden_biases, len(self.hidden[0]) if self.hidden else 0)
        self._require_dense("output", self.output, self.output_biases, len(self.hidden))
        for what, names, count in (
            ("features", self.features or tuple(map(str, range(self.inputs))), self.inputs),
            ("outputs", self.outputs, len(self.output)),
        ):
            if len(names) != count or len(set(names)) != count or not all(isinstance(n, str) and n for n in names):
                raise ModelRefused(f"{what} are not {count} different names", hint=_HINT)

    @property
    def inputs(self) -> int:
        return len(self.hidden[0])

    def arrays(self) -> tuple[NDArray[np.float64], ...]:
        """Hidden weights and biases, output weights and biases."""
        return tuple(map(np.array, (self.hidden, self.hidden_biases, self.output, self.output_biases)))

    def columns(self, names: tuple[str, ...]) -> list[int]:
        """For each input its place among ``names``; ``ModelRefused`` where they do not fit."""
        if not self.features:
            if len(names) != self.inputs:
                raise ModelRefused(
                    f"the network has {self.inputs} inputs without names, and the rows {len(names)} columns",
                    hint="Encrypt exactly the columns that it takes, in its order",
                )
            return list(range(self.inputs))
        missing = [name for name in self.features if name not in names]
        if missing:
            raise ModelRefused(f"the rows have no column {missing[0]!r}", hint=f"They have {', '.join(names)[:200]}")
        return [names.index(name) for name in self.features]

    @classmethod
    def parse(cls, data: bytes) -> Network:
        """The network in a file's bytes of JSON, or ``ModelRefused``."""
        try:
            found = strict_json.parse(data, "the model", limit=LARGEST)
        except EvidenceRejected as refusal:
            raise ModelRefused(refusal.problem, hint=_HINT) from None
        if not isinstance(found, dict) or set(found) != _FIELDS or found["kind"] != "network":
            raise ModelRefused(f"the model does not have exactly {', '.join(sorted(_FIELDS))}", hint=_HINT)
        if not found["features"]:
            raise ModelRefused("features are no names", hint=_HINT)
        layers = [value for name in ("hidden", "output") for value in _layer(name, found[name])]
        names = [_names(name, found[name]) for name in ("features", "outputs")]
        return cls(names[0], layers[0], layers[1], layers[2], layers[3], names[1], found["activation"])

    @staticmethod
    def _require_dense(name: str, weights: Rows, biases: tuple[float, ...], inputs: int) -> None:
        if not 1 <= len(weights) <= MOST_UNITS or not 1 <= inputs <= MOST_UNITS:
            raise ModelRefused(
                f"layer {name!r} with {len(weights)} units of {inputs} inputs, and 1 to {MOST_UNITS} can be",
                hint="Train a smaller network",
            )
        if any(len(row) != inputs for row in weights) or len(biases) != len(weights):
            raise ModelRefused(
                f"layer {name!r} does not have {inputs} weights and a bias for each of its {len(weights)} units",
                hint=_HINT,
            )
        if not all(isfinite(value) and abs(value) < LARGEST_WEIGHT for row in (*weights, biases) for value in row):
            raise ModelRefused(f"layer {name!r} has a weight that is not finite, or beyond 2^100", hint=_HINT)


def _layer(name: str, found: Any) -> tuple[Any, Any]:
    if not isinstance(found, dict) or set(found) != {"weights", "biases"}:
        raise ModelRefused(f"layer {name!r} does not have exactly weights and biases", hint=_HINT)
    weights, biases = found["weights"], found["biases"]
    if not isinstance(weights, list) or not all(isinstance(row, list) for row in weights):
        raise ModelRefused(f"weights of layer {name!r} are not a list for each unit", hint=_HINT)
    return tuple(_numbers(name, row) for row in weights), _numbers(name, biases)


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or any(type(value) not in (int, float) for value in values):
        raise ModelRefused(f"layer {name!r} has something that is no list of numbers", hint=_HINT)
    return tuple(map(float, values))


def _names(what: str, values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
        raise ModelRefused(f"{what} are not a list of names", hint=_HINT)
    return tuple(values)
