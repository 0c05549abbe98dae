"""The columns of a witness (docs/proofs.md, Shape)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .field import ONE, Ext, P, X, base, total
from .shape import SLACK_BITS, Shape
from .shares import Dealt
from .statement import Statement

Columns = list[list[int]]


@dataclass(frozen=True)
class Witness:
    """What a silo keeps: its key, the pad, the errors [block][coefficient], the values [block][slot][coefficient]."""

    key: Sequence[int]
    pad: Ext
    errors: Sequence[Sequence[int]]
    values: Sequence[Sequence[Sequence[int]]]
    dealt: Dealt | None = None  # in place of the pad, where the key is in shares

    def norm(self) -> int:
        return sum(q * q for block in self.values for slot in block for q in slot)

    def differences(self, statement: Statement) -> list[int]:
        """What each claim leaves, the norm of all values first, then the further ones; negative where it is false."""
        values = [q for block in self.values for slot in block for q in slot]
        return [statement.bound - self.norm(), *statement.further.slacks(values[: statement.shape.D])]

    def slacks(self, statement: Statement) -> list[int]:
        norm, *further = self.differences(statement)
        if not 0 <= norm < 1 << SLACK_BITS:
            raise ValueError("the sum of squares is above the bound")
        for claim, slack in enumerate(further):
            if not 0 <= slack < 1 << SLACK_BITS:
                raise ValueError(f"further claim {claim} does not hold")
        return [norm, *further]


def base_columns(shape: Shape, witness: Witness, slacks: Sequence[int]) -> Columns:
    """All c of them. Nothing is checked here, so that a liar can use it as well."""
    N = shape.parameters.N
    columns = [[0] * shape.L for _ in range(shape.c)]
    for group in range(shape.G):
        for t in range(shape.parameters.k):
            for limb in range(shape.limbs):
                columns[shape.limb_column(group, t, limb)] = [limb_of(shape, 0, limb)] * shape.L
    for j in range(shape.J):
        group, first = j // shape.S, j % shape.S * N
        for i in range(N):
            columns[shape.error_column(group)][first + i] = witness.errors[j][i] % P
            for t in range(shape.parameters.k):
                for limb in range(shape.limbs):
                    entry = limb_of(shape, witness.values[j][t][i], limb)
                    columns[shape.limb_column(group, t, limb)][first + i] = entry
    if witness.dealt is None:
        set_auxiliary(shape, columns, shape.T_P, [witness.pad.a, witness.pad.b])
    for number, slack in enumerate(slacks):
        set_auxiliary(shape, columns, shape.slack_start(number), [slack >> i & 1 for i in range(SLACK_BITS)])
    if witness.dealt is not None:
        set_auxiliary(shape, columns, shape.T_S, [x for values in witness.dealt.values for x in values])
        set_auxiliary(shape, columns, shape.T_M, [part for x in witness.dealt.mask for part in (x.a, x.b)])
    set_auxiliary(shape, columns, shape.T_S, [x % P for x in witness.key])
    count_uses(shape, columns)
    return columns


def limb_of(shape: Shape, q: int, limb: int) -> int:
    """Limb `limb` of u = q + off. The top one is not cut: a value out of its range stays out of it."""
    rest = (q + shape.off) >> shape.b * limb
    return rest % (1 << shape.b) if limb < shape.limbs - 1 else rest % P


def set_auxiliary(shape: Shape, columns: Columns, start: int, entries: Sequence[int]) -> None:
    """Entries of the long vector y from index `start` on."""
    for i, entry in enumerate(entries, start):
        columns[shape.auxiliary_column(i // shape.L)][i % shape.L] = entry


def count_uses(shape: Shape, columns: Columns) -> None:
    """How often each entry of the tables stands in the columns that are looked up."""
    errors = Counter(x for g in range(shape.G) for x in columns[shape.error_column(g)])
    is_error = {shape.error_column(g) for g in range(shape.G)}
    limbs = Counter(x for i in range(shape.lookups) if i not in is_error for x in columns[i])
    eta = shape.parameters.eta
    set_auxiliary(shape, columns, 0, [limbs[x] for x in range(1 << shape.b)])
    set_auxiliary(shape, columns, shape.T_E, [errors[(x - eta) % P] for x in range(2 * eta + 1)])


def table_row(shape: Shape, index: int) -> tuple[Ext, int]:
    """tab and sel at an index of y, by their definition."""
    if index < shape.T_E:
        return base(index) + X, int(index < 1 << shape.b)
    entry = index - shape.T_E
    value = base(entry - shape.parameters.eta) + X + X
    return value, int(entry < 2 * shape.parameters.eta + 1)


def inverse_columns(shape: Shape, columns: Columns, alpha: Ext) -> Columns:
    """For each chunk the sums of its fractions, as their part of 1 and their part of X."""
    fractions = [_fraction_column(shape, columns, index, alpha) for index in range(shape.lookups + shape.A_T)]
    result = []
    for chunk in shape.chunks:
        sums = [total(fractions[i][row] for i in chunk) for row in range(shape.L)]
        result += [[x.a for x in sums], [x.b for x in sums]]
    return result


def fraction_order(shape: Shape) -> list[int]:
    """The column of each fraction: errors, limbs, auxiliary columns with a part of a table."""
    errors = [shape.error_column(g) for g in range(shape.G)]
    limbs = [i for i in range(shape.lookups) if i not in set(errors)]
    return errors + limbs + [shape.auxiliary_column(a) for a in range(shape.A_T)]


def _fraction_column(shape: Shape, columns: Columns, index: int, alpha: Ext) -> list[Ext]:
    column = columns[fraction_order(shape)[index]]
    if index < shape.lookups:
        tag = X + X if index < shape.G else X
        return [(alpha - (base(entry) + tag)).inverse() for entry in column]
    result = []
    for row, uses in enumerate(column):
        value, selected = table_row(shape, (index - shape.lookups) * shape.L + row)
        result.append((alpha - value).inverse().scale(-selected * uses))
    return result


def as_elements(column: Sequence[int]) -> list[Ext]:
    return [ONE.scale(entry) for entry in column]
