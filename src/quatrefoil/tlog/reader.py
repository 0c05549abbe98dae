"""Reading a log without trusting where it lies: every tile, leaf and proof is held to a signed checkpoint.

Property: what :meth:`LogReader.leaf` returns, and what :meth:`LogReader.leaves` has yielded when it ends, is under the
root of the checkpoint. Memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from quatrefoil.errors import CallerError, EvidenceRejected, HostError
from quatrefoil.tlog import merkle
from quatrefoil.tlog.checkpoints import Checkpoint, SignedCheckpoint, read_checkpoint
from quatrefoil.tlog.merkle import leaf_hash
from quatrefoil.tlog.notes import LARGEST_NOTE, VerifierKey
from quatrefoil.tlog.tiles import (
    CHECKPOINT,
    ENTRIES,
    HEIGHT,
    LARGEST_LEAF,
    WIDTH,
    Tile,
    levels_of,
    split_bundle,
    split_hashes,
    subtree_root,
    tile_at,
    tiles_of,
)

LARGEST_FILE = WIDTH * (LARGEST_LEAF + 2)
"""Bytes of the largest bundle, and so of any file of a log."""

_REMEMBERED = 64
"""Tiles; a proof needs two a level."""

_HINT = "The log is damaged or was altered: keep it as evidence, and fetch it again"


class Source(Protocol):
    """Where a log lies: the content of a file under its prefix, or None."""

    def read(self, path: str) -> bytes | None: ...


class FolderSource:
    """A log in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str) -> bytes | None:
        try:
            with (self._folder / path).open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise HostError(
                f"{self._folder / path} cannot be read ({error.strerror})", hint="Check its rights"
            ) from None
        if len(content) > LARGEST_FILE:
            raise EvidenceRejected(f"{path} is larger than any file of a log", hint=_HINT, check="tiles")
        return content


