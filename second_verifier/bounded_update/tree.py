"""Hash trees over the entries of code words, and openings at several positions (docs/proofs.md, Trees)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import blake3
from .transcript import LEAF, NODE


def leaf(salt: bytes, words: Sequence[int]) -> bytes:
    return blake3.digest(salt + struct.pack(f"<{len(words)}Q", *words), LEAF)


def node(left: bytes, right: bytes) -> bytes:
    return blake3.digest(left + right, NODE)


@dataclass(frozen=True)
class Opening:
    """The opened leaves at ascending positions, and the siblings that lead from them to the root."""

    salts: list[bytes]  # empty where the tree has none
    words: list[list[int]]
    path: list[bytes]

    def leaves(self) -> list[bytes]:
        salts = self.salts or [b""] * len(self.words)
        return [leaf(salt, words) for salt, words in zip(salts, self.words, strict=True)]

    def to_bytes(self) -> bytes:
        salts = self.salts or [b""] * len(self.words)
        opened = (salt + struct.pack(f"<{len(w)}Q", *w) for salt, w in zip(salts, self.words, strict=True))
        return b"".join(opened) + b"".join(self.path)


class Tree:
    """All levels over the leaves, which are a power of two in number."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.levels = [list(leaves)]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            self.levels.append([node(below[i], below[i + 1]) for i in range(0, len(below), 2)])

    @property
    def root(self) -> bytes:
        return self.levels[-1][0]

    def path(self, positions: Sequence[int]) -> list[bytes]:
        return [self.levels[level][index] for level, index in siblings(positions, len(self.levels) - 1)]


def siblings(positions: Sequence[int], depth: int) -> list[tuple[int, int]]:
    """Level and index of every node that a path holds: the siblings that are not known, level by level, ascending."""
    result = []
    known = sorted(set(positions))
    for level in range(depth):
        present = set(known)
        result += [(level, index ^ 1) for index in known if index ^ 1 not in present]
        known = sorted({index >> 1 for index in known})
    return result


def root_of(leaves: Mapping[int, bytes], depth: int, path: Sequence[bytes]) -> bytes:
    """The root to which the leaves and the path lead; the path has the length that `siblings` gives."""
    given = dict(zip(siblings(list(leaves), depth), path, strict=True))
    known = dict(leaves)
    for level in range(depth):
        both = known | {index: digest for (at, index), digest in given.items() if at == level}
        known = {index >> 1: node(both[index & ~1], both[index | 1]) for index in known}
    return known[0]
