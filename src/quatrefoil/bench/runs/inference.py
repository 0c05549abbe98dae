"""Requests to the model that a workload trains: one row each, one after another, as wards ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.bench.runs import network
from quatrefoil.bench.runs.asking import Tensors
from quatrefoil.demo.models import Parameters
from quatrefoil.demo.onnx_model import INPUT, OUTPUT
from quatrefoil.errors import HostError


@dataclass(frozen=True)
class Inference:
    """``rows``: n x features, each asked about once. ``hidden``: units of the model."""

    rows: NDArray[np.float64]
    hidden: int = network.HIDDEN

    @property
    def shape(self) -> Mapping[str, int]:
        """As a phase of a workload says it."""
        return {"batch": len(self.rows), "parameters": self.rows.shape[1], "hidden": self.hidden}

    @property
    def requests(self) -> Sequence[Tensors]:
        return [{INPUT: row[None, :].astype(np.float32)} for row in self.rows]

    def check(self, model: Parameters, answers: Sequence[Tensors]) -> None:
        """``HostError`` unless these are the model's probabilities, as float32 has them."""
        found = np.array([float(answer[OUTPUT][0]) for answer in answers])
        if found.shape != (len(self.rows),) or not (np.abs(found - network.predict(model, self.rows)) <= 1e-4).all():
            raise HostError("a model of the bench does not answer what it was trained to", hint="Report it")

    def graph(self, model: Parameters) -> bytes:
        """The ONNX file of the trained model."""
        return network.encode(model)
