"""The bytes of a program, read (docs/inference-proofs.md, Program)."""

from __future__ import annotations

import struct

from .program import MAGIC, MOST_STEPS, Program
from .steps import ArgMax, AveragePool, Conv, Dense, Flatten, MaxPool, Step, Sum
from .values import Rounding, Windows, need


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
