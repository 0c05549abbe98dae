"""What flows between the steps of a program: values with their ranges, how sums are rounded, windows of an image
(docs/inference-proofs.md, Program)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import Final

LARGEST_MAGNITUDE: Final = 1 << 16
LARGEST_SUM: Final = 1 << 50

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
