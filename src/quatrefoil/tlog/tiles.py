"""Tiles: how a tree and its leaves lie in files. C2SP tlog-tiles.

A tile holds up to 256 hashes: at level 0 those of leaves, above the roots of full tiles of the level below. Beside the
tiles of level 0 lie bundles of the leaves themselves, each after its length in two bytes. A tile that is not full yet
has its width in its name, and stays until the full one is there: whoever holds an older checkpoint finds its tiles.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.tlog.merkle import HASH_BYTES, node_hash

HEIGHT = 8
WIDTH = 1 << HEIGHT
"""Hashes of a full tile."""

LARGEST_LEAF = 0xFFFF
"""Bytes; the length of a leaf has two."""

CHECKPOINT, TILES = "checkpoint", "tile"
"""Where a log has its checkpoint, and what all tiles lie under."""

ENTRIES = -1
"""The level of bundles, which lie where tiles do."""

_HINT = "The log is damaged or was altered: keep it as evidence, and fetch it again"


@dataclass(frozen=True)
class Tile:
    """Where a tile lies: ``level`` (:data:`ENTRIES` for a bundle), ``index`` in the level, ``width`` in hashes."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Its name under the log's prefix."""
        digits = f"{self.index % 1000:03}"
        rest = self.index // 1000
        while rest:
            digits, rest = f"x{rest % 1000:03}/{digits}", rest // 1000
        level = "entries" if self.level == ENTRIES else str(self.level)
        return f"{TILES}/{level}/{digits}" + ("" if self.width == WIDTH else f".p/{self.width}")

    @property
    def full(self) -> Tile:
        """The tile that takes the place of this one."""
        return Tile(self.level, self.index)


def tiles_of(size: int, level: int) -> Iterator[Tile]:
    """The tiles of a level in a tree of ``size`` leaves, in order."""
    hashes = size >> (HEIGHT * max(level, 0))
    for index in range(hashes // WIDTH):
        yield Tile(level, index)
    if hashes % WIDTH:
        yield Tile(level, hashes // WIDTH, hashes % WIDTH)


def levels_of(size: int) -> range:
    """The levels of a tree of ``size`` leaves that have tiles."""
    levels = 0
    while size >> (HEIGHT * levels):
        levels += 1
    return range(levels)


def tile_at(size: int, level: int, index: int) -> Tile:
    """Tile ``index`` of a level in a tree of ``size`` leaves, as wide as it is there."""
    width = min(WIDTH, (size >> (HEIGHT * max(level, 0))) - index * WIDTH)
    if index < 0 or width <= 0:
        raise CallerError(f"a tree of {size} leaves has no tile {index} at level {level}", hint="Ask within the size")
    return Tile(level, index, width)


def split_hashes(tile: Tile, content: bytes) -> list[bytes]:
    """The hashes of a tile."""
    if len(content) != tile.width * HASH_BYTES:
        raise EvidenceRejected(
            f"{tile.path} has {len(content)} bytes, not {tile.width * HASH_BYTES}", hint=_HINT, check="tiles"
        )
    return [content[start : start + HASH_BYTES] for start in range(0, len(content), HASH_BYTES)]


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def bundle(leaf: bytes) -> bytes:
    """A leaf as it lies in a bundle."""
    if len(leaf) > LARGEST_LEAF:
        raise CallerError(
            f"a leaf of {len(leaf)} bytes is over the limit of {LARGEST_LEAF}", hint="Log a digest, and keep it beside"
        )
    return struct.pack(">H", len(leaf)) + leaf


def split_bundle(tile: Tile, content: bytes) -> list[bytes]:
    """The leaves of a bundle."""
    leaves, at = [], 0
    while at < len(content):
        begin = at + 2
        at = begin + int.from_bytes(content[at:begin], "big")
        if at > len(content):
            raise EvidenceRejected(f"{tile.path} ends within a leaf", hint=_HINT, check="leaves")
        leaves.append(content[begin:at])
    if len(leaves) != tile.width:
        raise EvidenceRejected(f"{tile.path} holds {len(leaves)} leaves, not {tile.width}", hint=_HINT, check="leaves")
    return leaves
