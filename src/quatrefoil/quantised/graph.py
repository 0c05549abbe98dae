"""An integer graph: an input that is rounded, steps, and one output. It checks itself when it is built."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from math import prod

from quatrefoil.errors import ModelRefused
from quatrefoil.quantised.steps import ArgMax, AveragePool, Conv, Dense, MaxPool, Shape, Step, Value

EXACT_SINGLE = 1 << 24
"""Sums below this are exact in 32-bit floating point, in whatever order they are added."""

EXACT_DOUBLE = 1 << 53

MOST_STEPS = 1024
LARGEST_EXPONENT = 64


@dataclass(frozen=True)
class Input:
    """x = min(max(round(value * 2^exponent), low), high); halves are rounded to the even neighbour, NaN is 0."""

    name: str
    shape: Shape
    exponent: int
    low: int
    high: int

    @property
    def value(self) -> Value:
        return Value(self.shape, self.low, self.high)


@dataclass(frozen=True, eq=False)
class IntegerGraph:
    """``exponents``: of each value, the input's first: it stands for itself / 2^exponent. The last step's value is the
    output, named ``output``. ``ModelRefused`` where a sum may be too large to be exact, with the numbers."""

    input: Input
    steps: tuple[Step, ...]
    exponents: tuple[int, ...]
    output: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MOST_STEPS:
            raise ModelRefused(f"a graph of {len(self.steps)} steps, not 1 to {MOST_STEPS}", hint="Use a smaller model")
        if len(self.exponents) != len(self.steps) + 1 or any(abs(e) > LARGEST_EXPONENT for e in self.exponents):
            raise ModelRefused("exponents do not fit the steps", hint="Quantise the model again")
        if (
            not self.input.shape
            or min(self.input.shape) < 1
            or not -(1 << 15) <= self.input.low < self.input.high < 1 << 16
        ):
            raise ModelRefused(
                f"an input {self.input.shape} of {self.input.low} to {self.input.high}", hint="Quantise again"
            )
        for number, step in enumerate(self.steps):
            if not step.sources or not all(0 <= source <= number for source in step.sources):
                raise ModelRefused(f"step {step.name!r} takes what is not there yet", hint="Quantise the model again")
            if isinstance(step, ArgMax) and number + 1 < len(self.steps):
                raise ModelRefused(f"ArgMax {step.name!r} is not the last step", hint="Take what comes after it off")
        for step, bound in zip(self.steps, self.bounds, strict=True):
            # What comes out as it is, is read from a 32-bit answer; images are computed in 32 bits alone.
            single = isinstance(step, Conv | AveragePool) or getattr(step, "requantise", 0) is None
            largest = EXACT_SINGLE if single else EXACT_DOUBLE
            if bound >= largest:
                raise ModelRefused(
                    f"sums of {type(step).__name__} {step.name!r} may reach {bound}, and are exact below {largest}",
                    hint="Quantise with fewer bits a weight or a value",
                )

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """The input, then what each step gives."""
        found = [self.input.value]
        for step in self.steps:
            found.append(step.value([found[source] for source in step.sources]))
        return tuple(found)

    @cached_property
    def bounds(self) -> tuple[int, ...]:
        """What no partial sum of a step exceeds."""
        return tuple(step.sum_bound([self.values[source] for source in step.sources]) for step in self.steps)

    def is_single(self, number: int) -> bool:
        """Whether step ``number`` is exact in 32-bit floating point."""
        return self.bounds[number] < EXACT_SINGLE

    @cached_property
    def products(self) -> int:
        """Of a weight and a value, that one input takes."""
        found = 0
        for step, value in zip(self.steps, self.values[1:], strict=True):
            if isinstance(step, Dense | Conv):
                found += step.weights.size * (math.prod(value.shape) // len(step.weights))
        return found

    @property
    def weights(self) -> int:
        """How many integers the model has learned."""
        return sum(step.weights.size + step.bias.size for step in self.steps if isinstance(step, Dense | Conv))

    @property
    def inputs(self) -> int:
        """How many integers it takes for one answer."""
        return prod(self.input.shape)

    @property
    def cells(self) -> int:
        """How many sums are rounded, or bounded, on the way to one answer: what a proof holds to tables
        (docs/inference-proofs.md#cells)."""
        found = 0
        for step, value in zip(self.steps, self.values[1:], strict=True):
            if isinstance(step, ArgMax):
                found += prod(self.values[step.sources[0]].shape) + 1
            elif isinstance(step, MaxPool):
                found += (prod(step.kernel) - 1) * prod(value.shape)
            elif getattr(step, "requantise", None) is not None:
                found += prod(value.shape)
        return found


__all__ = ["EXACT_DOUBLE", "EXACT_SINGLE", "Input", "IntegerGraph"]
