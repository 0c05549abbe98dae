"""A strict reader: what comes next, and how much of it, is always known before it is read (docs/proofs.md, Bytes)."""

from __future__ import annotations

import struct
from typing import Final

from .errors import Rejected
from .field import Ext, P
from .shape import log2
from .tree import Opening, siblings

SALT: Final = 32
DIGEST: Final = 32


class Pieces:
    """The bytes of a proof, from their beginning."""

    def __init__(self, data: bytes, shortest: int, longest: int) -> None:
        if len(data) < shortest:
            raise Rejected("the proof is too short for the shape")
        if len(data) > longest:
            raise Rejected("the proof is too long for the shape")
        self._data, self._at = data, 0

    def _take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise Rejected("the proof ends early")
        self._at += count
        return piece

    def _begin(self, magic: bytes, version: int, what: str) -> None:
        """``what``: the kind of proof that begins so."""
        if self._take(len(magic)) != magic:
            raise Rejected(f"these bytes are no {what}")
        if struct.unpack("<2H", self._take(4)) != (version, 0):
            raise Rejected("the version or the reserved field of the proof is unknown")

    def _base(self) -> int:
        value = int.from_bytes(self._take(8), "little")
        if value >= P:
            raise Rejected("an element of the proof is not below p")
        return value

    def _element(self) -> Ext:
        first = self._base()
        return Ext(first, self._base())

    def _elements(self, count: int) -> list[Ext]:
        return [self._element() for _ in range(count)]

    def opening(self, positions: list[int], size: int, width: int, salted: bool) -> Opening:
        salts, words = [], []
        for _ in positions:
            if salted:
                salts.append(self._take(SALT))
            words.append([self._base() for _ in range(width)])
        return Opening(salts, words, [self._take(DIGEST) for _ in siblings(positions, log2(size))])

    def fold(self) -> tuple[Ext, Ext]:
        first = self._element()
        return first, self._element()

    def end(self) -> None:
        if self._at != len(self._data):
            raise Rejected("the proof goes on after its end")


def largest_path(size: int, count: int) -> int:
    """Bytes of the longest path of so many leaves. A sibling is one of a pair of which the other is known: no more
    than pairs, and no more than positions."""
    return DIGEST * sum(min(count, size >> level + 1) for level in range(log2(size)))
