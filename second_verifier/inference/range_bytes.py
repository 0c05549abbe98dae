"""The bytes of a proof of the range of weights."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from bounded_update.field import Ext
from bounded_update.reading import DIGEST, Pieces
from bounded_update.transcript import serialize

from .joint import Joint
from .opened import Rows, longest_opening, longest_third, row_regions, shortest_rows
from .proof_bytes import Openings, opened_regions, placed
from .range_shape import RangeShape
from .shape import MASK_WORDS

MAGIC: Final = b"QFPROOFR"
VERSION: Final = 1


@dataclass(frozen=True)
class Head:
    statement: bytes
    root1: bytes
    root_M: bytes
    root2: bytes
    rounds: list[list[Ext]]
    y: list[Ext]  # of the m fresh columns
    y_W: list[Ext]  # of the n_1 weights columns
    sigma: Ext
    sigma_W: Ext
    u_m: list[Ext]
    u_end: list[Ext]
    u_W_end: list[Ext]
    root3: bytes

    def opening_bytes(self) -> bytes:
        return serialize([*self.u_m, *self.u_end, *self.u_W_end]) + self.root3

    def to_bytes(self) -> bytes:
        rounds = b"".join(serialize(sent) for sent in self.rounds)
        sent = serialize([*self.y, *self.y_W, self.sigma, self.sigma_W])
        begin = MAGIC + struct.pack("<2H", VERSION, 0) + self.statement
        return begin + self.root1 + self.root_M + self.root2 + rounds + sent + self.opening_bytes()


@dataclass(frozen=True)
class RangeProof:
    head: Head
    openings: Openings
    rows: Rows

    def to_bytes(self) -> bytes:
        return self.head.to_bytes() + self.openings.to_bytes() + self.rows.to_bytes()

    def regions(self) -> list[tuple[str, int, int]]:
        head = self.head
        sizes = [("magic", 8), ("version", 2), ("reserved", 2), ("statement", DIGEST), ("root 1", DIGEST)]
        sizes += [("root M", DIGEST), ("root 2", DIGEST)]
        sizes += [(f"round {i}", 16 * len(sent)) for i, sent in enumerate(head.rounds)]
        sizes += [("y", 16 * len(head.y)), ("y_w", 16 * len(head.y_W)), ("sigma", 16), ("sigma_W", 16)]
        sizes += [("u_m", 16 * len(head.u_m)), ("end of u", 16 * len(head.u_end))]
        sizes += [("end of u_W", 16 * len(head.u_W_end)), ("root 3", DIGEST)]
        return placed(sizes + opened_regions(self.openings) + row_regions(self.rows))


def widths(shape: RangeShape) -> tuple[int, int, int, int]:
    """Words of a leaf of trees 1, 2, M and W."""
    return shape.A * shape.R + MASK_WORDS, 2 * shape.m_q * shape.R, 2, shape.weights.n_W * shape.weights.R


def fixed_length(shape: RangeShape) -> int:
    weights = shape.weights
    elements = sum(shape.degrees) + shape.m + shape.n_1 + 2 + shape.M + 2 * shape.code.Q + weights.code.appended
    return len(MAGIC) + 4 + 5 * DIGEST + 16 * elements + shortest_rows(Joint.of(shape))


def largest_length(shape: RangeShape) -> int:
    weights = shape.weights
    codes = (shape.code, shape.code, weights.code, weights.code)
    salted = sum(longest_opening(code, width, True) for code, width in zip(codes, widths(shape), strict=True))
    return fixed_length(shape) + salted + longest_third(Joint.of(shape))


class RangeReader(Pieces):
    def __init__(self, shape: RangeShape, data: bytes) -> None:
        super().__init__(data, fixed_length(shape), largest_length(shape))
        self._shape = shape

    def head(self) -> Head:
        self._begin(MAGIC, VERSION, "proof of the range of weights")
        shape = self._shape
        return Head(
            statement=self._take(DIGEST),
            root1=self._take(DIGEST),
            root_M=self._take(DIGEST),
            root2=self._take(DIGEST),
            rounds=[self._elements(degree) for degree in shape.degrees],
            y=self._elements(shape.m),
            y_W=self._elements(shape.n_1),
            sigma=self._element(),
            sigma_W=self._element(),
            u_m=self._elements(shape.M + shape.code.Q),
            u_end=self._elements(shape.code.Q),
            u_W_end=self._elements(shape.weights.code.appended),
            root3=self._take(DIGEST),
        )

    def openings(self, positions: list[int], places: list[int]) -> Openings:
        n, n_W = self._shape.code.n, self._shape.weights.code.n
        at = ((positions, n), (positions, n), (places, n_W), (places, n_W))
        found = [
            self.opening(where, size, width, salted=True)
            for (where, size), width in zip(at, widths(self._shape), strict=True)
        ]
        return Openings(*found)
