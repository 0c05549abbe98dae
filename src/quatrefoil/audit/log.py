"""A minimal durable log: one JSON line an entry, each bound to the one before it by SHA-256.

Property: an acknowledged entry survives a crash (it is synchronised to disk before :meth:`FileLog.append` returns),
a half-written one does not, and an entry that was altered, removed or moved is noticed when the log is opened. It does
not stop its owner from rewriting the whole file: that takes witnesses, which this log does not have.

Entries hold digests, names, counts and reasons; never updates, keys or records.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any, Protocol

from quatrefoil.errors import HostError, StateCorrupt

_DOMAIN = b"quatrefoil/log/v1\x00"
_START = hashlib.sha256(_DOMAIN).hexdigest()
_HINT = "Keep the damaged file as evidence and start a new log; do not repair it by hand"


@dataclass(frozen=True)
class Entry:
    """One thing that happened. ``index`` counts from 0; ``time`` is UTC, ISO 8601; ``hash`` covers all the rest."""

    index: int
    time: str
    kind: str
    body: Mapping[str, Any]
    previous: str
    hash: str


class Log(Protocol):
    """Where what happened is written. ``append`` returns when the entry is durable."""

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry: ...

    def entries(self) -> Iterator[Entry]: ...


class MemoryLog:
    """A log for tests and for runs in one process; gone with the process."""

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock or _now
        self._entries: list[Entry] = []

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        previous = self._entries[-1].hash if self._entries else _START
        entry = _entry(len(self._entries), self._clock(), kind, body, previous)
        self._entries.append(entry)
        return entry

    def entries(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))


class FileLog:
    """A log in one file, with one writer at a time."""

    def __init__(self, path: Path, clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock or _now
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what could not be written must not wait in a buffer for the next append.
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise _unusable(path, error) from None
        try:
            _lock(self._file, path)
            self._size, self._last = _recover(self._file, path)
        except BaseException:
            self._file.close()
            raise
        _synchronise_folder(path.parent)

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        if self._file.closed:
            raise HostError(f"log {self._path} is closed", hint="Open it again")
        entry = _entry(self._size, self._clock(), kind, body, self._last)
        start = self._file.seek(0, os.SEEK_END)
        try:
            _write(self._file, _line(entry))
            os.fsync(self._file.fileno())
        except OSError as error:
            self._undo(start)
            raise HostError(
                f"log {self._path} cannot be written ({error.strerror})", hint="Free space on its disk and try again"
            ) from None
        self._size, self._last = entry.index + 1, entry.hash
        return entry

    def entries(self) -> Iterator[Entry]:
        return verify_file(self._path)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> FileLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _undo(self, size: int) -> None:
        # A partial line would be dropped at the next opening; drop it now so that a later append is not glued to it.
        try:
            os.ftruncate(self._file.fileno(), size)
        except OSError:
            self._file.close()


def verify_file(path: Path) -> Iterator[Entry]:
    """Every entry of a log file in order, each checked against the one before; ``StateCorrupt`` at the first fault.

    A last line without its newline was never acknowledged and is not yielded.
    """
    try:
        with path.open("rb") as file:
            yield from _checked(file, path)
    except FileNotFoundError:
        raise HostError(f"there is no log at {path}", hint="Name the file that --log or --state wrote") from None
    except OSError as error:
        raise _unusable(path, error) from None


def _write(file: FileIO, line: bytes) -> None:
    # A nearly full disk takes a part of the line first, and refuses the rest.
    while line:
        line = line[file.write(line) :]


def _unusable(path: Path, error: OSError) -> HostError:
    return HostError(f"log {path} cannot be opened ({error.strerror})", hint="Name a file that you may read and write")


def _recover(file: FileIO | BufferedReader, path: Path) -> tuple[int, str]:
    """Number of entries and last hash; an unacknowledged partial line at the end is cut off."""
    file.seek(0)
    size, last, end = 0, _START, 0
    for entry in _checked(file, path):
        size, last = entry.index + 1, entry.hash
        end += len(_line(entry))
    if file.seek(0, os.SEEK_END) != end:
        os.ftruncate(file.fileno(), end)
        os.fsync(file.fileno())
    return size, last


def _checked(file: FileIO | BufferedReader, path: Path) -> Iterator[Entry]:
    previous = _START
    for index, line in enumerate(file):
        if not line.endswith(b"\n"):
            return
        entry = _parse(line, f"{path} line {index + 1}")
        expected = _hash(entry.index, entry.time, entry.kind, entry.body, previous)
        if entry.index != index or entry.previous != previous or entry.hash != expected or _line(entry) != line:
            raise StateCorrupt(f"{path} line {index + 1} was altered, moved or follows a removed one", hint=_HINT)
        previous = entry.hash
        yield entry


def _parse(line: bytes, where: str) -> Entry:
    try:
        value = json.loads(line, parse_constant=_no_number, parse_float=_finite)
        index, body = value["index"], value["body"]
        if type(index) is not int or not isinstance(body, dict):
            raise TypeError
        return Entry(index, str(value["time"]), str(value["kind"]), body, str(value["previous"]), str(value["hash"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StateCorrupt(f"{where} is not a log entry", hint=_HINT) from None


def _no_number(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _entry(index: int, time: datetime, kind: str, body: Mapping[str, Any], previous: str) -> Entry:
    stamp = time.astimezone(UTC).isoformat(timespec="milliseconds")
    return Entry(index, stamp, kind, dict(body), previous, _hash(index, stamp, kind, body, previous))


def _hash(index: int, time: str, kind: str, body: Mapping[str, Any], previous: str) -> str:
    return hashlib.sha256(_DOMAIN + _canonical([index, time, kind, body, previous])).hexdigest()


def _line(entry: Entry) -> bytes:
    return _canonical(vars(entry)) + b"\n"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def _lock(file: FileIO | BufferedReader, path: Path) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise HostError(f"log {path} is in use by another process", hint="Give each process its own log") from None


def _synchronise_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _now() -> datetime:
    return datetime.now(UTC)
