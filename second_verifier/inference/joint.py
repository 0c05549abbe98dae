"""Two opened rows as one vector (docs/inference-proofs.md, Opened rows)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bounded_update.commitment import Commitment, parts
from bounded_update.field import ONE, ZERO, Ext, eq_vector, product, total
from bounded_update.opening import omega_at, omega_vector
from bounded_update.shape import log2

from .codes import Code
from .shape import RangeOrAnswers
from .weights_shape import WeightsShape

Two = tuple[Sequence[Ext], Sequence[Ext]]
Places = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Joint:
    """u_J of u, which comes first, and u_W; the runs of it that have an entry of either are in tree 3."""

    codes: tuple[Code, Code]
    row_code: Code

    @staticmethod
    def of(shape: RangeOrAnswers) -> Joint:
        return Joint((shape.code, shape.weights.code), shape.row_code)

    @staticmethod
    def of_link(shape: WeightsShape) -> Joint:
        return Joint((shape.code, shape.code), shape.row_code)

    @property
    def half(self) -> int:
        """C_J."""
        return max(code.C for code in self.codes)

    @property
    def variables(self) -> int:
        return 1 + log2(self.half)

    @property
    def runs(self) -> list[int]:
        """Those in tree 3, by their place among all runs."""
        C2 = self.row_code.C
        return [
            second * (self.half // C2) + run
            for second, code in enumerate(self.codes)
            for run in range(max(1, code.C // C2))
        ]

    @property
    def width(self) -> int:
        """Words of a leaf of tree 3."""
        return 2 * len(self.runs)

    def vector(self, rows: Two) -> list[Ext]:
        """One behind the other; a row is the beginning of its half."""
        return [entry for row in rows for entry in [*row, *[ZERO] * (self.half - len(row))]]

    def pieces(self, vector: Sequence[Ext]) -> list[Sequence[Ext]]:
        C2 = self.row_code.C
        return [vector[run * C2 : (run + 1) * C2] for run in self.runs]

    def commit(self, rows: Two) -> Commitment:
        """Tree 3."""
        words = [part for piece in self.pieces(self.vector(rows)) for part in parts(list(piece))]
        return Commitment(words, self.row_code.n, None)

    def weights_of_runs(self, r: Sequence[Ext]) -> list[Ext]:
        """eq(r_hi, run) of the runs in the tree."""
        high = eq_vector(r[: self.variables - log2(self.row_code.C)])
        return [high[run] for run in self.runs]

    def combined(self, vector: Sequence[Ext], r: Sequence[Ext]) -> list[Ext]:
        """u_2."""
        weights, pieces = self.weights_of_runs(r), self.pieces(vector)
        return [
            total(weight * piece[j] for weight, piece in zip(weights, pieces, strict=True))
            for j in range(self.row_code.C)
        ]

    def factors(self, chi: Ext) -> tuple[Ext, Ext]:
        """1 and chi': what is said of each row is multiplied with."""
        second = ONE
        for _ in range(self.codes[0].Q + 1):
            second = second * chi
        return ONE, second

    def omega(self, lows: Two, points: Places, chi: Ext) -> list[Ext]:
        first, second = (
            [factor * entry for entry in omega_vector(low, at, chi)]
            for factor, low, at in zip(self.factors(chi), lows, points, strict=True)
        )
        return self.vector((first, second))

    def omega_at(self, r: Sequence[Ext], lows: Two, points: Places, chi: Ext) -> Ext:
        """Omega~(r), from z_lo and w_lo."""
        result = ZERO
        for choice, factor, low, at in zip((ONE - r[0], r[0]), self.factors(chi), lows, points, strict=True):
            rest = r[1 : len(r) - len(low)]
            beginning = choice * factor * product(ONE - x for x in rest)
            result = result + beginning * omega_at(r[len(r) - len(low) :], low, at, chi)
        return result
