"""What a float model's tensors hold on samples, as ONNX Runtime computes them: what scales are chosen by."""

from __future__ import annotations

from typing import Any

import numpy as np

from quatrefoil.errors import ModelRefused
from quatrefoil.quantised.batches import outputs_of
from quatrefoil.quantised.float_model import FloatModel, Floats
from quatrefoil.quantised.onnx_reader import import_onnx

KEPT = 1 << 20
"""Values of a tensor that are kept, spread evenly over all that there are."""


def activations(model: bytes, found: FloatModel, samples: Floats) -> dict[str, Floats]:
    """Values of the input and of every tensor whose scale is to be chosen."""
    names = list(dict.fromkeys(step.tensor for step in found.steps if step.rounds))
    kept: dict[str, list[Floats]] = {name: [] for name in names}
    for outputs in outputs_of(_with_outputs(model, names), samples):
        for name in names:
            kept[name].append(np.asarray(outputs[name], np.float64).reshape(-1))
    out = {name: _thinned(np.concatenate(arrays)) for name, arrays in kept.items()}
    for name, array in out.items():
        if not np.isfinite(array).all():
            raise ModelRefused(f"tensor {name!r} is not finite on the samples", hint="Check the model and the samples")
    return out | {found.input: _thinned(np.asarray(samples, np.float64).reshape(-1))}


def _thinned(values: Floats) -> Floats:
    """At most ``KEPT`` of them, and the largest always among them."""
    if len(values) <= KEPT:
        return values
    ends = values[[int(values.argmin()), int(values.argmax())]]
    return np.concatenate([values[:: -(-len(values) // KEPT)], ends])


def _with_outputs(model: bytes, names: list[str]) -> bytes:
    """The model with these tensors as its outputs too."""
    onnx: Any = import_onnx()
    loaded = onnx.load_from_string(model)
    there = {one.name for one in loaded.graph.output}
    for name in names:
        if name not in there:
            loaded.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return bytes(loaded.SerializeToString())


__all__ = ["activations"]
