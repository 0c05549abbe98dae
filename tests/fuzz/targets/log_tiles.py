"""Tiles and bundles of leaves, as whoever holds a log's disk may leave them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tests.fuzz.held import refused_or, refused_or_same
from tests.fuzz.targets.log_notes import signers

from quatrefoil.tlog import Checkpoint, LogReader, SignedCheckpoint
from quatrefoil.tlog.checkpoints import Signed
from quatrefoil.tlog.edge import Edge
from quatrefoil.tlog.notes import Note
from quatrefoil.tlog.tiles import ENTRIES, Tile, bundle, split_bundle, split_hashes

SIZE = 260


@dataclass
class Files:
    """A log in memory."""

    files: dict[str, bytes]

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)


@cache
def sound() -> tuple[Checkpoint, dict[str, bytes]]:
    edge, files = Edge(), {}
    for number in range(SIZE):
        files |= {tile.path: content for tile, content in edge.append(b"leaf %d" % number)}
    files |= {tile.path: content for tile, content in edge.partial()}
    return Checkpoint("log.example/north", SIZE, edge.root()), files


def names() -> list[str]:
    return sorted(sound()[1])


def seeds() -> list[bytes]:
    return [bytes([number]) + sound()[1][name] for number, name in enumerate(names())]


def one(data: bytes) -> None:
    """By the first byte: the content of one file of a log. It reads only where nothing of it was altered."""
    which, content = (data[0] if data else 0) % len(names()), data[1:]
    checkpoint, files = sound()
    altered = files | {names()[which]: content}
    key = signers()[0].verifier
    reader = LogReader(Files(altered), SignedCheckpoint(checkpoint, Note("", ()), (Signed(key, None),)))
    read = refused_or(lambda: list(reader.leaves()))
    assert (read is not None) == (altered == files), "an altered file was read, or a sound one refused"
    for index in (0, 255, 256, 259):
        leaf = refused_or(lambda at=index: reader.leaf(at))
        assert leaf in (None, b"leaf %d" % index)
    width = min(255, max(1, len(content) // 32))
    refused_or_same(lambda: split_hashes(Tile(0, 0, width), content), b"".join, content)
    for width in (1, 4, 256):
        tile = Tile(ENTRIES, 0, width)
        refused_or_same(
            lambda tile=tile: split_bundle(tile, content), lambda leaves: b"".join(map(bundle, leaves)), content
        )
