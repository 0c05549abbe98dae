"""Which lists a party has believed before, so that an older one, which revokes less, is not taken in its place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from quatrefoil.errors import HostError, StateCorrupt
from quatrefoil.transport import files
from quatrefoil.transport.revocation import RevocationList


class SeenLists:
    """The highest number of each root's lists, durable in a folder of the party's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def accept(self, lists: Iterable[RevocationList]) -> None:
        """Remember ``lists``; ``HostError`` for one that is older than one remembered, and then none is."""
        found = list(lists)
        before = {one.root: self._number(one.root) for one in found}
        for one in found:
            require_not_older(one, before[one.root])
        for one in found:
            if one.number > before[one.root]:
                files.make_private(self._folder)
                files.replace(self._file(one.root), b"%d\n" % one.number)

    def _number(self, root: bytes) -> int:
        file = self._file(root)
        if not file.exists():
            return 0
        content = files.read(file, "list number")
        if not content.strip().isdigit():
            raise StateCorrupt(
                f"list number {file} does not read back",
                hint="Get the newest crl.pem from the authority, then remove this file",
            )
        return int(content)

    def _file(self, root: bytes) -> Path:
        return self._folder / f"{root.hex()}.number"


def require_not_older(one: RevocationList, number: int) -> None:
    """``HostError`` when ``one`` has a lower number than ``number``."""
    if one.number < number:
        raise HostError(
            f"revocation list {one.number} is older than list {number}, which was believed before",
            hint="Get the newest crl.pem from the authority, and ask who put the old one back",
        )


__all__ = ["SeenLists", "require_not_older"]
