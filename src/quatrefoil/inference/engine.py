"""What computes answers, and several requests computed at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from quatrefoil.errors import CallerError, EngineFailed, RequestRefused
from quatrefoil.inference.datatypes import Array
from quatrefoil.inference.messages import InferRequest, InferResponse, ModelMetadata
from quatrefoil.inference.signature import open_dimensions


class Engine(Protocol):
    """A model that computes. May be called from several threads at once."""

    @property
    def metadata(self) -> ModelMetadata:
        """The model's signature."""
        ...

    def check(self, request: InferRequest) -> None:
        """``RequestRefused`` unless the request fits the signature and the bounds of this engine."""
        ...

    def infer(self, request: InferRequest) -> InferResponse:
        """The answer: the outputs asked for, or all.

        ``RequestRefused`` as :meth:`check` does; ``EngineFailed`` where the model does not compute. Neither says
        anything of the request's content, nor was raised from an error that does.
        """
        ...


def infer_together(engine: Engine, requests: Sequence[InferRequest]) -> list[InferResponse]:
    """The answers to several requests, computed as one along the first dimension, in their order.

    For models that treat the rows of a batch independently: a signature cannot show it, so whoever calls this says it.
    Rows of one batch share a computation and its time: put requests of different tenants in one only if they may learn
    of each other's presence. Each request is checked first, alone: a refusal names no other request. ``CallerError``
    where the signature fixes a first dimension or the whole is over the bounds, ``EngineFailed`` where the whole does
    not compute: ask one by one then.
    """
    _require_batches(engine.metadata)
    for request in requests:
        engine.check(request)
    if len(requests) < 2:
        return [engine.infer(request) for request in requests]
    rows = [_rows(request) for request in requests]
    together = InferRequest(
        {name: np.concatenate([request.inputs[name] for request in requests]) for name in requests[0].inputs}
    )
    if not _fits(engine, together):
        raise CallerError("these requests are over the model's bounds together", hint="Put fewer into one batch")
    whole = engine.infer(together)
    if any(array.shape[:1] != (sum(rows),) for array in whole.outputs.values()):
        raise EngineFailed("the model answered with another number of rows", hint="Ask it one request at a time")
    ends = np.cumsum(rows)
    parts = [slice(int(end) - size, int(end)) for end, size in zip(ends, rows, strict=True)]
    return [_part(whole, part, request) for part, request in zip(parts, requests, strict=True)]


def _require_batches(metadata: ModelMetadata) -> None:
    symbols = {**open_dimensions(metadata.inputs), **open_dimensions(metadata.outputs)}
    names = {spec.name for spec in metadata.inputs + metadata.outputs}
    if symbols.keys() != names or len(set(symbols.values())) > 1:
        raise CallerError(
            f"model {metadata.name!r} has no common first dimension of open size", hint="Ask it one request at a time"
        )


def _fits(engine: Engine, request: InferRequest) -> bool:
    try:
        engine.check(request)
    except RequestRefused:
        return False
    return True


def _rows(request: InferRequest) -> int:
    sizes = {array.shape[0] for array in request.inputs.values()}
    if len(sizes) != 1:
        raise CallerError("inputs of one request have different numbers of rows", hint="Ask one request at a time")
    return int(sizes.pop())


def _part(whole: InferResponse, part: slice, request: InferRequest) -> InferResponse:
    names = [output.name for output in request.outputs] or list(whole.outputs)
    # Copied: an answer does not keep those of others in memory.
    outputs: dict[str, Array] = {name: whole.outputs[name][part].copy() for name in names}
    return InferResponse(whole.model_name, outputs, whole.model_version, request.id)
