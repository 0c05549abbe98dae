"""One pass over everything in a log: every leaf, tile and the root, on after what does not hold.

Property: where no problem was told, every leaf that was given is under the root of the checkpoint, and every tile is
what the leaves make. Memory: 256 hashes a level and one bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog.checkpoints import Checkpoint
from quatrefoil.tlog.edge import complete_subtrees
from quatrefoil.tlog.merkle import join, leaf_hash
from quatrefoil.tlog.tiles import ENTRIES, HEIGHT, WIDTH, Tile, levels_of, subtree_root, tiles_of

MOST_MISSING = 16
"""Tiles in a row that are not there, after which a sweep ends: a checkpoint may claim any size."""

_HINT = "The log is damaged or was altered: keep it as evidence, and fetch it again"

Problem = Callable[[EvidenceRejected], None]
"""Told of each thing that does not hold; its ``check`` is ``leaves``, ``tiles`` or ``root``."""


class Tiles(Protocol):
    """What a sweep needs of a reader."""

    @property
    def checkpoint(self) -> Checkpoint: ...

    def hashes(self, tile: Tile) -> list[bytes]: ...

    def leaves_in(self, tile: Tile) -> list[bytes]: ...


@dataclass(frozen=True)
class Swept:
    """The leaves of one bundle, the index of the first, and the hash of each. A bundle that cannot be read has none."""

    first: int
    leaves: Sequence[bytes]
    hashes: Sequence[bytes]


def sweep(log: Tiles, problem: Problem) -> Iterator[Swept]:
    """Every bundle in order, each leaf held to its hash in a tile; at the end the root to the checkpoint.

    Tiles are followed upwards by the hashes that lie in them, so that one altered leaf is one problem.
    """
    size = log.checkpoint.size
    rows: list[list[bytes]] = [[] for _ in levels_of(size)]
    missing, whole = 0, True
    for tile in tiles_of(size, ENTRIES):
        leaves, stored = _leaves(log, tile, problem), _hashes(log, Tile(0, tile.index, tile.width), problem)
        hashes = [leaf_hash(leaf) for leaf in leaves]
        if leaves and stored and hashes != stored:
            _compare(tile, hashes, stored, problem)
        missing = 0 if leaves or stored else missing + 1
        if missing == MOST_MISSING:
            problem(_rejected(f"nothing of leaf {tile.index * WIDTH} and after is there", "leaves"))
            whole = False
            break
        yield Swept(tile.index * WIDTH, leaves, hashes)
        if not (row := stored or hashes):
            whole = False
        if whole:
            _carry(log, rows, tile, row, problem)
    if not whole:
        problem(_rejected("the root cannot be computed: leaves are missing, and their hashes too", "root"))
        return
    for level, row in enumerate(rows):
        if row and level:
            _check_row(log, Tile(level, size >> (HEIGHT * (level + 1)), len(row)), row, problem)
    if join(complete_subtrees(rows)) != log.checkpoint.root:
        problem(_rejected(f"the {size} leaves do not give the root that was signed", "root"))


def _leaves(log: Tiles, tile: Tile, problem: Problem) -> list[bytes]:
    try:
        return log.leaves_in(tile)
    except EvidenceRejected as error:
        problem(_as(error, "leaves"))
        return []


def _hashes(log: Tiles, tile: Tile, problem: Problem) -> list[bytes]:
    try:
        return log.hashes(tile)
    except EvidenceRejected as error:
        problem(_as(error, "tiles"))
        return []


def _compare(tile: Tile, hashes: list[bytes], stored: list[bytes], problem: Problem) -> None:
    for at, (found, logged) in enumerate(zip(hashes, stored, strict=True)):
        if found != logged:
            problem(_rejected(f"leaf {tile.index * WIDTH + at} is not the one that was logged", "leaves"))


def _carry(log: Tiles, rows: list[list[bytes]], tile: Tile, row: list[bytes], problem: Problem) -> None:
    """Carry a full tile into the level above, and hold each row that becomes full there to its tile."""
    if len(row) < WIDTH:
        rows[0] = row
        return
    level = 0
    while len(row) == WIDTH and level + 1 < len(rows):
        level += 1
        rows[level].append(subtree_root(row))
        row = rows[level]
        if len(row) == WIDTH:
            _check_row(log, Tile(level, tile.index >> (HEIGHT * level)), row, problem)
            rows[level] = []


def _check_row(log: Tiles, tile: Tile, row: list[bytes], problem: Problem) -> None:
    stored = _hashes(log, tile, problem)
    if stored and stored != row:
        problem(_rejected(f"{tile.path} does not hold the roots of the tiles below", "tiles"))


def _as(error: EvidenceRejected, check: str) -> EvidenceRejected:
    return error if error.check == check else EvidenceRejected(error.problem, hint=error.hint, check=check)


def _rejected(problem: str, check: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check=check)
