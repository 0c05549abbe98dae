"""A float model and samples of its inputs to an integer graph: scales are powers of two, chosen for the least error.

Where sums must be exact in 32 bits, of images and of the output, weights have as many bits as that leaves.
Weights and values are rounded to the widths asked for. The exponent of each is the one under which what is clipped and
what is rounded off weigh least together, as mean squared error: of the weights themselves, and of the values that the
float model has on the samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from quatrefoil.errors import ModelRefused
from quatrefoil.quantised.activations import activations
from quatrefoil.quantised.float_model import FloatModel, Floats, FloatStep, window
from quatrefoil.quantised.graph import EXACT_SINGLE, Input, IntegerGraph
from quatrefoil.quantised.onnx_reader import read
from quatrefoil.quantised.steps import (
    LARGEST_SHIFT,
    ArgMax,
    AveragePool,
    Conv,
    Dense,
    Flatten,
    MaxPool,
    Requantise,
    Step,
    Sum,
    Value,
)

_TRIED = 6
"""Exponents beyond the largest at which nothing is clipped."""

_MULTIPLIER_BITS = 8

_ROUNDING = 1 << 23
"""More than half of a rounding step ever is."""


@dataclass(frozen=True)
class Widths:
    """Bits of a weight, sign included, and of a value between layers."""

    weights: int = 8
    values: int = 8

    def __post_init__(self) -> None:
        if not 2 <= self.weights <= 16 or not 2 <= self.values <= 15:
            raise ModelRefused(
                f"{self.weights} bits a weight and {self.values} a value",
                hint="Weights have 2 to 16 bits, values 2 to 15",
            )


def quantise(model: bytes, samples: Floats, widths: Widths | None = None) -> IntegerGraph:
    """The integer graph of an ONNX model. ``samples`` (n, ...) are inputs as they will come: they decide the scales.

    ``ModelRefused`` names the node that cannot be quantised, or where a sum would not be exact.
    """
    found = read(model)
    return _Compiler(found, activations(model, found, samples), widths or Widths()).compile()


class _Compiler:
    def __init__(self, model: FloatModel, values: Mapping[str, Floats], widths: Widths) -> None:
        self._model = model
        self._values = values
        self._widths = widths
        self._steps: list[Step] = []
        self._exponents: list[int] = []

    def compile(self) -> IntegerGraph:
        given = self._values[self._model.input]
        low, high = self._range(signed=bool((given < 0).any()))
        exponent = best_exponent(given, low, high)
        self._exponents.append(exponent)
        entry = Input(self._model.input, self._model.shape, exponent, low, high)
        made = [entry.value]
        for number, step in enumerate(self._model.steps):
            is_output = all(later.kind == "argmax" for later in self._model.steps[number + 1 :])
            self._steps.append(self._step(step, [made[source] for source in step.sources], is_output=is_output))
            made.append(self._steps[-1].value([made[source] for source in step.sources]))
        return IntegerGraph(entry, tuple(self._steps), tuple(self._exponents), self._model.output)

    def _range(self, *, signed: bool) -> tuple[int, int]:
        bits = self._widths.values
        return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def _step(self, step: FloatStep, given: list[Value], *, is_output: bool) -> Step:
        if step.learns:
            return self._output(step, given) if is_output and not step.relu else self._hidden(step, given)
        if step.kind == "sum":
            return self._sum(step)
        if step.kind == "average-pool":
            return self._average(step, window(step, given[0].shape))
        self._exponents.append(0 if step.kind == "argmax" else self._exponents[step.sources[0]])
        if step.kind == "max-pool":
            return MaxPool(step.node, step.sources, step.kernel, step.strides, step.pads)
        if step.kind == "flatten":
            size = math.prod(given[0].shape)
            if step.features not in (0, size):
                raise ModelRefused(
                    f"node {step.node} makes {step.features} of {size} features, which is no flattening",
                    hint="Use Flatten",
                )
            return Flatten(step.node, step.sources)
        return ArgMax(step.node, step.sources, step.last, step.keep_dims)

    def _hidden(self, step: FloatStep, given: list[Value]) -> Step:
        exponent = self._weight_exponent(step)
        while step.kind == "conv" and self._layer(step, exponent, None).sum_bound(given) >= EXACT_SINGLE - _ROUNDING:
            exponent -= 1
        # Weights that hardly weigh beside the bias have no more bits than a sum may be shortened by.
        into = self._exponents[step.sources[0]]
        exponent = min(exponent, self._value_exponent(step) + LARGEST_SHIFT - into)
        return self._layer(step, exponent, self._requantise(step, into + exponent))

    def _output(self, step: FloatStep, given: list[Value]) -> Step:
        """Its sums come out as they are."""
        exponent = self._weight_exponent(step)
        while (layer := self._layer(step, exponent, None)).sum_bound(given) >= EXACT_SINGLE:
            exponent -= 1
        self._exponents.append(self._exponents[step.sources[0]] + exponent)
        return layer

    def _weight_exponent(self, step: FloatStep) -> int:
        return best_exponent(step.weights, -self._largest_weight, self._largest_weight)

    @property
    def _largest_weight(self) -> int:
        return (1 << (self._widths.weights - 1)) - 1

    def _layer(self, step: FloatStep, exponent: int, requantise: Requantise | None) -> Dense | Conv:
        weights = _rounded(step.weights, exponent, -self._largest_weight, self._largest_weight)
        bias = np.rint(np.ldexp(step.bias, self._exponents[step.sources[0]] + exponent)).astype(np.int64)
        if step.kind == "dense":
            return Dense(step.node, step.sources, weights, bias, requantise)
        return Conv(step.node, step.sources, weights, bias, step.strides, step.pads, requantise)

    def _sum(self, step: FloatStep) -> Step:
        into = [self._exponents[source] for source in step.sources]
        requantise = self._requantise(step, max(into))
        return Sum(step.node, step.sources, (max(into) - into[0], max(into) - into[1]), requantise)

    def _average(self, step: FloatStep, kernel: tuple[int, int]) -> Step:
        size = max(1, kernel[0] * kernel[1])
        bits = _magnitude_exponent(1 / size, (1 << _MULTIPLIER_BITS) - 1)
        multiplier = round((1 << bits) / size)
        requantise = self._requantise(step, self._exponents[step.sources[0]] + bits)
        return AveragePool(step.node, step.sources, kernel, step.strides, multiplier, requantise)

    def _requantise(self, step: FloatStep, exponent: int) -> Requantise:
        """From sums at ``exponent`` to values at the best one; it notes which."""
        best = min(self._value_exponent(step), exponent)
        self._exponents.append(best)
        return Requantise(exponent - best, *self._range(signed=not step.relu))

    def _value_exponent(self, step: FloatStep) -> int:
        found = self._values[step.tensor]
        return best_exponent(np.maximum(found, 0) if step.relu else found, *self._range(signed=not step.relu))


def best_exponent(values: Floats, low: int, high: int) -> int:
    """The e for which min(max(round(value 2^e), low), high) 2^-e has the least mean squared error."""
    largest = float(np.abs(values).max(initial=0.0))
    first = _magnitude_exponent(largest, max(high, -low))
    if largest == 0:
        return 0
    errors = [
        float(np.square(values - np.ldexp(_rounded(values, e, low, high), -e)).mean())
        for e in range(first, first + _TRIED)
    ]
    return first + int(np.argmin(errors))


def _rounded(values: Floats, exponent: int, low: int, high: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.clip(np.rint(np.ldexp(values, exponent)), low, high).astype(np.int64)


def _magnitude_exponent(largest: float, most: int) -> int:
    """The largest e with largest * 2^e <= most; 0 for nothing."""
    return 0 if largest <= 0 else math.floor(math.log2(most / largest))


__all__ = ["Widths", "best_exponent", "quantise"]
