"""The journal: what was acknowledged and may not lie in tiles on the disk yet. One synchronised write an append.

A file of records, each its length (4 bytes, big-endian), SHA-256 of its content, and the content. The first is the
base: the checkpoint that the tiles on the disk hold for certain. What follows was appended after it. A record that was
being written when the machine stopped is the last one, and incomplete: it was never acknowledged, and is cut off.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.errors import HostError, StateCorrupt
from quatrefoil.tlog import disk

_MAGIC = b"quatrefoil log journal 1\n"
_HEAD = struct.Struct(">I32s")
_APPENDED = struct.Struct(">cQI")
_HINT = "Keep the folder as evidence and restore the log from a copy; do not repair it by hand"


@dataclass(frozen=True)
class Appended:
    """Leaves from ``start`` on, and the checkpoint that covers them."""

    start: int
    leaves: tuple[bytes, ...]
    checkpoint: bytes


class Journal:
    """The open journal of one writer."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.size = size

    @classmethod
    def create(cls, path: Path, base: bytes) -> Journal:
        """A journal without appends over the checkpoint ``base``, in the place of the one before; durable."""
        content = _MAGIC + _record(base)
        disk.put(path, content, durable=True)
        return cls(path, os.open(path, os.O_RDWR), len(content))

    @classmethod
    def recover(cls, path: Path) -> tuple[Journal, bytes, list[Appended]]:
        """The journal that is there, the checkpoint under it, and what was appended since."""
        descriptor = os.open(path, os.O_RDWR)
        try:
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read()
            records, end = _records(path, content)
            if end < len(content):
                disk.truncate(descriptor, end)
                disk.synchronise(descriptor)
            base, *appended = records
            return cls(path, descriptor, end), base, [_appended(path, record) for record in appended]
        except BaseException:
            os.close(descriptor)
            raise

    def append(self, appended: Appended) -> None:
        """Durable when it returns. When it raises, nothing was added."""
        record = _record(
            _APPENDED.pack(b"A", appended.start, len(appended.leaves))
            + b"".join(struct.pack(">H", len(leaf)) + leaf for leaf in appended.leaves)
            + appended.checkpoint
        )
        try:
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            disk.write(self._descriptor, record)
            disk.synchronise(self._descriptor)
        except OSError as error:
            self._undo()
            raise HostError(
                f"log {self._path.parent} cannot be written ({error.strerror})",
                hint="Free space on its disk and try again; nothing was logged",
            ) from None
        self.size += len(record)

    def _undo(self) -> None:
        # What was written in part, or in whole and perhaps not to the disk, must not come back as acknowledged.
        try:
            disk.truncate(self._descriptor, self.size)
            disk.synchronise(self._descriptor)
        except OSError:
            self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    @property
    def closed(self) -> bool:
        return self._descriptor < 0


def _record(content: bytes) -> bytes:
    return _HEAD.pack(len(content), hashlib.sha256(content).digest()) + content


def _records(path: Path, content: bytes) -> tuple[list[bytes], int]:
    """The records that are whole, and where they end."""
    if not content.startswith(_MAGIC):
        raise StateCorrupt(f"{path} is not a journal of this version", hint=_HINT)
    found, at = [], len(_MAGIC)
    while len(content) - at >= _HEAD.size:
        length, digest = _HEAD.unpack_from(content, at)
        end = at + _HEAD.size + length
        record = content[at + _HEAD.size : end]
        if end > len(content) or hashlib.sha256(record).digest() != digest:
            if end < len(content):
                raise StateCorrupt(f"{path} has a damaged record before its last", hint=_HINT)
            break
        found.append(record)
        at = end
    if not found:
        raise StateCorrupt(f"{path} has no base", hint=_HINT)
    return found, at


def _appended(path: Path, record: bytes) -> Appended:
    try:
        kind, start, count = _APPENDED.unpack_from(record)
        at, leaves = _APPENDED.size, []
        for _ in range(count):
            begin = at + 2
            at = begin + struct.unpack_from(">H", record, at)[0]
            leaves.append(record[begin:at])
    except struct.error:
        raise StateCorrupt(f"{path} has a record of another form", hint=_HINT) from None
    if kind != b"A" or at > len(record):
        raise StateCorrupt(f"{path} has a record of another form", hint=_HINT)
    return Appended(start, tuple(leaves), record[at:])
