"""Samples put through a model's file by ONNX Runtime, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from quatrefoil.errors import CallerError
from quatrefoil.inference import Bounds, InferRequest, OnnxEngine
from quatrefoil.inference.datatypes import Array
from quatrefoil.quantised.float_model import Floats

BATCH = 256
"""Samples at once, where the model takes any number."""


def outputs_of(model: bytes, samples: Floats) -> Iterator[Mapping[str, Array]]:
    """The outputs for ``samples`` (n, ...), by name, of one batch after the other. ``model``: of one input.

    ``CallerError`` where the samples are none, not finite, of another shape than the input's, or no whole batches of a
    model whose batch has a fixed size.
    """
    engine = OnnxEngine(model, name="samples", bounds=Bounds(elements=1 << 40))
    (entry,) = engine.metadata.inputs
    given, shape = np.asarray(samples), entry.shape[1:]
    if given.shape[1:] != shape or not len(given) or not np.isfinite(given).all():
        raise CallerError(
            f"samples of shape {given.shape[1:]}, {len(given)} of them, for inputs of {shape}",
            hint="Give some inputs as they will come, finite numbers, one a row",
        )
    size = entry.shape[0] if entry.shape[0] > 0 else BATCH
    if entry.shape[0] > 0 and len(given) % size:
        raise CallerError(
            f"{len(given)} samples for a model that takes {size} at once", hint=f"Give {size}, or twice as many"
        )
    for start in range(0, len(given), size):
        batch = given[start : start + size].astype(np.float32)
        yield engine.infer(InferRequest({entry.name: batch})).outputs


__all__ = ["outputs_of"]
