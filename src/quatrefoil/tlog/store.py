"""The tiles of a growing log on a disk: written at once, and there for certain once they are settled."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from quatrefoil.tlog import disk
from quatrefoil.tlog.edge import Edge, Written
from quatrefoil.tlog.merkle import HASH_BYTES
from quatrefoil.tlog.tiles import ENTRIES, Tile


class TileStore:
    """The tiles in ``folder``, of one writer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._behind: list[Written] = []
        self._unsettled: set[Path] = set()

    @property
    def settled(self) -> bool:
        """Whether all that was written is on the disk for certain."""
        return not self._unsettled

    def add(self, tiles: Iterable[Written]) -> None:
        """Tiles to be written, in this order."""
        self._behind += tiles

    def write(self) -> None:
        """Write what was added. After an ``OSError``, the next call goes on where this one stopped."""
        while self._behind:
            tile, content = self._behind[0]
            path = self._folder / tile.path
            self._unsettled.add(path)
            # One that is there stays: it may be on the disk for certain, and what takes its place would not be.
            if not _holds(path, content):
                disk.put(path, content, durable=False)
            elif disk.beside(path).exists():  # a lost power may keep both names of a rename
                disk.remove(disk.beside(path))
            self._behind.pop(0)

    def settle(self, edge: Edge) -> None:
        """Full tiles, and those at the edge, to the disk for certain. After an ``OSError`` nothing is certain: a file
        whose synchronising failed once may seem synchronised the next time."""
        current = {self._folder / tile.path for tile, _ in edge.partial()}
        for path in sorted(self._unsettled):
            if path.parent.suffix != ".p" or path in current:
                disk.synchronise_file(path)
        folders = {folder for path in self._unsettled for folder in path.parents if folder.is_relative_to(self._folder)}
        for folder in sorted(folders, reverse=True):
            disk.synchronise_folder(folder)
        self._remove_superseded()
        self._unsettled.clear()

    def _remove_superseded(self) -> None:
        """Tiles that were not full, beside full ones that are on the disk: C2SP lets go of them then. They were not
        synchronised, and nothing would mend one that a lost power has left otherwise."""
        for full in sorted(self._unsettled):
            folder = full.with_name(f"{full.name}.p")
            if full.parent.suffix != ".p" and folder.exists():
                for path in sorted(folder.iterdir()):
                    disk.remove(path)
                disk.remove_folder(folder)
                disk.synchronise_folder(folder.parent)

    def mend(self, edge: Edge) -> None:
        """Narrower tiles of older checkpoints, at the edge, are not synchronised one by one: make them again where a
        lost power has left them otherwise."""
        for tile, content in edge.partial():
            for path in sorted((self._folder / tile.path).parent.iterdir()):
                if path.name.isdecimal() and 0 < int(path.name) < tile.width:
                    wanted = _narrowed(tile, content, int(path.name))
                    if path.read_bytes() != wanted:
                        disk.put(path, wanted, durable=False)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except FileNotFoundError:
        return False


def _narrowed(tile: Tile, content: bytes, width: int) -> bytes:
    if tile.level != ENTRIES:
        return content[: width * HASH_BYTES]
    at = 0
    for _ in range(width):
        at += 2 + int.from_bytes(content[at : at + 2], "big")
    return content[:at]
