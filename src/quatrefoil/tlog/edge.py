"""The right edge of a growing log: what is not in full tiles yet, and the tiles that come of appending. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from quatrefoil.tlog.merkle import Frontier, leaf_hash
from quatrefoil.tlog.tiles import ENTRIES, HEIGHT, WIDTH, Tile, bundle, subtree_root

Written: TypeAlias = tuple[Tile, bytes]
"""A tile and its content."""


class Edge:
    """The rightmost tile of each level, and the bundle beside the lowest. Memory: 256 hashes a level, 256 leaves."""

    def __init__(self, size: int = 0, rows: list[list[bytes]] | None = None, entries: bytes = b"") -> None:
        """``rows``: the hashes of the rightmost tile of each level that is not full, lowest first; ``entries``: the
        leaves that lie beside the first row, as in a bundle."""
        self._rows = rows or []
        self._entries = bytearray(entries)
        self._tree = Frontier(size, complete_subtrees(self._rows))

    @property
    def size(self) -> int:
        return self._tree.size

    def root(self) -> bytes:
        return self._tree.root()

    def append(self, leaf: bytes) -> list[Written]:
        """Add a leaf; the tiles that are full now."""
        self._entries += bundle(leaf)
        hashed = leaf_hash(leaf)
        self._tree.append(hashed)
        return self._push(0, hashed)

    def _push(self, level: int, hashed: bytes) -> list[Written]:
        if level == len(self._rows):
            self._rows.append([])
        row = self._rows[level]
        row.append(hashed)
        if len(row) < WIDTH:
            return []
        index = (self.size >> (HEIGHT * (level + 1))) - 1
        full = [(Tile(level, index), b"".join(row))]
        if level == 0:
            full.insert(0, (Tile(ENTRIES, index), bytes(self._entries)))
            self._entries.clear()
        self._rows[level] = []
        return full + self._push(level + 1, subtree_root(row))

    def partial(self) -> Iterator[Written]:
        """The tiles at the edge as they are now."""
        for level, row in enumerate(self._rows):
            if row:
                tile = Tile(level, self.size >> (HEIGHT * (level + 1)), len(row))
                if level == 0:
                    yield Tile(ENTRIES, tile.index, tile.width), bytes(self._entries)
                yield tile, b"".join(row)

    def copy(self) -> Edge:
        return Edge(self.size, [list(row) for row in self._rows], bytes(self._entries))


def complete_subtrees(rows: list[list[bytes]]) -> list[bytes]:
    """The roots of complete subtrees in these rows, the widest first."""
    found = []
    for row in reversed(rows):
        at = 0
        while at < len(row):
            width = 1 << ((len(row) - at).bit_length() - 1)
            found.append(subtree_root(row[at : at + width]))
            at += width
    return found
