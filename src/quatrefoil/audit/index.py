"""Which entries there are of a kind, and where a hash is: a list in SQLite beside the log, made again when it is lost.

Nothing is believed because it is in here: what is found is read from the log, and verified there.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from quatrefoil.audit import entries
from quatrefoil.audit.entries import Entry
from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog import LogWriter

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
  position INTEGER PRIMARY KEY, kind TEXT NOT NULL, time TEXT NOT NULL, hash BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_kind ON entry (kind);
CREATE INDEX IF NOT EXISTS by_hash ON entry (hash);
CREATE TABLE IF NOT EXISTS attachment (sha256 BLOB NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (sha256, position));
"""
FILE = "index.sqlite"

_BATCH = 4096


class Index:
    """Lags behind where its own disk refuses: it is caught up when the log is opened next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._open()
        except sqlite3.Error:  # whatever lies there is no index
            self.close()
            for file in (path, path.with_name(f"{path.name}-journal")):
                file.unlink(missing_ok=True)
            self._open()

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._connection.execute("PRAGMA synchronous = OFF")  # it is made again when a lost power damages it
        self._connection.executescript(_SCHEMA)

    def catch_up(self, log: LogWriter) -> None:
        """Take in what was logged since; everything anew where it knows of more than there is."""
        if self._size() > log.size:
            self._connection.execute("DELETE FROM entry")
            self._connection.execute("DELETE FROM attachment")
        begin, batch = self._size(), list[Entry]()
        if begin == log.size:
            return
        for position, leaf in log.reader().leaves_from(begin):
            with contextlib.suppress(EvidenceRejected):  # found when the log is verified; an index is no judge
                batch.append(entries.decode(position, leaf))
            if len(batch) == _BATCH:
                self.add(batch)
                batch = []
        self.add(batch)

    def add(self, found: Sequence[Entry]) -> None:
        rows = [(entry.index, entry.kind, entry.time, bytes.fromhex(entry.hash)) for entry in found]
        attached = [(bytes.fromhex(one.sha256), entry.index) for entry in found for one in entry.attached.values()]
        with contextlib.suppress(sqlite3.Error), self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", rows)
            self._connection.executemany("INSERT OR REPLACE INTO attachment VALUES (?, ?)", attached)

    def of_kind(self, kind: str) -> list[int]:
        """Where the entries of a kind are, in order."""
        return _positions(self._connection.execute("SELECT position FROM entry WHERE kind = ? ORDER BY 1", (kind,)))

    def with_hash(self, hashed: bytes) -> list[int]:
        """Where leaves of this hash are, or entries that attach content of this SHA-256."""
        found = self._connection.execute(
            "SELECT position FROM entry WHERE hash = ?1"
            " UNION SELECT position FROM attachment WHERE sha256 = ?1 ORDER BY 1",
            (hashed,),
        )
        return _positions(found)

    def _size(self) -> int:
        (size,) = self._connection.execute("SELECT coalesce(max(position) + 1, 0) FROM entry").fetchone()
        return int(size)

    def close(self) -> None:
        self._connection.close()


def look_up(folder: Path, hashed: bytes) -> list[int]:
    """Where the index of the log in ``folder`` has leaves of this hash; nothing where there is no index to read. It may
    lag, or lie: whoever asks reads the leaf from the log, and compares."""
    file = (folder / FILE).absolute()
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            return _positions(
                connection.execute("SELECT position FROM entry WHERE hash = ? ORDER BY position", (hashed,))
            )
    except sqlite3.Error:
        return []


def _positions(rows: Iterable[tuple[int]]) -> list[int]:
    return [position for (position,) in rows]
