"""The operations of an integer graph, each with its shapes, its bounds, and the rule that rounds its sums.

Shapes are of one sample, without the batch. Weights and biases are integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import ModelRefused

Integers = NDArray[np.int64]
Shape = tuple[int, ...]

LARGEST_SHIFT = 24
"""Bits that a sum is shortened by, at most."""


@dataclass(frozen=True)
class Requantise:
    """y = min(max(floor((sum + 2^(shift - 1)) / 2^shift), low), high); without the addend where ``shift`` is 0."""

    shift: int
    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= LARGEST_SHIFT or not -(1 << 15) <= self.low < self.high < 1 << 16:
            raise ModelRefused(
                f"a sum shortened by {self.shift} bits to {self.low} .. {self.high}",
                hint=f"Shifts are 0 to {LARGEST_SHIFT}, values of at most 16 bits: quantise the model again",
            )

    @property
    def half(self) -> int:
        """What is added before the shift, so that it rounds to nearest."""
        return (1 << self.shift) >> 1


@dataclass(frozen=True)
class Value:
    """What flows between steps: its shape, and the least and the largest integer that it can hold."""

    shape: Shape
    low: int
    high: int

    @property
    def magnitude(self) -> int:
        return max(abs(self.low), abs(self.high))


class Step(Protocol):
    """One operation. ``name``: that of the node it was made of. ``sources``: the values it takes, 0 being the input."""

    @property
    def name(self) -> str: ...

    @property
    def sources(self) -> tuple[int, ...]: ...

    def sum_bound(self, given: Sequence[Value], /) -> int:
        """No partial sum, in whatever order it is added up, is larger in magnitude; 0 where nothing is added."""

    def value(self, given: Sequence[Value]) -> Value:
        """What comes out. ``ModelRefused`` where the step does not fit what it takes."""


@dataclass(frozen=True, eq=False)
class Dense:
    """Weights (out, in) times a vector, plus a bias (out). ``requantise`` None: the sums themselves come out."""

    name: str
    sources: tuple[int, ...]
    weights: Integers
    bias: Integers
    requantise: Requantise | None

    def sum_bound(self, given: Sequence[Value]) -> int:
        return _bound(self.weights, self.bias, given[0], self.requantise)

    def value(self, given: Sequence[Value]) -> Value:
        if (
            self.weights.ndim != 2
            or given[0].shape != self.weights.shape[1:]
            or self.bias.shape != self.weights.shape[:1]
        ):
            raise _misfit(self, f"weights {self.weights.shape}, bias {self.bias.shape} on a value {given[0].shape}")
        return _summed(self.weights.shape[:1], self.sum_bound(given), self.requantise)


@dataclass(frozen=True, eq=False)
class Conv:
    """Kernels (out, in, height, width) over an image (in, height, width), zeros around it: ``pads`` are top, left,
    bottom, right."""

    name: str
    sources: tuple[int, ...]
    weights: Integers
    bias: Integers
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    requantise: Requantise | None

    def sum_bound(self, given: Sequence[Value]) -> int:
        return _bound(self.weights, self.bias, given[0], self.requantise)

    def value(self, given: Sequence[Value]) -> Value:
        shape, kernel = given[0].shape, self.weights.shape
        if min(self.pads) < 0:
            raise _misfit(self, f"pads {self.pads}")
        if len(kernel) != 4 or len(shape) != 3 or shape[0] != kernel[1] or self.bias.shape != kernel[:1]:
            raise _misfit(self, f"kernels {kernel}, bias {self.bias.shape} on a value {shape}")
        padded = (shape[1] + self.pads[0] + self.pads[2], shape[2] + self.pads[1] + self.pads[3])
        size = _windows(self, padded, (kernel[2], kernel[3]), self.strides)
        return _summed((kernel[0], *size), self.sum_bound(given), self.requantise)


@dataclass(frozen=True)
class Sum:
    """Two values of one shape, each times a power of two, added."""

    name: str
    sources: tuple[int, ...]
    left_shifts: tuple[int, int]
    requantise: Requantise

    def sum_bound(self, given: Sequence[Value]) -> int:
        terms = zip(given, self.left_shifts, strict=True)
        return sum(value.magnitude << shift for value, shift in terms) + self.requantise.half

    def value(self, given: Sequence[Value]) -> Value:
        if given[0].shape != given[1].shape or not all(0 <= shift <= LARGEST_SHIFT for shift in self.left_shifts):
            raise _misfit(self, f"{given[0].shape} and {given[1].shape}, shifted by {self.left_shifts}")
        return _summed(given[0].shape, self.sum_bound(given), self.requantise)


@dataclass(frozen=True)
class AveragePool:
    """The sum of each window times ``multiplier``, rounded: multiplier / 2^shift stands for one over its size."""

    name: str
    sources: tuple[int, ...]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    multiplier: int
    requantise: Requantise

    def sum_bound(self, given: Sequence[Value]) -> int:
        return self.kernel[0] * self.kernel[1] * self.multiplier * given[0].magnitude + self.requantise.half

    def value(self, given: Sequence[Value]) -> Value:
        if not 1 <= self.multiplier < 1 << 16:
            raise _misfit(self, f"multiplier {self.multiplier}")
        shape = _image(self, given[0])
        size = _windows(self, (shape[1], shape[2]), self.kernel, self.strides)
        return _summed((shape[0], *size), self.sum_bound(given), self.requantise)


class _Unsummed:
    """A step that adds nothing up."""

    def sum_bound(self, _given: Sequence[Value]) -> int:
        return 0


@dataclass(frozen=True)
class MaxPool(_Unsummed):
    """The largest value of each window, of those that are in the image: ``pads`` are top, left, bottom, right, and each
    is smaller than the window."""

    name: str
    sources: tuple[int, ...]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    def value(self, given: Sequence[Value]) -> Value:
        shape = _image(self, given[0])
        if any(not 0 <= pad < window for pad, window in zip(self.pads, self.kernel * 2, strict=True)):
            raise _misfit(self, f"pads {self.pads} around windows {self.kernel}")
        padded = (shape[1] + self.pads[0] + self.pads[2], shape[2] + self.pads[1] + self.pads[3])
        size = _windows(self, padded, self.kernel, self.strides)
        return Value((shape[0], *size), given[0].low, given[0].high)


@dataclass(frozen=True)
class Flatten(_Unsummed):
    """The values of a sample in one row, the last axis fastest."""

    name: str
    sources: tuple[int, ...]

    def value(self, given: Sequence[Value]) -> Value:
        return Value((int(np.prod(given[0].shape)),), given[0].low, given[0].high)


@dataclass(frozen=True)
class ArgMax(_Unsummed):
    """The place of the largest of a vector's values: of several the first, or the ``last``. ``keep_dims``: in a vector
    of one place, not as a number by itself."""

    name: str
    sources: tuple[int, ...]
    last: bool = False
    keep_dims: bool = False

    def value(self, given: Sequence[Value]) -> Value:
        if len(given[0].shape) != 1:
            raise _misfit(self, f"a value {given[0].shape}, which is no vector")
        return Value((1,) if self.keep_dims else (), 0, given[0].shape[0] - 1)


def _bound(weights: Integers, bias: Integers, given: Value, requantise: Requantise | None) -> int:
    """The largest row of |weights| times the largest input, with its bias and what rounding adds."""
    half = requantise.half if requantise else 0
    rows = np.abs(weights).reshape(len(weights), -1).sum(axis=1)
    return max(int(row) * given.magnitude + abs(int(b)) + half for row, b in zip(rows, bias, strict=True))


def _summed(shape: Shape, bound: int, requantise: Requantise | None) -> Value:
    return Value(shape, requantise.low, requantise.high) if requantise else Value(shape, -bound, bound)


def _image(step: Step, value: Value) -> Shape:
    if len(value.shape) != 3:
        raise _misfit(step, f"a value {value.shape}, which is no image")
    return value.shape


def _windows(step: Step, size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int]) -> tuple[int, int]:
    if min(*kernel, *strides) < 1 or any(k > s for k, s in zip(kernel, size, strict=True)):
        raise _misfit(step, f"windows {kernel}, {strides} apart, on {size}")
    high, wide = ((s - k) // stride + 1 for s, k, stride in zip(size, kernel, strides, strict=True))
    return high, wide


def _misfit(step: Step, what: str) -> ModelRefused:
    return ModelRefused(f"{type(step).__name__} {step.name!r} does not fit: {what}", hint="Quantise the model again")


__all__ = [
    "LARGEST_SHIFT",
    "ArgMax",
    "AveragePool",
    "Conv",
    "Dense",
    "Flatten",
    "Integers",
    "MaxPool",
    "Requantise",
    "Shape",
    "Step",
    "Sum",
    "Value",
]
