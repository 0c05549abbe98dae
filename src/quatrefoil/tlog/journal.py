"""The journal: what was acknowledged and may not lie in tiles on the disk yet. One synchronised write an append.

A file of ``records``. The first is the base: the checkpoint that the tiles on the disk hold for certain. What follows
was appended after it.

A record is written once the one before it is on the disk. One that was being written when the machine stopped is
therefore the last, and whatever part of it arrived, nothing of it was acknowledged: it is cut off. A record that does
not read back although another follows was damaged later. The mark tells the two apart: it is random, so that no leaf
holds it, and it stands at the beginning of each record alone.
"""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.errors import HostError, StateCorrupt
from quatrefoil.tlog import disk, records

_MAGIC = b"tlog journal 1\n"
_APPENDED = struct.Struct(">cQI")
RESTORE = "Keep the folder as evidence and restore the log from a copy; do not repair it by hand"


@dataclass(frozen=True)
class Appended:
    """Leaves from ``start`` on, and the checkpoint that covers them."""

    start: int
    leaves: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        """The content of its record."""
        leaves = b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in self.leaves)
        return _APPENDED.pack(b"A", self.start, len(self.leaves)) + leaves + self.checkpoint


class Journal:
    """The open journal of one writer."""

    def __init__(self, path: Path, descriptor: int, mark: bytes, size: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._mark = mark
        self.size = size

    @classmethod
    def create(cls, path: Path, base: bytes) -> Journal:
        """A journal without appends over the checkpoint ``base``, in the place of the one before; durable."""
        mark = secrets.token_bytes(records.MARK_BYTES)
        content = write_journal(mark, base, ())
        disk.put(path, content, durable=True)
        return cls(path, os.open(path, os.O_RDWR), mark, len(content))

    @classmethod
    def recover(cls, path: Path) -> tuple[Journal, bytes, list[Appended]]:
        """The journal that is there, the checkpoint under it, and what was appended since. Nothing is changed yet:
        call :meth:`trim` before the first append."""
        mark, base, appended, end = read_journal(path, path.read_bytes())
        return cls(path, os.open(path, os.O_RDWR), mark, end), base, appended

    def trim(self) -> None:
        """Cut off what was being written when the machine stopped."""
        if os.fstat(self._descriptor).st_size > self.size:
            disk.truncate(self._descriptor, self.size)
            disk.synchronise(self._descriptor)

    def append(self, appended: Appended) -> None:
        """Durable when it returns. ``HostError``: nothing was added, or, where the journal is closed then, perhaps."""
        record = records.record(self._mark, appended.encode())
        try:
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            disk.write(self._descriptor, record)
            disk.synchronise(self._descriptor)
        except OSError as error:
            self._undo(error)
            raise HostError(
                f"log {self._path.parent} cannot be written ({error.strerror})",
                hint="Free space on its disk and try again; nothing was logged",
            ) from None
        self.size += len(record)

    def _undo(self, cause: OSError) -> None:
        # What was written in part, or in whole and perhaps not to the disk, must not come back as acknowledged.
        try:
            disk.truncate(self._descriptor, self.size)
            disk.synchronise(self._descriptor)
        except OSError:
            self.close()
            raise HostError(
                f"log {self._path.parent} cannot be written ({cause.strerror}), nor what was written be taken back",
                hint="Mend its disk and open the log again: it shows then whether this was logged",
            ) from None

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    @property
    def closed(self) -> bool:
        return self._descriptor < 0


def read_journal(path: Path, content: bytes) -> tuple[bytes, bytes, list[Appended], int]:
    """Its mark, its base, what was appended since, and where that ends. ``path`` is for messages."""
    mark, whole, end = _records(path, content)
    base, *appended = whole
    return mark, base, [_appended(path, record) for record in appended], end


def write_journal(mark: bytes, base: bytes, appended: Iterable[Appended]) -> bytes:
    """The content of a journal."""
    return _MAGIC + mark + records.record(mark, base) + b"".join(records.record(mark, one.encode()) for one in appended)


def _records(path: Path, content: bytes) -> tuple[bytes, tuple[bytes, ...], int]:
    """The mark, the records that are whole, and where they end."""
    found = records.read(_MAGIC, content)
    if found is None:
        raise StateCorrupt(f"{path} is not a journal of this version", hint=RESTORE)
    if not found.whole:
        raise StateCorrupt(f"{path} has no base", hint=RESTORE)
    if found.damaged:
        raise StateCorrupt(f"{path} has a damaged record before its last", hint=RESTORE)
    return found.mark, found.whole, found.end


def _appended(path: Path, record: bytes) -> Appended:
    try:
        kind, start, count = _APPENDED.unpack_from(record)
        at, leaves = _APPENDED.size, []
        for _ in range(count):
            begin = at + 2
            at = begin + struct.unpack_from(">H", record, at)[0]
            leaves.append(record[begin:at])
    except struct.error:
        raise StateCorrupt(f"{path} has a record of another form", hint=RESTORE) from None
    if kind != b"A" or at > len(record):
        raise StateCorrupt(f"{path} has a record of another form", hint=RESTORE)
    return Appended(start, tuple(leaves), record[at:])
