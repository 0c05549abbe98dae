"""Requests, answers and signatures as values. What they print as never holds their content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quatrefoil.inference.datatypes import Array


@dataclass(frozen=True, repr=False)
class RequestedOutput:
    """An output that is asked for, and whether in binary."""

    name: str
    binary: bool = False

    def __repr__(self) -> str:
        return "<RequestedOutput>"


@dataclass(frozen=True, repr=False, eq=False)
class InferRequest:
    """Named arrays for a model. Without ``outputs`` all of the model's are asked for, in binary if ``binary``."""

    inputs: Mapping[str, Array]
    outputs: tuple[RequestedOutput, ...] = ()
    binary: bool = False
    id: str = ""

    def __repr__(self) -> str:
        return "<InferRequest>"

    def wants_binary(self, output: str) -> bool:
        """Whether an output is to be answered in binary."""
        return next((wanted.binary for wanted in self.outputs if wanted.name == output), self.binary)


@dataclass(frozen=True, repr=False, eq=False)
class InferResponse:
    """Named arrays of a model's answer, in the order asked for. ``id`` is that of the request."""

    model_name: str
    outputs: Mapping[str, Array]
    model_version: str = ""
    id: str = ""

    def __repr__(self) -> str:
        return "<InferResponse>"


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a model's signature. ``shape`` holds -1 where any size may be; ``symbols`` names what must agree."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    symbols: tuple[str, ...] = ()
    """As long as the shape, or empty; "" for a dimension without a name."""


@dataclass(frozen=True)
class ModelMetadata:
    """A model's signature: public to whoever may use it, and so free to stand in error texts."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    platform: str
    versions: tuple[str, ...] = field(default=())
