"""What a proof of the range of weights is about, and every count of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from bounded_update import blake3
from bounded_update.field import ONE, ZERO, Ext, base
from bounded_update.transcript import TRANSCRIPT

from .codes import Code, column_code, opened_code
from .shape import FRACTIONS_IN_A_CHUNK
from .weights_shape import WeightsShape

PROTOCOL: Final = b"quatrefoil/proof/weights-range/v1"


@dataclass(frozen=True)
class RangeShape:
    weights: WeightsShape

    @property
    def w_max(self) -> int:
        return self.weights.program.w_max

    @property
    def entries(self) -> int:
        return 2 * self.w_max + 1

    @property
    def ell(self) -> int:
        return self.weights.omega

    @property
    def L(self) -> int:
        return self.weights.WL

    @property
    def n_1(self) -> int:
        return self.weights.n_1

    @cached_property
    def A(self) -> int:
        return -(-self.entries // self.L)

    @cached_property
    def code(self) -> Code:
        """Of the fresh columns."""
        return column_code(self.weights.parameters, self.ell)

    @cached_property
    def row_code(self) -> Code:
        """Of the runs of both opened rows."""
        return opened_code(self.weights.parameters, (self.code, self.weights.code))

    @property
    def R(self) -> int:
        return self.L // self.code.C

    @cached_property
    def chunks(self) -> list[range]:
        """Fractions below n_1 are of weights columns, the others of the columns of uses."""
        count, step = self.n_1 + self.A, FRACTIONS_IN_A_CHUNK
        return [range(first, min(first + step, count)) for first in range(0, count, step)]

    @property
    def m_q(self) -> int:
        return len(self.chunks)

    @property
    def m(self) -> int:
        """Fresh columns."""
        return self.A + 2 * self.m_q

    @cached_property
    def degrees(self) -> list[int]:
        f_max = max(len(chunk) for chunk in self.chunks)
        return [f_max + 2] * (self.ell - 1) + [2 * f_max + 3]

    @property
    def M(self) -> int:
        return sum(self.degrees) + self.m + self.n_1

    def tab(self, column: int) -> tuple[list[Ext], list[Ext]]:
        """tab and sel of a column of uses."""
        indices = range(column * self.L, (column + 1) * self.L)
        tab = [base(x - self.w_max) if x < self.entries else ZERO for x in indices]
        return tab, [ONE if x < self.entries else ZERO for x in indices]


def statement_digest(shape: RangeShape, root: bytes) -> bytes:
    program = shape.weights.program.to_bytes()
    codes = (shape.code, shape.weights.code, shape.row_code)
    numbers = (shape.weights.openings, shape.ell, *(number for code in codes for number in code.to_numbers()))
    packed = struct.pack("<I", len(program)) + program + struct.pack(f"<{len(numbers)}I", *numbers)
    return blake3.digest(PROTOCOL + packed + root, TRANSCRIPT)
