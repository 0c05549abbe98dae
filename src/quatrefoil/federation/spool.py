"""Where an aggregator lays what it has added and may need once more: ciphertexts and proofs of one attempt.

They are most of what arrives, and nobody looks at them again unless the keeper cannot use a silo's key (the sum is then
made anew without it) or the roster is logged (with the proofs). In memory they would be as many updates as there are
silos. What lies here is no state: it is gone with the process, and silos send the same bytes again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from quatrefoil.errors import HostError


class Spool(Protocol):
    """Content of one attempt, laid there with its SHA-256. :meth:`close` forgets all of it."""

    def keep(self, content: bytes, digest: bytes) -> Kept: ...

    def read(self, start: int, size: int) -> bytes: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Kept:
    """Content in a spool. ``digest``: its SHA-256, taken before it was laid there and checked when it is read."""

    spool: Spool = field(repr=False, compare=False)
    start: int
    size: int
    digest: bytes

    def read(self) -> bytes:
        """The content as it was; ``HostError`` where the disk gives other bytes."""
        content = self.spool.read(self.start, self.size)
        if hashlib.sha256(content).digest() != self.digest:
            raise HostError(
                f"{self.size} bytes of a contribution do not read back as they were written",
                hint="Check the disk of the aggregator; silos send the same bytes again after a restart",
            )
        return content


class MemorySpool:
    """In memory: for a few silos, and for tests."""

    def __init__(self) -> None:
        self._contents: list[bytes] = []

    def keep(self, content: bytes, digest: bytes) -> Kept:
        self._contents.append(content)
        return Kept(self, len(self._contents) - 1, len(content), digest)

    def read(self, start: int, size: int) -> bytes:
        content = self._contents[start]
        assert len(content) == size
        return content

    def close(self) -> None:
        self._contents.clear()


class FileSpool:
    """In a file of ``folder`` that has no name: nobody else opens it, and it is gone with the process, however that
    ends. Not made durable. ``HostError`` where the folder cannot hold it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._end = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file, name = tempfile.mkstemp(dir=folder)
            self._close = weakref.finalize(self, os.close, self._file)
            Path(name).unlink()
        except OSError as error:
            raise self._failure(error) from None

    def keep(self, content: bytes, digest: bytes) -> Kept:
        with self._lock:
            start, self._end = self._end, self._end + len(content)
        view, at = memoryview(content), start
        try:
            while view:
                written = os.pwrite(self._file, view, at)
                view, at = view[written:], at + written
        except OSError as error:
            raise self._failure(error) from None
        return Kept(self, start, len(content), digest)

    def read(self, start: int, size: int) -> bytes:
        pieces = []
        try:
            while size and (piece := os.pread(self._file, size, start)):
                pieces.append(piece)
                start, size = start + len(piece), size - len(piece)
        except OSError as error:
            raise self._failure(error) from None
        return b"".join(pieces)

    def close(self) -> None:
        self._close()

    def _failure(self, error: OSError) -> HostError:
        return HostError(
            f"contributions cannot be laid in {self._folder} ({error.strerror})",
            hint="Give it a disk with room for every ciphertext and proof of a round: docs/scale.md",
        )


__all__ = ["FileSpool", "Kept", "MemorySpool", "Spool"]
