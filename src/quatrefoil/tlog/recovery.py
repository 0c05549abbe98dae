"""The right edge of a log read again from its own tiles, when its writer opens it."""

from __future__ import annotations

from pathlib import Path

from quatrefoil.errors import EvidenceRejected, StateCorrupt
from quatrefoil.tlog.checkpoints import SignedCheckpoint
from quatrefoil.tlog.edge import Edge
from quatrefoil.tlog.journal import RESTORE
from quatrefoil.tlog.merkle import EMPTY_ROOT, leaf_hash
from quatrefoil.tlog.reader import FolderSource, LogReader
from quatrefoil.tlog.tiles import ENTRIES, HEIGHT, WIDTH, levels_of, split_bundle, tile_at


def edge_of(folder: Path, base: SignedCheckpoint) -> Edge:
    """The edge at ``base``, from tiles that were synchronised before it became the journal's. ``StateCorrupt`` where
    they do not give its root."""
    checkpoint, reader = base.checkpoint, LogReader(FolderSource(folder), base)
    rows: list[list[bytes]] = []
    entries = b""
    try:
        for level in levels_of(checkpoint.size):
            index, width = divmod(checkpoint.size >> (HEIGHT * level), WIDTH)
            rows.append(reader.hashes(tile_at(checkpoint.size, level, index)) if width else [])
            if level == 0 and width:
                tile = tile_at(checkpoint.size, ENTRIES, index)
                entries = reader.bundle(tile)
                if [leaf_hash(leaf) for leaf in split_bundle(tile, entries)] != rows[0]:
                    raise StateCorrupt(f"log {folder} is damaged: {tile.path} does not fit", hint=RESTORE)
    except EvidenceRejected as error:
        raise StateCorrupt(f"log {folder} is damaged: {error.problem}", hint=RESTORE) from None
    edge = Edge(checkpoint.size, rows, entries)
    if (edge.root() if checkpoint.size else EMPTY_ROOT) != checkpoint.root:
        raise StateCorrupt(f"the tiles of log {folder} do not give its root", hint=RESTORE)
    return edge
