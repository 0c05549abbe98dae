"""Audit mode: an integer graph answers, and each receipt commits to what it computed on and what it computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.audit.computations import Computation, OpeningKeys, commit_inputs, commit_outputs, hashes_of
from quatrefoil.errors import CallerError, EngineFailed, ParametersRefused
from quatrefoil.inference import InferRequest, InferResponse
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.quantised import onnx_form
from quatrefoil.quantised.steps import ArgMax

Integers = NDArray[np.int32]


@dataclass(frozen=True, repr=False, eq=False)
class Trace:
    """What one request computed: ``inputs`` (rows, size) and ``outputs`` (rows, features), the last axis fastest."""

    inputs: Integers
    outputs: Integers


class AuditedModel:
    """What a served integer graph does to its input and to its output, beside what computes it."""

    def __init__(self, file: bytes) -> None:
        """``file``: as ``quatrefoil model quantise`` wrote it; ``ModelRefused`` for any other, ``CallerError`` for one
        whose answers do not hold what a proof is about."""
        graph = onnx_form.decode(file)
        if isinstance(graph.steps[-1], ArgMax):
            raise CallerError(
                "the model ends in ArgMax: its answers do not hold the values that a proof is about",
                hint="Quantise it without its ArgMax, and take the largest of the answer where it is read",
            )
        entry = graph.input
        self.input, self.output = entry.name, graph.output
        self.size, self.low, self.high = int(np.prod(entry.shape)), entry.low, entry.high
        self._exponents = entry.exponent, graph.exponents[-1]
        try:
            self.field_hash = field_hash(self.size, self.low, self.high)
        except ParametersRefused as refused:
            raise CallerError(
                f"inputs of this model cannot be committed to: {refused.problem}", hint=refused.hint
            ) from None

    def trace(self, request: InferRequest, response: InferResponse) -> Trace:
        """The integers of an answer that the model gave."""
        return self.of(request.inputs[self.input], response.outputs[self.output])

    def of(self, given: Any, answered: Any) -> Trace:
        """``given``: samples, as they were asked about; ``answered``: as the model answered. Both (rows, ...)."""
        rows = len(given)
        return Trace(self.entered(given).reshape(rows, -1), self._answered(answered).reshape(rows, -1))

    def entered(self, given: Any) -> Integers:
        """The graph's rule for its input, in 32 bits as the file computes it: docs/quantised-models.md."""
        values = np.asarray(given, np.float32)
        with np.errstate(over="ignore"):  # what becomes infinite is clipped
            scaled = np.where(np.isnan(values), np.float32(0), values) * np.float32(2.0 ** self._exponents[0])
        return np.clip(np.rint(scaled), self.low, self.high).astype(np.int32)

    def _answered(self, answered: Any) -> Integers:
        exact = np.asarray(answered, np.float64) * 2.0 ** self._exponents[1]
        found = np.rint(exact)
        if not (np.abs(found) < 1 << 31).all() or (found != exact).any():
            raise EngineFailed("the model computed what is no integer", hint="Tell who runs the server")
        return found.astype(np.int32)

    def commit(self, trace: Trace, keys: OpeningKeys) -> Computation:
        """What a receipt says of it."""
        hashes = hashes_of(self.field_hash, trace.inputs, keys.inputs)
        return Computation(commit_inputs(hashes), commit_outputs(keys.outputs, trace.outputs))


__all__ = ["AuditedModel", "Trace"]
