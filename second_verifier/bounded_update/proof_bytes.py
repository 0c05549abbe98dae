"""A proof as bytes, and the strict reader (docs/proofs.md, Bytes)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from .field import Ext
from .reading import DIGEST, SALT, Pieces, largest_path
from .shape import Shape, log2
from .transcript import serialize
from .tree import Opening

MAGIC: Final = b"QFPROOFB"
VERSION: Final = 1


@dataclass(frozen=True)
class Head:
    """All before the positions are drawn."""

    statement: bytes
    root1: bytes
    v: Ext
    root2: bytes
    rounds: list[list[Ext]]
    y: list[Ext]
    sigma: Ext
    u_m: list[Ext]
    u_end: list[Ext]
    root3: bytes
    more: tuple[Ext, ...] = ()  # where the key is in shares, v is V at the first base point, and these are the others

    @property
    def key_values(self) -> list[Ext]:
        """v, or V."""
        return [self.v, *self.more]

    def to_bytes(self) -> bytes:
        return b"".join(
            (
                MAGIC + struct.pack("<2H", VERSION, 0),
                self.statement + self.root1 + serialize(self.key_values) + self.root2,
                *(serialize(round_) for round_ in self.rounds),
                serialize([*self.y, self.sigma, *self.u_m, *self.u_end]),
                self.root3,
            )
        )


@dataclass(frozen=True)
class Proof:
    head: Head
    opening1: Opening
    opening2: Opening
    folds: list[tuple[Ext, Ext]]
    u_2: list[Ext]
    opening3: Opening

    def to_bytes(self) -> bytes:
        folds = b"".join(serialize(fold) for fold in self.folds)
        openings = self.opening1.to_bytes() + self.opening2.to_bytes()
        return self.head.to_bytes() + openings + folds + serialize(self.u_2) + self.opening3.to_bytes()


def tree_widths(shape: Shape) -> tuple[int, int, int]:
    """Words of a leaf of trees 1, 2 and 3."""
    return shape.c * shape.R + 6, 2 * shape.m_q * shape.R, 2 * (shape.code.C // shape.row_code.C)


def fixed_length(shape: Shape) -> int:
    """Bytes of all but the openings."""
    head = (
        len(MAGIC)
        + 4
        + 4 * DIGEST
        + 16 * (shape.key_values + sum(shape.degrees) + shape.m + 1 + shape.M + 2 * shape.code.Q)
    )
    return head + 32 * log2(shape.code.C) + 16 * shape.row_code.C


def largest_length(shape: Shape) -> int:
    """No proof is longer, whatever its positions."""
    code, row = shape.code, shape.row_code
    first, second, third = tree_widths(shape)
    leaves = min(code.Q, code.n) * (2 * SALT + 8 * (first + second)) + min(row.Q, row.n) * 8 * third
    return fixed_length(shape) + leaves + 2 * largest_path(code.n, code.Q) + largest_path(row.n, row.Q)


class Reader(Pieces):
    """Reads a proof of a bounded update."""

    def __init__(self, shape: Shape, data: bytes) -> None:
        super().__init__(data, fixed_length(shape), largest_length(shape))
        self._shape = shape

    def head(self) -> Head:
        self._begin(MAGIC, VERSION, "proof of a bounded update")
        shape = self._shape
        return Head(
            statement=self._take(DIGEST),
            root1=self._take(DIGEST),
            v=self._element(),
            more=tuple(self._elements(shape.key_values - 1)),
            root2=self._take(DIGEST),
            rounds=[self._elements(degree) for degree in shape.degrees],
            y=self._elements(shape.m),
            sigma=self._element(),
            u_m=self._elements(shape.M + shape.code.Q),
            u_end=self._elements(shape.code.Q),
            root3=self._take(DIGEST),
        )

    def combined_run(self) -> list[Ext]:
        return self._elements(self._shape.row_code.C)


def regions(shape: Shape, proof: Proof) -> list[tuple[str, int, int]]:
    """Name, offset and length of every part of a proof, in order: what a test of mutations goes through."""
    head, p1, p2, p3 = proof.head, proof.opening1, proof.opening2, proof.opening3
    sizes = [("magic", 8), ("version", 2), ("reserved", 2), ("statement", DIGEST), ("root 1", DIGEST)]
    sizes += [("v", 16 * shape.key_values), ("root 2", DIGEST)]
    sizes += [(f"round {i}", 16 * len(sent)) for i, sent in enumerate(head.rounds)]
    sizes += [("y", 16 * shape.m), ("sigma", 16), ("u_m", 16 * len(head.u_m)), ("end of u", 16 * len(head.u_end))]
    sizes.append(("root 3", DIGEST))
    for name, opening in (("tree 1", p1), ("tree 2", p2)):
        sizes += _opening_sizes(name, opening)
    sizes += [(f"fold {i}", 32) for i in range(len(proof.folds))] + [("u_2", 16 * len(proof.u_2))]
    sizes += _opening_sizes("tree 3", p3)
    result, at = [], 0
    for name, size in sizes:
        result.append((name, at, size))
        at += size
    return result


def _opening_sizes(name: str, opening: Opening) -> list[tuple[str, int]]:
    sizes = []
    for i, words in enumerate(opening.words):
        if opening.salts:
            sizes.append((f"salt {i} of {name}", SALT))
        sizes.append((f"words {i} of {name}", 8 * len(words)))
    return [*sizes, (f"path of {name}", DIGEST * len(opening.path))]