def fetch_checkpoint(source: Source, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    """The newest checkpoint of a log, with the signatures of ``keys``: see :func:`read_checkpoint`."""
    content = source.read(CHECKPOINT)
    if content is None:
        raise EvidenceRejected("the log has no checkpoint", hint="Name the folder of a log", check="checkpoint")
    if len(content) > LARGEST_NOTE:
        raise EvidenceRejected("the checkpoint is larger than any note", hint=_HINT, check="checkpoint")
    return read_checkpoint(content, keys)


class LogReader:
    """A log as of one checkpoint."""

    def __init__(self, source: Source, signed: SignedCheckpoint) -> None:
        self._source = source
        self._signed = signed
        self._hashes = lru_cache(maxsize=_REMEMBERED)(self._fetch_hashes)

    @property
    def signed(self) -> SignedCheckpoint:
        return self._signed

    @property
    def checkpoint(self) -> Checkpoint:
        return self._signed.checkpoint

    @property
    def size(self) -> int:
        return self.checkpoint.size

    # --------------------------------------------------------------------------------------------------------- tiles

    def hashes(self, tile: Tile) -> list[bytes]:
        """The hashes of a tile, as they lie there."""
        return list(self._hashes(tile))

    def bundle(self, tile: Tile) -> bytes:
        """A bundle as it lies there, at the width asked for."""
        content = self._fetch(tile)
        at = 0
        for _ in range(tile.width):
            at += 2 + int.from_bytes(content[at : at + 2], "big")
        if at > len(content):
            raise EvidenceRejected(f"{tile.path} ends within a leaf", hint=_HINT, check="leaves")
        return content[:at]

    def _fetch_hashes(self, tile: Tile) -> tuple[bytes, ...]:
        return tuple(split_hashes(tile, self._fetch(tile)[: tile.width * merkle.HASH_BYTES]))

    def _fetch(self, tile: Tile) -> bytes:
        """A tile, or the full one that took its place."""
        content = self._source.read(tile.path)
        if content is None and tile.width < WIDTH:
            content = self._source.read(tile.full.path)
        if content is None:
            raise EvidenceRejected(
                f"the log of {self.size} leaves lacks {tile.path}",
                hint=_HINT,
                check="leaves" if tile.level < 0 else "tiles",
            )
        return content

    def node(self, height: int, index: int) -> bytes:
        """The root of a complete subtree, from a tile: a :data:`quatrefoil.tlog.merkle.HashReader`."""
        level, within = divmod(height, HEIGHT)
        at = index << within
        tile = tile_at(self.size, level, at // WIDTH)
        hashes = self._hashes(tile)
        found = hashes[at % WIDTH : at % WIDTH + (1 << within)]
        if len(found) != 1 << within:
            raise CallerError(f"the tree of {self.size} leaves has no subtree there", hint="Ask within the size")
        return subtree_root(found)

    # --------------------------------------------------------------------------------------------------------- proofs

    def leaf(self, index: int) -> bytes:
        """One leaf, shown to be under the root."""
        tile = tile_at(self.size, ENTRIES, index // WIDTH)
        found = split_bundle(tile, self.bundle(tile))[index % WIDTH]
        merkle.verify_inclusion(leaf_hash(found), index, self.size, self.inclusion_proof(index), self.checkpoint.root)
        return found

    def inclusion_proof(self, index: int) -> list[bytes]:
        """The hashes that show leaf ``index`` to be under the root of the checkpoint."""
        return merkle.inclusion_proof(index, self.size, self.node)

    def consistency_proof(self, old: int) -> list[bytes]:
        """The hashes that show the tree of ``old`` leaves to be the beginning of this one."""
        return merkle.consistency_proof(old, self.size, self.node)

    def root_at(self, size: int) -> bytes:
        """The root over the first ``size`` leaves, from tiles."""
        return merkle.root_at(size, self.node)

    # --------------------------------------------------------------------------------------------------- the whole log

    def leaves(self) -> Iterator[tuple[int, bytes]]:
        """Every leaf with its index, in order, each held to its hash in a tile; and at the end, before it stops, every
        tile to the ones below and to the root. What was yielded counts once the iteration has ended."""
        tree = merkle.Frontier()
        rows: list[list[bytes]] = [[] for _ in levels_of(self.size)]
        for tile in tiles_of(self.size, ENTRIES):
            leaves = split_bundle(tile, self.bundle(tile))
            hashes = self.hashes(Tile(0, tile.index, tile.width))
            for at, (leaf, hashed) in enumerate(zip(leaves, hashes, strict=True)):
                if leaf_hash(leaf) != hashed:
                    raise EvidenceRejected(
                        f"leaf {tile.index * WIDTH + at} is not the one that was logged", hint=_HINT, check="leaves"
                    )
                tree.append(hashed)
                yield tile.index * WIDTH + at, leaf
            self._check_above(rows, tile, hashes)
        for level, row in enumerate(rows):
            if row and level:
                self._check_row(Tile(level, self.size >> (HEIGHT * (level + 1)), len(row)), row)
        if tree.root() != self.checkpoint.root:
            raise EvidenceRejected(
                f"the {self.size} leaves do not give the root that was signed", hint=_HINT, check="root"
            )

    def leaves_from(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Leaves from ``start`` on as they lie there, held to nothing: for lists, not for verdicts."""
        for index in range(start // WIDTH, -(-self.size // WIDTH)):
            tile = tile_at(self.size, ENTRIES, index)
            for at, leaf in enumerate(split_bundle(tile, self.bundle(tile))):
                if index * WIDTH + at >= start:
                    yield index * WIDTH + at, leaf

    def _check_above(self, rows: list[list[bytes]], tile: Tile, hashes: list[bytes]) -> None:
        """Carry a full tile into the level above, and hold each row that becomes full there to its tile."""
        level, row = 0, hashes
        while len(row) == WIDTH and level + 1 < len(rows):
            level += 1
            rows[level].append(subtree_root(row))
            row = rows[level]
            if len(row) == WIDTH:
                self._check_row(Tile(level, (tile.index >> (HEIGHT * level)), WIDTH), row)
                rows[level] = []

    def _check_row(self, tile: Tile, row: list[bytes]) -> None:
        if self.hashes(tile) != row:
            raise EvidenceRejected(f"{tile.path} does not hold the roots of the tiles below", hint=_HINT, check="tiles")
