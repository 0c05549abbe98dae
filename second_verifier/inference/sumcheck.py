"""The prover's side of a masked sum-check: of a layer, over L rows, over WL rows (docs/inference-proofs.md, Claims)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bounded_update.field import ONE, ZERO, Ext, bind
from bounded_update.sumcheck import mask_value

Evaluate = Callable[[list[Ext], list[Ext]], Ext]


class SumCheck:
    """Rounds of a polynomial of committed and public tables, plus g and a constant at every row. Each committed V is
    V' = V + rho_V x (1 - x) in the last variable."""

    def __init__(
        self,
        committed: Sequence[Sequence[Ext]],
        rho: Sequence[Ext],
        public: Sequence[Sequence[Ext]],
        evaluate: Evaluate,
        degrees: Sequence[int],
        coefficients: Sequence[Ext],
        constant: Ext,
    ) -> None:
        self._committed, self._public = [list(t) for t in committed], [list(t) for t in public]
        self._rho, self._evaluate, self._degrees = list(rho), evaluate, list(degrees)
        self._coefficients = split_by(degrees, coefficients)
        self._so_far = constant

    def round(self, i: int) -> list[Ext]:
        """The polynomial of round i at 0, 1, .., d_i."""
        left = len(self._degrees) - 1 - i
        masks = [self._so_far + mask_value(self._coefficients[i], Ext(x)) for x in range(self._degrees[i] + 1)]
        return [plain + mask.scale(1 << left) for plain, mask in zip(self.plain_round(i), masks, strict=True)]

    def plain_round(self, i: int) -> list[Ext]:
        """The same without g and the constant."""
        degree, last = self._degrees[i], i == len(self._degrees) - 1
        result = [ZERO] * (degree + 1)
        tables = self._committed + self._public
        if not tables:
            return result
        count, half = len(self._committed), len(tables[0]) // 2
        for row in range(half):
            values = [table[row] for table in tables]
            steps = [table[row + half] - table[row] for table in tables]
            for x in range(degree + 1):
                committed = values[:count]
                if last:
                    committed = [v + rho.scale(x * (1 - x)) for v, rho in zip(committed, self._rho, strict=True)]
                result[x] = result[x] + self._evaluate(committed, values[count:])
                values = [value + step for value, step in zip(values, steps, strict=True)]
        return result

    def bind(self, i: int, coordinate: Ext) -> None:
        self._so_far = self._so_far + mask_value(self._coefficients[i], coordinate)
        self._committed = [bind(table, coordinate) for table in self._committed]
        self._public = [bind(table, coordinate) for table in self._public]

    def committed_values(self, point: Sequence[Ext]) -> list[Ext]:
        """V' of every committed table at the point, after the last round."""
        bump = point[-1] * (ONE - point[-1])
        return [table[0] + rho * bump for table, rho in zip(self._committed, self._rho, strict=True)]


def split_by(degrees: Sequence[int], coefficients: Sequence[Ext]) -> list[list[Ext]]:
    result, at = [], 0
    for degree in degrees:
        result.append(list(coefficients[at : at + degree]))
        at += degree
    return result
