"""Liars, one for each constraint: rejected, and accepted as soon as the term of F that stops them is taken out.

The liars are as good as they can be: they keep to the argument in all else, and count the uses of the tables anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from toy_proofs import N, Silo, run, toy_shape

import bounded_update.constraint
from bounded_update import Rejected, Shape, verify
from bounded_update.columns import Columns, count_uses, set_auxiliary
from bounded_update.field import ONE, ZERO, Ext, P, X, base, powers
from bounded_update.prover import Prover

SHAPE = toy_shape(2, 2, 3 * 32 + 16 + 7)  # four blocks; the last has 16 values in slot 0 and 7 in slot 1
SHORT = toy_shape(2, 2, 3 * 32 + 5)  # the last block has 5 values in slot 0 and none in slot 1
WITH_EMPTY_BLOCKS = toy_shape(2, 4, 5 * 32)


def recounted(silo: Silo, change: Callable[[Columns], None]) -> Prover:
    prover = silo.prover()
    change(prover.columns)
    count_uses(silo.shape, prover.columns)
    return prover


def with_value(q: int) -> Prover:
    silo = Silo(SHAPE)
    silo.q[1][0][3] = q
    return silo.prover()


def with_error(e: int) -> Prover:
    silo = Silo(SHAPE)
    silo.errors[2][15] = e
    return silo.prover()


class RepairsTheSum(Prover):
    """Changes an inverse, so that all of them add up to zero."""

    def inverses(self, alpha: Ext) -> Columns:
        columns = super().inverses(alpha)
        parts = [sum(sum(column) for column in columns[part::2]) % P for part in (0, 1)]
        for column, part in zip(columns[:2], parts, strict=True):
            column[0] = (column[0] - part) % P
        return columns


def with_repaired_sum() -> Prover:
    prover = with_value(8)
    return RepairsTheSum(prover.statement, prover.blocks, prover.columns, prover.randomness)


def with_uses(change: int) -> Prover:
    prover = Silo(SHAPE).prover()
    column, row = divmod(SHAPE.T_E + 2, SHAPE.L)
    uses = prover.columns[SHAPE.auxiliary_column(column)]
    uses[row] = (uses[row] + change) % P
    return prover


def with_norm_above() -> Prover:
    return Silo(SHAPE, slack=-1).prover()


def with_bits(bits: list[int]) -> Prover:
    """A norm above the bound by one, with bits that add up to -1."""
    assert sum(bit << i for i, bit in enumerate(bits)) % P == P - 1
    return recounted(Silo(SHAPE, slack=-1), lambda columns: set_auxiliary(SHAPE, columns, SHAPE.T_P + 2, bits))


def with_other_block() -> Prover:
    prover = Silo(SHAPE).prover()
    prover.blocks = [list(block) for block in prover.blocks]
    prover.blocks[3][5] = (prover.blocks[3][5] + 1) % P
    return prover


def with_other_a() -> Prover:
    """A ciphertext of another round."""
    return Silo(SHAPE, context=bytes(32)).prover()


def with_other_key_in_the_column() -> Prover:
    key = [x % P for x in Silo(SHAPE, seed=2).key]
    return recounted(Silo(SHAPE), lambda columns: set_auxiliary(SHAPE, columns, SHAPE.T_S, key))


class SendsAnotherV(Prover):
    def key_value(self, zeta: Sequence[Ext]) -> Ext:
        return super().key_value(zeta) + ONE


def with_other_v() -> Prover:
    prover = Silo(SHAPE).prover()
    return SendsAnotherV(prover.statement, prover.blocks, prover.columns, prover.randomness)


def with_value_behind_the_last(shape: Shape, slot: int, coefficient: int) -> Prover:
    silo = Silo(shape)
    silo.q[-1][slot][coefficient] = -1
    return silo.prover()


def with_value_in_an_empty_block() -> Prover:
    """Hidden in a block slot that no block is in, so as to have a smaller norm elsewhere."""
    shape = WITH_EMPTY_BLOCKS

    def change(columns: Columns) -> None:
        column = columns[shape.limb_column(1, 0, 0)]
        assert column[3 * N + 2] == shape.off
        column[3 * N + 2] += 1

    return recounted(Silo(shape, slack=8, slack_bits=7), change)


@dataclass(frozen=True)
class Forgery:
    prover: Callable[[], Prover]
    term: int  # after the zero checks of all chunks; negative: a zero check


M1_AS_BITS = [P - 1] + [0] * 61
HIGH_BIT = [1] * 61 + [P - 1]  # 2^61 - 1 - 2^61 = -1
FORGERIES = {
    "value above the range by one": Forgery(lambda: with_value(8), 1),
    "value below the range by one": Forgery(lambda: with_value(-9), 1),
    "value far outside": Forgery(lambda: with_value(1 << 20), 1),
    "error above the range by one": Forgery(lambda: with_error(4), 1),
    "error below the range by one": Forgery(lambda: with_error(-4), 1),
    "uses of a table that are too many": Forgery(lambda: with_uses(1), 1),
    "inverses repaired, so that they add up to zero": Forgery(with_repaired_sum, -1),
    "norm above the bound by one": Forgery(with_norm_above, 2),
    "slack of -1 in bit 0": Forgery(lambda: with_bits(M1_AS_BITS), 4),
    "slack of -1 in bit 61": Forgery(lambda: with_bits(HIGH_BIT), 4 + 61),
    "another block": Forgery(with_other_block, 0),
    "another a": Forgery(with_other_a, 0),
    "another key in the column": Forgery(with_other_key_in_the_column, 0),
    "another v": Forgery(with_other_v, 3),
    "value behind the last, slot 0": Forgery(lambda: with_value_behind_the_last(SHORT, 0, 5), 66),
    "value behind the last, slot 1": Forgery(lambda: with_value_behind_the_last(SHAPE, 1, 7), 67),
    "value in a slot without values": Forgery(lambda: with_value_behind_the_last(SHORT, 1, 0), 67),
    "value in an empty block": Forgery(with_value_in_an_empty_block, 0),
}
each_forgery = pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())


@each_forgery
def test_a_forgery_is_rejected(forgery: Forgery) -> None:
    prover = forgery.prover()
    with pytest.raises(Rejected, match="the opened row does not take the values"):
        verify(prover.statement, prover.blocks, run(prover).to_bytes())


@each_forgery
def test_it_is_accepted_without_the_term_that_stops_it(forgery: Forgery, monkeypatch: pytest.MonkeyPatch) -> None:
    prover = forgery.prover()
    dropped = 0 if forgery.term < 0 else prover.shape.m_q + forgery.term

    def without(x: Ext, count: int) -> list[Ext]:
        return [ZERO if i == dropped else power for i, power in enumerate(powers(x, count))]

    monkeypatch.setattr(bounded_update.constraint, "powers", without)
    verify(prover.statement, prover.blocks, run(prover).to_bytes())


def test_honest_neighbours_of_the_forgeries_are_accepted() -> None:
    for prover in (with_value(7), with_value(-8), with_error(3), with_error(-3), with_uses(0), Silo(SHAPE, 0).prover()):
        verify(prover.statement, prover.blocks, run(prover).to_bytes())


def test_tags_keep_the_tables_apart() -> None:
    """A limb that stands in the table of errors only, and an error that stands in the table of limbs only."""
    assert base(-3 % P) + X + X != base(-3 % P) + X
    silo = Silo(toy_shape(2, 4, 32))
    silo.errors[0][0] = 12  # a limb could be that
    prover = silo.prover()
    column, row = divmod(12, silo.shape.L)
    prover.columns[silo.shape.auxiliary_column(column)][row] += 1  # and is counted as one
    with pytest.raises(Rejected):
        verify(prover.statement, prover.blocks, run(prover).to_bytes())
