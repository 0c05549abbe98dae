"""The prover's side of the masked sum-check (docs/proofs.md, The sum-check)."""

from __future__ import annotations

from collections.abc import Sequence

from .columns import Columns, as_elements
from .constraint import Constraint
from .field import HALF, ONE, ZERO, Ext, bind, total
from .shape import Shape


class SumCheck:
    """Rounds of F + g, with V' = V + rho_V x (1 - x) in the last variable in place of each committed column V."""

    def __init__(self, constraint: Constraint, committed: Columns, mask: Sequence[Ext]) -> None:
        self._constraint = constraint
        self._committed = [as_elements(column) for column in committed]
        vectors = constraint.vectors()
        self._keys = list(vectors)
        self._public = list(vectors.values())
        self._coefficients, self._rho = split_mask(constraint.shape, mask)
        self._mask_so_far = ZERO

    def round(self, i: int) -> list[Ext]:
        """The polynomial of round i at 0, 1, .., d_i."""
        shape = self._constraint.shape
        left = shape.ell - 1 - i
        plain = self.plain_round(i)
        masks = (self._mask_so_far + mask_value(self._coefficients[i], Ext(x)) for x in range(len(plain)))
        return [value + mask.scale(1 << left) for value, mask in zip(plain, masks, strict=True)]

    def plain_round(self, i: int) -> list[Ext]:
        """The same of F alone."""
        shape = self._constraint.shape
        last = i == shape.ell - 1
        result = [ZERO] * (shape.degrees[i] + 1)
        tables = self._committed + self._public
        half = len(tables[0]) // 2
        for row in range(half):
            values = [table[row] for table in tables]
            steps = [table[row + half] - table[row] for table in tables]
            for x in range(len(result)):
                committed = values[: shape.m]
                if last:
                    committed = [v + rho.scale(x * (1 - x)) for v, rho in zip(committed, self._rho, strict=True)]
                public = dict(zip(self._keys, values[shape.m :], strict=True))
                result[x] = result[x] + self._constraint.evaluate(committed, public)
                values = [value + step for value, step in zip(values, steps, strict=True)]
        return result

    def bind(self, i: int, coordinate: Ext) -> None:
        self._mask_so_far = self._mask_so_far + mask_value(self._coefficients[i], coordinate)
        self._committed = [bind(table, coordinate) for table in self._committed]
        self._public = [bind(table, coordinate) for table in self._public]

    def committed_values(self, z: Sequence[Ext]) -> list[Ext]:
        """V'(z) of every column, after the last round."""
        bump = z[-1] * (ONE - z[-1])
        return [table[0] + rho * bump for table, rho in zip(self._committed, self._rho, strict=True)]


def split_mask(shape: Shape, mask: Sequence[Ext]) -> tuple[list[list[Ext]], list[Ext]]:
    """The mask row as a_(i, 1) .. a_(i, d_i) for each i, and rho."""
    coefficients, at = [], 0
    for degree in shape.degrees:
        coefficients.append(list(mask[at : at + degree]))
        at += degree
    return coefficients, list(mask[at:])


def mask_value(coefficients: Sequence[Ext], x: Ext) -> Ext:
    """sum_d a_d (x^d - 1/2)."""
    value = ZERO
    for coefficient in reversed(coefficients):
        value = (value + coefficient) * x
    return value - total(coefficients).scale(HALF)
