"""The hash of hidden inputs: h = A (x || rho) mod p (docs/field-hash.md)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from bounded_update import blake3
from bounded_update.field import Ext, P, inner_base

from .program import Program
from .values import need

LARGEST_SIZE: Final = 1 << 20
_LABELS: Final = {"input": b"quatrefoil/field-hash/v1 input", "blind": b"quatrefoil/field-hash/v1 blind"}


@dataclass(frozen=True)
class FieldHash:
    """Of samples of `size` integers from low to high. Other numbers of rows than `of` chooses are toys, for tests."""

    size: int
    low: int
    high: int
    rows: int

    @staticmethod
    def of(program: Program) -> FieldHash:
        size, low, high = program.values[0].features, program.low, program.high
        width = high - low + 1
        need(size <= LARGEST_SIZE, f"a hash of {size} integers, above 2^20")
        need(low >= -(1 << 15) and width >= 16, f"a hash of integers from {low} to {high}: at least 16, from -2^15 on")
        narrow, short = width <= 256, size <= 2048
        return FieldHash(
            size, low, high, {(True, True): 152, (True, False): 256, (False, True): 384}.get((narrow, short), 528)
        )

    @property
    def bits(self) -> int:
        """Of an entry of rho."""
        return (self.high - self.low + 1).bit_length() - 1

    @property
    def randomness(self) -> int:
        """R."""
        return -(-(64 * self.rows + 256) // self.bits)

    def columns(self) -> list[tuple[int, ...]]:
        """A, column by column."""
        inputs = [column("input", i, self.rows) for i in range(self.size)]
        return inputs + [column("blind", i, self.rows) for i in range(self.randomness)]

    def hash(self, sample: Sequence[int], rho: Sequence[int]) -> list[int]:
        result = [0] * self.rows
        for entry, by in zip([*sample, *rho], self.columns(), strict=True):
            for row, a in enumerate(by):
                result[row] += entry * a
        return [x % P for x in result]

    def combination(self, weights: Sequence[Ext]) -> list[Ext]:
        """A^T weights."""
        return [inner_base(weights, by) for by in self.columns()]

    def rho(self, data: bytes) -> list[int]:
        """The entries of rho, read from R bytes, or R words of two."""
        entry = "B" if self.bits <= 8 else "H"
        mask = (1 << self.bits) - 1
        return [self.low + (x & mask) for x in struct.unpack(f"<{self.randomness}{entry}", data)]


@cache
def column(kind: str, index: int, rows: int) -> tuple[int, ...]:
    found: list[int] = []
    for piece in blake3.extended(_LABELS[kind] + struct.pack("<I", index)):
        words = struct.unpack(f"<{len(piece) // 8}Q", piece)
        found += [word for word in words if word < P]
        if len(found) >= rows:
            return tuple(found[:rows])
    raise AssertionError("extended output has no end")
