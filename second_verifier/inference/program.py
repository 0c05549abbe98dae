"""A program: everything of a model in integers but its weights and biases (docs/inference-proofs.md, Program)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from .steps import ArgMax, AveragePool, Conv, Dense, Flatten, Layer, Step
from .values import LARGEST_SUM, Shape3, Value, check_range, need

MAGIC: Final = b"QFPROG01"
MOST_STEPS: Final = 1024
MOST_FEATURES: Final = 1 << 24
LARGEST_WORK: Final = 1 << 36
MOST_TAKEN: Final = 1 << 27
LARGEST_WEIGHT: Final = 1 << 16


@dataclass(frozen=True)
class Program:
    """`Refused` where the page refuses it. Value 0 is the input, value i what step i gives, counted from 1."""

    shape: Shape3
    low: int
    high: int
    w_max: int
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        need(len(self.shape) in (1, 3) and min(self.shape) >= 1, f"an input of sizes {self.shape}")
        check_range(self.low, self.high)
        need(1 <= self.w_max < LARGEST_WEIGHT, f"weights of at most {self.w_max}, not 1 to 2^16 - 1")
        need(1 <= len(self.steps) <= MOST_STEPS, f"{len(self.steps)} steps, not 1 to {MOST_STEPS}")
        for number, step in enumerate(self.steps, 1):
            need(all(0 <= source < number for source in step.sources), f"step {number} takes what is not there yet")
            last = number == len(self.steps)
            need(last or not isinstance(step, ArgMax), f"step {number} is an ArgMax, and not the last")
            rounded = getattr(step, "rounding", 0) is not None
            need(rounded or last or self._is_before_argmax(number), f"step {number} is not rounded, and not the last")
        for number, (step, value) in enumerate(zip(self.steps, self.values[1:], strict=True), 1):
            need(value.features <= MOST_FEATURES, f"step {number} gives {value.features} features, above 2^24")
            largest = step.largest_sum(self.given(number), self.w_max)
            need(largest < LARGEST_SUM, f"sums of step {number} may reach {largest}, not below 2^50")
        need(self.work <= LARGEST_WORK, f"Convs and AveragePools have {self.work} products, above 2^36")
        need(self.taken <= MOST_TAKEN, f"steps take {self.taken} features, above 2^27")
        need(self.values[0].features <= MOST_FEATURES, "the input has more than 2^24 features")
        need(bool(self.layers), "no step is a Dense or a Conv")
        need(not self.is_input(len(self.steps)), "the last step only flattens the input")

    @property
    def argmax(self) -> ArgMax | None:
        """The last step, where it is one."""
        last = self.steps[-1]
        return last if isinstance(last, ArgMax) else None

    @property
    def argmax_of_sums(self) -> bool:
        return self.argmax is not None and self.given(len(self.steps))[0].low is None

    def _is_before_argmax(self, number: int) -> bool:
        """Whether a step is the last but one, a Dense, and the source of an ArgMax."""
        argmax = self.argmax
        return (
            argmax is not None
            and number == len(self.steps) - 1
            and argmax.source == number
            and isinstance(self.steps[number - 1], Dense)
        )

    @property
    def work(self) -> int:
        """Products of all Convs and AveragePools."""
        products = 0
        for number, (step, value) in enumerate(zip(self.steps, self.values[1:], strict=True), 1):
            if isinstance(step, Conv | AveragePool):
                deep = self.given(number)[0].shape[0] if isinstance(step, Conv) else 1
                products += value.features * deep * step.windows.places
        return products

    @property
    def taken(self) -> int:
        """Features that all steps take."""
        return sum(value.features for number in range(1, len(self.steps) + 1) for value in self.given(number))

    @cached_property
    def values(self) -> list[Value]:
        found = [Value(self.shape, self.low, self.high)]
        for step in self.steps:
            found.append(step.value([found[source] for source in step.sources]))
        return found

    def given(self, number: int) -> list[Value]:
        return [self.values[source] for source in self.steps[number - 1].sources]

    @cached_property
    def layers(self) -> list[tuple[int, Layer]]:
        """Every Dense and Conv, with its number, in the order of steps."""
        return [(number, step) for number, step in enumerate(self.steps, 1) if isinstance(step, Dense | Conv)]

    def is_input(self, value: int) -> bool:
        """Whether a value is the input, through Flattens."""
        while value:
            step = self.steps[value - 1]
            if not isinstance(step, Flatten):
                return False
            value = step.source
        return True

    @property
    def last_is_rounded(self) -> bool:
        return self.values[-1].low is not None

    @property
    def outputs(self) -> int:
        return self.values[-1].features

    def to_bytes(self) -> bytes:
        sizes = struct.pack(f"<{len(self.shape) + 1}I", len(self.shape), *self.shape)
        numbers = struct.pack("<2i2I", self.low, self.high, self.w_max, len(self.steps))
        return MAGIC + sizes + numbers + b"".join(step.to_bytes() for step in self.steps)
