"""The steps of a program: the value that each gives, its largest sum, its bytes (docs/inference-proofs.md, Program)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from .values import Rounding, Shape3, Value, Windows, need, rounding_bytes

LARGEST_LEFT_SHIFT: Final = 24
MOST_PLACES: Final = 1 << 12  # of a window of a MaxPool


@dataclass(frozen=True)
class Dense:
    source: int
    outputs: int
    rounding: Rounding | None

    def value(self, given: list[Value]) -> Value:
        source = given[0]
        need(len(source.shape) == 1, f"a Dense of a value {source.shape}, which is no vector")
        need(self.outputs >= 1, "a Dense without outputs")
        need(source.features >= 2, "a Dense of fewer than 2 features")
        return _rounded((self.outputs,), self.rounding)

    def largest_sum(self, given: list[Value], w_max: int) -> int:
        return given[0].features * w_max * given[0].magnitude

    def products(self, source: Shape3) -> Iterator[tuple[int, int, int]]:
        """Output, weight and input of every product; weights in row-major order."""
        width = prod(source)
        for o in range(self.outputs):
            for k in range(width):
                yield o, o * width + k, k

    def weights(self, source: Shape3) -> int:
        return self.outputs * prod(source)

    @property
    def biases(self) -> int:
        return self.outputs

    def bias_of(self, output: int, value: Shape3) -> int:  # noqa: ARG002 - as of a Conv
        return output

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source,)

    def to_bytes(self) -> bytes:
        return struct.pack("<3I", 0, self.source, self.outputs) + rounding_bytes(self.rounding)


@dataclass(frozen=True)
class Conv:
    source: int
    channels: int
    windows: Windows
    rounding: Rounding | None

    def value(self, given: list[Value]) -> Value:
        source = given[0]
        size = self.windows.size(source.shape)
        need(self.channels >= 1, "a Conv without channels")
        need(source.features >= 2, "a Conv of fewer than 2 features")
        return _rounded((self.channels, *size), self.rounding)

    def largest_sum(self, given: list[Value], w_max: int) -> int:
        return given[0].shape[0] * self.windows.places * w_max * given[0].magnitude

    def products(self, source: Shape3) -> Iterator[tuple[int, int, int]]:
        down, across = self.windows.size(source)
        weight = 0
        for out in range(self.channels):
            for channel in range(source[0]):
                for place in self.windows.all_places():
                    pixels = self.windows.of_channel(source, channel, place)
                    for window, feature in enumerate(pixels):
                        if feature is not None:
                            yield out * down * across + window, weight, feature
                    weight += 1

    def weights(self, source: Shape3) -> int:
        return self.channels * source[0] * self.windows.places

    @property
    def biases(self) -> int:
        return self.channels

    def bias_of(self, output: int, value: Shape3) -> int:
        return output // (value[1] * value[2])

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source,)

    def to_bytes(self) -> bytes:
        w = self.windows
        numbers = (1, self.source, self.channels, *w.kernel, *w.strides, *w.pads)
        return struct.pack("<11I", *numbers) + rounding_bytes(self.rounding)


@dataclass(frozen=True)
class Sum:
    sources: tuple[int, int]
    left_shifts: tuple[int, int]
    rounding: Rounding

    def value(self, given: list[Value]) -> Value:
        need(given[0].shape == given[1].shape, f"a Sum of {given[0].shape} and {given[1].shape}")
        need(max(self.left_shifts) <= LARGEST_LEFT_SHIFT, f"left shifts of {self.left_shifts}, not 0 to 24")
        return _rounded(given[0].shape, self.rounding)

    def largest_sum(self, given: list[Value], w_max: int) -> int:  # noqa: ARG002 - as of a Dense
        return 2 * (1 << max(self.left_shifts)) * max(value.magnitude for value in given)

    def to_bytes(self) -> bytes:
        return struct.pack("<5I", 2, *self.sources, *self.left_shifts) + rounding_bytes(self.rounding)


@dataclass(frozen=True)
class AveragePool:
    source: int
    windows: Windows
    multiplier: int
    rounding: Rounding

    def value(self, given: list[Value]) -> Value:
        need(self.multiplier >= 1, "a multiplier of 0")
        size = self.windows.size(given[0].shape)
        return _rounded((given[0].shape[0], *size), self.rounding)

    def largest_sum(self, given: list[Value], w_max: int) -> int:  # noqa: ARG002 - as of a Dense
        return self.windows.places * self.multiplier * given[0].magnitude

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source,)

    def to_bytes(self) -> bytes:
        w = self.windows
        numbers = (3, self.source, *w.kernel, *w.strides, self.multiplier)
        return struct.pack("<7I", *numbers) + rounding_bytes(self.rounding)


@dataclass(frozen=True)
class MaxPool:
    source: int
    windows: Windows

    def value(self, given: list[Value]) -> Value:
        top, left, bottom, right = self.windows.pads
        fits = max(top, bottom) < self.windows.kernel[0] and max(left, right) < self.windows.kernel[1]
        need(fits, f"pads {self.windows.pads} of a kernel {self.windows.kernel}: a window would hold no pixel")
        need(self.windows.places <= MOST_PLACES, f"a MaxPool of {self.windows.places} places, above 2^12")
        low, high = given[0].range
        need(high - low < 1 << 15, f"a MaxPool of values from {low} to {high}, not below 2^15 wide")
        size = self.windows.size(given[0].shape)
        return Value((given[0].shape[0], *size), *given[0].range)

    def largest_sum(self, given: list[Value], w_max: int) -> int:  # noqa: ARG002 - as of a Dense
        return (self.windows.places + 1) * given[0].magnitude

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source,)

    def to_bytes(self) -> bytes:
        w = self.windows
        return struct.pack("<10I", 4, self.source, *w.kernel, *w.strides, *w.pads)


@dataclass(frozen=True)
class Flatten:
    source: int

    def value(self, given: list[Value]) -> Value:
        return Value((given[0].features,), *given[0].range)

    def largest_sum(self, given: list[Value], w_max: int) -> int:  # noqa: ARG002 - nothing is added up
        return 0

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source,)

    def to_bytes(self) -> bytes:
        return struct.pack("<2I", 5, self.source)


@dataclass(frozen=True)
class ArgMax:
    """The first place of the largest of a vector, or with `last` its last one."""

    source: int
    last: int
    shift: int
    q_bits: int

    def __post_init__(self) -> None:
        need(self.last in (0, 1), f"an ArgMax whose last is {self.last}, not 0 or 1")
        need(0 <= self.shift <= 16, f"a shift of {self.shift}, not 0 to 16")
        need(1 <= self.q_bits <= 16, f"q_bits {self.q_bits} of an ArgMax, not 1 to 16")

    def value(self, given: list[Value]) -> Value:
        source = given[0]
        need(len(source.shape) == 1, f"an ArgMax of a value {source.shape}, which is no vector")
        if source.low is not None:
            low, high = source.range
            need(high - low < 1 << self.bits, f"an ArgMax of values from {low} to {high}, not below 2^{self.bits} wide")
        return Value((1,), None, None)

    @property
    def bits(self) -> int:
        """Of distances."""
        return self.shift + self.q_bits

    def floor(self, source: Value) -> int:
        """No entry of the source is below."""
        return -(1 << self.bits - 1) if source.low is None else source.low

    def counts(self, k: int, place: int) -> int:
        """t(k, c): 1 where a tie of k and the place c would be k's."""
        return int(k > place if self.last else k < place)

    def place(self, entries: Sequence[int]) -> int:
        places = [k for k, entry in enumerate(entries) if entry == max(entries)]
        return places[-1 if self.last else 0]

    def largest_sum(self, given: list[Value], w_max: int) -> int:  # noqa: ARG002 - nothing is added up
        return 0

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source,)

    def to_bytes(self) -> bytes:
        return struct.pack("<5I", 6, self.source, self.last, self.shift, self.q_bits)


Step = Dense | Conv | Sum | AveragePool | MaxPool | Flatten | ArgMax
Layer = Dense | Conv


def _rounded(shape: Shape3, rounding: Rounding | None) -> Value:
    return Value(shape, None, None) if rounding is None else Value(shape, rounding.low, rounding.high)
