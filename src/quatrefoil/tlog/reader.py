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
from quatrefoil.tlog.sweep import sweep
from quatrefoil.tlog.tiles import (
    CHECKPOINT,
    ENTRIES,
    HEIGHT,
    LARGEST_LEAF,
    WIDTH,
    Tile,
    bundle,
    split_bundle,
    split_hashes,
    subtree_root,
    tile_at,
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
        """A bundle, at the width asked for."""
        return b"".join(map(bundle, self.leaves_in(tile)))

    def leaves_in(self, tile: Tile) -> list[bytes]:
        """The leaves of a bundle as they lie there, at the width asked for."""
        found, content = self._fetch(tile)
        return split_bundle(found, content)[: tile.width]

    def _fetch_hashes(self, tile: Tile) -> tuple[bytes, ...]:
        found, content = self._fetch(tile)
        return tuple(split_hashes(found, content)[: tile.width])

    def _fetch(self, tile: Tile) -> tuple[Tile, bytes]:
        """A tile, or the full one that took its place: which it is, and its content."""
        for found in (tile, tile.full):
            content = self._source.read(found.path)
            if content is not None:
                return found, content
        raise EvidenceRejected(
            f"the log of {self.size} leaves lacks {tile.path}",
            hint=_HINT,
            check="leaves" if tile.level < 0 else "tiles",
        )

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
        if not 0 <= index < self.size:
            raise CallerError(f"leaf {index} is not in a log of {self.size}", hint="Ask for a leaf below the size")
        found = self.leaves_in(tile_at(self.size, ENTRIES, index // WIDTH))[index % WIDTH]
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
        for swept in sweep(self, _raise):
            yield from enumerate(swept.leaves, swept.first)

    def leaves_from(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Leaves from ``start`` on as they lie there, held to nothing: for lists, not for verdicts."""
        for index in range(start // WIDTH, -(-self.size // WIDTH)):
            tile = tile_at(self.size, ENTRIES, index)
            for at, leaf in enumerate(self.leaves_in(tile)):
                if index * WIDTH + at >= start:
                    yield index * WIDTH + at, leaf


def _raise(problem: EvidenceRejected) -> None:
    raise problem
