"""Audit mode: an integer graph answers, and each receipt commits to what it computed on and what it computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.audit.computations import Computation, OpeningKeys, commit_inputs, commit_outputs, hashes_of
from quatrefoil.errors import CallerError, ParametersRefused
from quatrefoil.inference import InferRequest, InferResponse
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.quantised import onnx_form
from quatrefoil.quantised.rule import Rule

Integers = NDArray[np.int32]


@dataclass(frozen=True, repr=False, eq=False)
class Trace:
    """What one request computed: ``inputs`` (rows, size) and ``outputs`` (rows, features), the last axis fastest."""

    inputs: Integers
    outputs: Integers


class AuditedModel:
    """What a served integer graph does to its input and to its output, beside what computes it."""

    def __init__(self, file: bytes) -> None:
        """``file``: as ``quatrefoil model quantise`` wrote it; ``ModelRefused`` for any other."""
        self.rule = Rule.of(onnx_form.decode(file))
        entrance = self.rule.entrance
        try:
            self.field_hash = field_hash(entrance.size, entrance.low, entrance.high)
        except ParametersRefused as refused:
            raise CallerError(
                f"inputs of this model cannot be committed to: {refused.problem}", hint=refused.hint
            ) from None

    def trace(self, request: InferRequest, response: InferResponse) -> Trace:
        """The integers of an answer that the model gave."""
        return self.of(request.inputs[self.rule.input], response.outputs[self.rule.output])

    def of(self, given: Any, answered: Any) -> Trace:
        """``given``: samples, as they were asked about; ``answered``: as the model answered. Both (rows, ...)."""
        return Trace(self.rule.entered(given), self.rule.answered(answered))

    def commit(self, trace: Trace, keys: OpeningKeys) -> Computation:
        """What a receipt says of it."""
        hashes = hashes_of(self.field_hash, trace.inputs, keys.inputs)
        return Computation(commit_inputs(hashes), commit_outputs(keys.outputs, trace.outputs))


__all__ = ["AuditedModel", "Trace"]
