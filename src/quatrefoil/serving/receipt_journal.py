"""What was given out and may not be in the log yet: receipts in files that are written at once and never synchronised.

A folder of files of ``tlog.records``, each receipt one record and one ``write()``. What was written is with the kernel
and outlives the process, not the machine: a power loss may take the last moments with it. A receipt is given out only
after it was written here.

A new file begins whenever the log takes over what the others hold; they are removed once it has. Whatever moment the
process is killed at, every receipt that was given out is in the log, or in one of these files, or in both.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.errors import HostError, StateCorrupt
from quatrefoil.tlog import disk, records

_MAGIC = b"quatrefoil receipts 1\n"
_NAME = re.compile(r"([0-9]{16})\.receipts")
LARGEST_FILE = 1 << 30
"""Bytes that are read back: a log that was behind by 300,000 receipts."""

HINT = (
    "Nothing of it was logged. Keep the folder as evidence, move it away, and start again: the log then ends the "
    "keyset with what it knows, and whoever holds a receipt that it lacks can show it"
)


@dataclass(frozen=True)
class Left:
    """What a process left. ``torn``: bytes of a record that it was writing when it was killed, and so gave out to
    nobody."""

    receipts: tuple[bytes, ...]
    torn: int


class ReceiptJournal:
    """The files of one process at a time; whoever has its party's log open is the only one here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            disk.make_folders(folder)
            self._numbers = [number for number, _ in _files(folder)]
        except OSError as error:
            raise _unwritable(folder, error) from None
        self._descriptor = -1
        self._mark = b""
        self._size = 0

    def left(self) -> Left:
        """What is there, in the order in which it was written; ``StateCorrupt`` where it was altered."""
        receipts, torn = list[bytes](), 0
        for _, path in _files(self._folder):
            found, rest = read_file(path.name, _content(path))
            receipts += found
            torn += rest
        return Left(tuple(receipts), torn)

    def append(self, receipt: bytes) -> None:
        """With the kernel when it returns. ``HostError``: it is not, and nothing is left of it."""
        try:
            if self._descriptor < 0:
                self._turn()
            disk.write(self._descriptor, record := records.record(self._mark, receipt))
        except OSError as error:
            self._undo()
            raise _unwritable(self._folder, error) from None
        self._size += len(record)

    def turn(self) -> tuple[int, ...]:
        """Begin a new file, where the newest is not empty: what was written before is in the others, which these are,
        the oldest first."""
        if self._descriptor < 0 or self._size > len(_MAGIC) + records.MARK_BYTES:
            try:
                self._turn()
            except OSError as error:
                raise _unwritable(self._folder, error) from None
        return tuple(self._numbers[:-1])

    def _turn(self) -> None:
        number = self._numbers[-1] + 1 if self._numbers else 0
        self.close()
        mark = secrets.token_bytes(records.MARK_BYTES)
        path = self._folder / f"{number:016}.receipts"
        descriptor = disk.create_appending(path)
        try:
            disk.write(descriptor, beginning := write_file(mark, []))
        except OSError:
            # A full disk takes empty files still, and each request would leave another.
            os.close(descriptor)
            with contextlib.suppress(OSError):
                disk.remove(path)
            if path.exists():
                self._numbers.append(number)
            raise
        self._numbers.append(number)
        self._descriptor, self._mark, self._size = descriptor, mark, len(beginning)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The files that there are, oldest first, the one that is being written last."""
        return tuple(self._numbers)

    def drop(self, numbers: tuple[int, ...]) -> None:
        """Remove files whose receipts are in the log; the oldest first, so that what is left has no gap."""
        try:
            for number in numbers:
                disk.remove(self._folder / f"{number:016}.receipts")
                self._numbers.remove(number)
        except OSError as error:
            raise _unwritable(self._folder, error) from None

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _undo(self) -> None:
        # A part of a record must not stand before a whole one. Where it cannot be taken back, nothing follows it in
        # this file: the next receipt begins another, and this one ends in a torn record.
        if self._descriptor < 0:
            return
        try:
            disk.truncate(self._descriptor, self._size)
        except OSError:
            self.close()


def read_file(name: str, content: bytes) -> tuple[list[bytes], int]:
    """The receipts in a file, and the bytes of a torn record after them; ``StateCorrupt`` where they are anything
    else. Any file may end so: one is given up for the next where the disk refused the rest of a record."""
    found = records.read(_MAGIC, content)
    if found is None:
        # Killed before the beginning of the file was written, when it held nothing yet.
        if _MAGIC.startswith(content[: len(_MAGIC)]) and len(content) < len(_MAGIC) + records.MARK_BYTES:
            return [], len(content)
        raise StateCorrupt(f"{name} is no journal of receipts of this version", hint=HINT)
    if found.damaged:
        raise StateCorrupt(f"{name} has a damaged record before its last", hint=HINT)
    return list(found.whole), len(content) - found.end


def write_file(mark: bytes, receipts: list[bytes]) -> bytes:
    """The content of a file of the journal."""
    return _MAGIC + mark + b"".join(records.record(mark, one) for one in receipts)


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise StateCorrupt(f"{path} has over {LARGEST_FILE} bytes", hint=HINT)
        return path.read_bytes()
    except OSError as error:
        raise HostError(f"{path} cannot be read ({error.strerror})", hint="Check its disk and permissions") from None


def _files(folder: Path) -> list[tuple[int, Path]]:
    named = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted((int(match[1]), path) for match, path in named if match is not None)


def _unwritable(folder: Path, error: OSError) -> HostError:
    return HostError(
        f"the journal of receipts {folder} cannot be written ({error.strerror})",
        hint="Free space on its disk; until then nothing is answered, since no answer goes out without a receipt",
    )


__all__ = ["HINT", "Left", "ReceiptJournal", "read_file", "write_file"]
