"""Weights, the weights vectors, and what a program computes (docs/quantised-models.md, What is computed)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from bounded_update.field import P

from .cells import Forms
from .program import Program
from .steps import ArgMax, AveragePool, Flatten, Layer, MaxPool, Sum
from .weights_shape import WeightsShape


@dataclass(frozen=True)
class Weights:
    """Of each layer in the order of steps: weights in row-major order, and biases."""

    weights: Sequence[Sequence[int]]
    biases: Sequence[Sequence[int]]

    def to_bytes(self) -> bytes:
        """Of each layer its weights, then its biases, each an i32, little endian."""
        both = zip(self.weights, self.biases, strict=True)
        return b"".join(struct.pack("<i", x) for layer, biases in both for x in (*layer, *biases))


def weights_columns(shape: WeightsShape, given: Weights) -> list[list[int]]:
    """n_W columns: of weights, then of biases."""
    vector, biases = [0] * (shape.n_1 * shape.WL), [0] * ((shape.n_W - shape.n_1) * shape.WL)
    for layer, weights in enumerate(given.weights):
        for i, weight in enumerate(weights):
            vector[shape.weight_place(layer, i)] = weight % P
    for start, layer_biases in zip(shape.bias_start, given.biases, strict=True):
        for i, bias in enumerate(layer_biases):
            biases[start + i] = bias % P
    return [both[i : i + shape.WL] for both in (vector, biases) for i in range(0, len(both), shape.WL)]


@dataclass(frozen=True)
class Trace:
    """Of one sample: values[0] is the input; q, r and y of every cell in the order of steps."""

    values: list[list[int]]
    q: list[list[int]]
    r: list[list[int]]
    y: list[list[int]]


class Run:
    """One sample going through a program, one step after the other. Liars override its parts."""

    def __init__(self, program: Program, weights: Weights) -> None:
        self.program, self.weights = program, weights

    def trace(self, sample: Sequence[int]) -> Trace:
        self.found = Trace([list(sample)], [], [], [])
        layer = 0
        for number, step in enumerate(self.program.steps, 1):
            given = [self.found.values[source] for source in step.sources]
            if isinstance(step, Flatten):
                value = list(given[0])
            elif isinstance(step, MaxPool):
                value = self.largest(number, step, given[0])
            elif isinstance(step, ArgMax):
                value = self.place(number, step, given[0])
            elif isinstance(step, Sum):
                left, right = step.left_shifts
                value = self.round(number, [(x << left) + (y << right) for x, y in zip(*given, strict=True)])
            elif isinstance(step, AveragePool):
                value = self.round(number, self._averages(number, step, given[0]))
            else:
                value = self.round(number, self.sums(number, layer, step, given[0]))
                layer += 1
            self.found.values.append(value)
        return self.found

    def sums(self, number: int, layer: int, step: Layer, given: Sequence[int]) -> list[int]:
        weights, biases = self.weights.weights[layer], self.weights.biases[layer]
        source, value = self.program.given(number)[0], self.program.values[number]
        sums = [biases[step.bias_of(f, value.shape)] for f in range(value.features)]
        for f, w, i in step.products(source.shape):
            sums[f] += weights[w] * given[i]
        return sums

    def _averages(self, number: int, step: AveragePool, given: Sequence[int]) -> list[int]:
        forms = Forms(self.program)
        columns = [forms.features_at(number, place) for place in range(step.windows.places)]
        return [
            step.multiplier * sum(given[f] for f in window if f is not None) for window in zip(*columns, strict=True)
        ]

    def round(self, number: int, sums: Sequence[int]) -> list[int]:
        rounding = getattr(self.program.steps[number - 1], "rounding", None)
        if rounding is None:
            return list(sums)
        return self.cell(sums, rounding.shift, rounding.low, rounding.high)

    def cell(self, sums: Sequence[int], shift: int, low: int, high: int) -> list[int]:
        half = (1 << shift) >> 1
        q = [(value + half) >> shift for value in sums]
        self.found.q.append(q)
        self.found.r.append([(value + half) & (1 << shift) - 1 for value in sums])
        self.found.y.append([min(max(value, low), high) for value in q])
        return self.found.y[-1]

    def largest(self, number: int, step: MaxPool, given: Sequence[int]) -> list[int]:
        """in_0 + y_1 + .. + y_(k-1)."""
        low, high = self.program.given(number)[0].range
        forms = Forms(self.program)

        def at(place: int) -> list[int]:
            return [low if f is None else given[f] for f in forms.features_at(number, place)]

        value = at(0)
        for place in range(1, step.windows.places):
            y = self.cell([new - old for new, old in zip(at(place), value, strict=True)], 0, 0, high - low)
            value = [old + more for old, more in zip(value, y, strict=True)]
        return value

    def place(self, number: int, step: ArgMax, given: Sequence[int]) -> list[int]:
        """The place of the largest, with both cells."""
        c = step.place(given)
        floor = step.floor(self.program.given(number)[0])
        self.cut(step, [given[c] - entry - step.counts(k, c) for k, entry in enumerate(given)])
        self.cut(step, [given[c] - floor])
        return [c]

    def cut(self, step: ArgMax, numbers: Sequence[int]) -> None:
        """A cell of an ArgMax."""
        self.found.q.append([number >> step.shift for number in numbers])
        self.found.r.append([number & (1 << step.shift) - 1 for number in numbers])
        self.found.y.append([0] * len(numbers))
