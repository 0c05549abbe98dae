"""Requests held to a model's signature before the model sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quatrefoil.errors import RequestRefused
from quatrefoil.inference.datatypes import Array, datatype_of
from quatrefoil.inference.messages import InferRequest, ModelMetadata, TensorSpec


@dataclass(frozen=True)
class Bounds:
    """What the sizes that a signature leaves open may be. What a model computes grows with them."""

    dimension: int = 4096
    """Of each dimension that the signature leaves open."""
    elements: int = 16 << 20
    """Of all inputs together."""

    def __post_init__(self) -> None:
        if min(self.dimension, self.elements) < 1:
            raise ValueError("every bound is at least 1")


def require_fitting(request: InferRequest, metadata: ModelMetadata, bounds: Bounds) -> None:
    """``RequestRefused`` unless the request has the model's inputs, all and no other, in type and shape.

    Dimensions that the signature gives one name have one size. Outputs asked for are the model's.
    """
    missing = [spec.name for spec in metadata.inputs if spec.name not in request.inputs]
    if missing or len(request.inputs) != len(metadata.inputs):
        raise RequestRefused(
            "the request has not exactly the model's inputs", hint=f"Send {_names(metadata.inputs)}, and nothing else"
        )
    if not {output.name for output in request.outputs} <= {spec.name for spec in metadata.outputs}:
        raise RequestRefused("the model has no such output", hint=f"Ask for some of {_names(metadata.outputs)}")
    if sum(array.size for array in request.inputs.values()) > bounds.elements:
        raise RequestRefused(f"over {bounds.elements} elements of input", hint="Send less at once", status=413)
    symbols: dict[str, int] = {}
    for spec in metadata.inputs:
        _require_tensor(request.inputs[spec.name], spec, bounds, symbols)


def _require_tensor(array: Array, spec: TensorSpec, bounds: Bounds, symbols: dict[str, int]) -> None:
    # Texts speak of the model's signature only: what was sent stands in none.
    if datatype_of(array) != spec.datatype:
        raise RequestRefused(f"input {spec.name!r} has another datatype", hint=f"Send {spec.datatype}")
    wanted = f"Send the shape {list(spec.shape)}; -1 is any size up to {bounds.dimension}"
    if array.ndim != len(spec.shape):
        raise RequestRefused(f"input {spec.name!r} has another number of dimensions", hint=wanted)
    for size, fixed, symbol in zip(array.shape, spec.shape, spec.symbols or ("",) * array.ndim, strict=True):
        if fixed >= 0 and size != fixed:
            raise RequestRefused(f"input {spec.name!r} has another shape", hint=wanted)
        if fixed < 0 and size > bounds.dimension:
            raise RequestRefused(f"input {spec.name!r} is over the model's bounds", hint=wanted, status=413)
        if symbol and symbols.setdefault(symbol, size) != size:
            raise RequestRefused(
                f"two dimensions that the model calls {symbol!r} differ", hint="Send inputs of one size there"
            )


def _names(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(repr(spec.name) for spec in specs)


def open_dimensions(specs: tuple[TensorSpec, ...]) -> Mapping[str, str]:
    """The name of each tensor's first dimension where the signature leaves it open; "" where it has no name."""
    return {spec.name: (spec.symbols or ("",))[0] for spec in specs if spec.shape[:1] == (-1,)}
