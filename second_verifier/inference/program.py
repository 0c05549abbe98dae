"""A program: everything of a model in integers but its weights and biases (docs/inference-proofs.md, Program)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

MAGIC: Final = b"QFPROG01"
MOST_STEPS: Final = 1024
MOST_FEATURES: Final = 1 << 24
LARGEST_MAGNITUDE: Final = 1 << 16
LARGEST_SUM: Final = 1 << 50
LARGEST_WORK: Final = 1 << 36
LARGEST_LEFT_SHIFT: Final = 24
MOST_PLACES: Final = 1 << 12  # of a window of a MaxPool
LARGEST_WEIGHT: Final = 1 << 16

Shape3 = tuple[int, ...]


class Refused(ValueError):
    """A program, or a batch, that there are no proofs of. The message has the numbers."""


def need(holds: bool, reason: str) -> None:
    if not holds:
        raise Refused(reason)


@dataclass(frozen=True)
class Value:
    """What flows between steps: one or three sizes, and the range of its entries; none of sums that come out."""

    shape: Shape3
    low: int | None
    high: int | None

    @property
    def features(self) -> int:
        return prod(self.shape)

    @property
    def range(self) -> tuple[int, int]:
        if self.low is None or self.high is None:
            raise Refused("sums that come out are no source of a step")
        return self.low, self.high

    @property
    def magnitude(self) -> int:
        low, high = self.range
        return max(-low, high)


@dataclass(frozen=True)
class Rounding:
    shift: int
    low: int
    high: int
    q_bits: int

    def __post_init__(self) -> None:
        check_range(self.low, self.high)
        need(0 <= self.shift <= 16, f"a shift of {self.shift}, not 0 to 16")
        need(1 <= self.q_bits <= 15, f"q_bits {self.q_bits}, not 1 to 15")
        need(1 << self.q_bits + self.shift < LARGEST_SUM, "a rounded sum is not below 2^50")

    @property
    def half(self) -> int:
        return (1 << self.shift) >> 1

    def to_bytes(self) -> bytes:
        return struct.pack("<2I2iI", 1, self.shift, self.low, self.high, self.q_bits)


def check_range(low: int, high: int) -> None:
    fits = low <= 0 <= high and high - low < 1 << 16 and max(-low, high) <= LARGEST_MAGNITUDE
    need(fits, f"a range of {low} to {high}: it holds 0, and is below 2^16 wide")


def rounding_bytes(rounding: Rounding | None) -> bytes:
    return struct.pack("<I", 0) if rounding is None else rounding.to_bytes()


@dataclass(frozen=True)
class Windows:
    """Kernel height and width, stride down and right, pads top, left, bottom, right."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        need(min(self.kernel) >= 1 and min(self.strides) >= 1, f"a kernel {self.kernel}, strides {self.strides}")
        need(min(self.pads) >= 0, f"pads {self.pads}")

    @property
    def places(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def size(self, shape: Shape3) -> tuple[int, int]:
        """How many windows there are in an image, down and right."""
        need(len(shape) == 3, f"windows of a value {shape}, which is no image")
        top, left, bottom, right = self.pads
        down = (shape[1] + top + bottom - self.kernel[0]) // self.strides[0] + 1
        across = (shape[2] + left + right - self.kernel[1]) // self.strides[1] + 1
        need(down >= 1 and across >= 1, f"no window of {self.kernel} fits into {shape} with pads {self.pads}")
        return down, across

    def pixel(self, shape: Shape3, window: tuple[int, int], place: tuple[int, int]) -> int | None:
        """The index in one channel of a place of a window; None outside the image."""
        y = window[0] * self.strides[0] + place[0] - self.pads[0]
        x = window[1] * self.strides[1] + place[1] - self.pads[1]
        return y * shape[2] + x if 0 <= y < shape[1] and 0 <= x < shape[2] else None

    def of_channel(self, shape: Shape3, channel: int, place: tuple[int, int]) -> list[int | None]:
        """For all windows in row-major order, the feature of an image that stands at this place."""
        down, across = self.size(shape)
        first = channel * shape[1] * shape[2]
        pixels = [self.pixel(shape, (y, x), place) for y in range(down) for x in range(across)]
        return [None if pixel is None else first + pixel for pixel in pixels]

    def all_places(self) -> list[tuple[int, int]]:
        return [(y, x) for y in range(self.kernel[0]) for x in range(self.kernel[1])]


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


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        need(len(piece) == count, "the program ends early")
        self._at += count
        return piece

    def numbers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self.take(4 * count))

    def number(self) -> int:
        return self.numbers(1)[0]

    def range(self) -> tuple[int, int]:
        low, high = struct.unpack("<2i", self.take(8))
        return low, high

    def rounding(self, may_be_none: bool) -> Rounding | None:
        flag = self.number()
        need(flag in (0, 1) and (flag == 1 or may_be_none), f"a rounding that begins with {flag}")
        if not flag:
            return None
        shift = self.number()
        low, high = self.range()
        return Rounding(shift, low, high, self.number())

    def end(self) -> None:
        need(self._at == len(self._data), "the program goes on after its last step")


def parse(data: bytes) -> Program:
    reader = _Reader(data)
    need(reader.take(len(MAGIC)) == MAGIC, "these bytes are no program")
    rank = reader.number()
    need(rank in (1, 3), f"an input of {rank} sizes")
    shape = reader.numbers(rank)
    low, high = reader.range()
    w_max, count = reader.numbers(2)
    need(1 <= count <= MOST_STEPS, f"{count} steps, not 1 to {MOST_STEPS}")
    steps = tuple(_step(reader) for _ in range(count))
    reader.end()
    return Program(shape, low, high, w_max, steps)


def _step(reader: _Reader) -> Step:
    kind = reader.number()
    if kind == 0:
        source, outputs = reader.numbers(2)
        return Dense(source, outputs, reader.rounding(True))
    if kind == 1:
        source, channels = reader.numbers(2)
        return Conv(source, channels, _windows(reader, pads=True), reader.rounding(True))
    if kind == 2:
        one, other, left, right = reader.numbers(4)
        return Sum((one, other), (left, right), _always(reader))
    if kind == 3:
        source = reader.number()
        windows = _windows(reader, pads=False)
        return AveragePool(source, windows, reader.number(), _always(reader))
    if kind == 4:
        return MaxPool(reader.number(), _windows(reader, pads=True))
    if kind == 5:
        return Flatten(reader.number())
    need(kind == 6, f"a step of kind {kind}")
    return ArgMax(*reader.numbers(4))


def _windows(reader: _Reader, pads: bool) -> Windows:
    height, width, down, right = reader.numbers(4)
    top, left, bottom, end = reader.numbers(4) if pads else (0, 0, 0, 0)
    return Windows((height, width), (down, right), (top, left, bottom, end))


def _always(reader: _Reader) -> Rounding:
    rounding = reader.rounding(False)
    assert rounding is not None
    return rounding
