"""What the prover draws, and the rows, code words and trees that it commits to (docs/proofs.md, Trees)."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from .columns import Columns
from .field import Ext
from .polynomials import code_word
from .shape import Shape
from .transcript import Drawn
from .tree import Opening, Tree, leaf

Rows = list[list[int]]


@dataclass
class Randomness:
    """All that a prover draws."""

    appended1: Rows  # c R rows of Q
    mask: list[Ext]  # M
    mask_appended: list[Ext]  # Q
    nu: list[Ext]  # M + Q
    mu: list[Ext]  # K
    appended2: Rows  # 2 m_q R rows of Q
    salts1: list[bytes]
    salts2: list[bytes]

    @staticmethod
    def from_seed(shape: Shape, seed: bytes) -> Randomness:
        """Deterministic, so that vectors can be made again. A real prover asks its operating system."""

        def pieces(label: str) -> Drawn:
            name = label.encode()
            numbers = (i.to_bytes(8, "little") for i in itertools.count())
            return Drawn(hashlib.blake2b(number, key=seed, person=name).digest() for number in numbers)

        def rows(label: str, count: int) -> Rows:
            drawn = pieces(label)
            return [[drawn.base() for _ in range(shape.code.Q)] for _ in range(count)]

        def salts(label: str) -> list[bytes]:
            name = label.encode()
            return [
                hashlib.blake2b(i.to_bytes(8, "little"), key=seed, person=name, digest_size=32).digest()
                for i in range(shape.code.n)
            ]

        return Randomness(
            appended1=rows("appended1", shape.c * shape.R),
            mask=pieces("mask").elements(shape.M),
            mask_appended=pieces("mask-appended").elements(shape.code.Q),
            nu=pieces("nu").elements(shape.M + shape.code.Q),
            mu=pieces("mu").elements(shape.code.K),
            appended2=rows("appended2", 2 * shape.m_q * shape.R),
            salts1=salts("salts1"),
            salts2=salts("salts2"),
        )


def parts(elements: Sequence[Ext]) -> Rows:
    """The parts of 1, and the parts of X."""
    return [[x.a for x in elements], [x.b for x in elements]]


def cut(entries: Sequence[int], length: int) -> Rows:
    return [list(entries[i : i + length]) for i in range(0, len(entries), length)]


def column_rows(shape: Shape, columns: Columns, appended: Rows) -> Rows:
    """The rows of the code of all columns, with what is appended to each."""
    rows = [row for column in columns for row in cut(column, shape.code.C)]
    return [row + more for row, more in zip(rows, appended, strict=True)]


class Commitment:
    """Code words of one length, and the tree over their entries."""

    def __init__(self, rows: Rows, length: int, salts: list[bytes] | None) -> None:
        self.rows = rows
        self._words = [code_word(row, length) for row in rows]
        self._salts = salts
        leaves = [leaf(salts[j] if salts else b"", [w[j] for w in self._words]) for j in range(length)]
        self.tree = Tree(leaves)

    @property
    def root(self) -> bytes:
        return self.tree.root

    def open(self, positions: list[int]) -> Opening:
        salts = [self._salts[j] for j in positions] if self._salts else []
        return Opening(salts, [[w[j] for w in self._words] for j in positions], self.tree.path(positions))


def first_commitment(shape: Shape, columns: Columns, drawn: Randomness) -> Commitment:
    mask_row = [*drawn.mask, *drawn.mask_appended]
    rows = column_rows(shape, columns, drawn.appended1)
    rows += parts(mask_row) + parts(drawn.nu) + parts(drawn.mu)
    return Commitment(rows, shape.code.n, drawn.salts1)


def second_commitment(shape: Shape, inverses: Columns, drawn: Randomness) -> Commitment:
    return Commitment(column_rows(shape, inverses, drawn.appended2), shape.code.n, drawn.salts2)


def row_commitment(shape: Shape, u: Sequence[Ext]) -> Commitment:
    """Tree 3, over the runs of u[0..C]."""
    C2 = shape.row_code.C
    rows = [part for i in range(0, shape.code.C, C2) for part in parts(u[i : i + C2])]
    return Commitment(rows, shape.row_code.n, None)
