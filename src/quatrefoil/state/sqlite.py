"""State in one SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path

from quatrefoil.errors import HostError, StateCorrupt


class SqliteState:
    """State in one SQLite file, synchronised to disk at every change; one process at a time, for any thread.

    A change is one write to a log beside the file, and one ``fdatasync``: that log belongs to the state, and a copy of
    the file without it is an older state.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.RLock()
        """Of one connection: what another thread reads in the middle of a change may be taken back."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.chmod(0o600)  # before there is anything in it: the log beside it gets the same mode
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=EXTRA")
            self._database.execute("BEGIN EXCLUSIVE")
            self._database.execute("CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value BLOB NOT NULL)")
            self._database.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise _failure(path, error) from None
        except OSError as error:
            raise HostError(
                f"state {path} cannot be opened ({error.strerror})", hint="Name a folder that you may write"
            ) from None

    def get(self, name: str) -> bytes | None:
        with self._turn:
            row = self._execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def put_once(self, name: str, value: bytes) -> bytes:
        with self._turn:
            if self._execute("INSERT OR IGNORE INTO state VALUES (?, ?)", (name, value)).rowcount == 1:
                return value
            stored = self.get(name)
        assert stored is not None
        return stored

    def replace(self, changes: Mapping[str, bytes | None]) -> None:
        with self._turn:
            self._replace(changes)

    def names(self, prefix: str) -> list[str]:
        matching = "SELECT name FROM state WHERE substr(name, 1, ?) = ? ORDER BY name"
        with self._turn:
            return [row[0] for row in self._execute(matching, (len(prefix), prefix)).fetchall()]

    def problem(self) -> str | None:
        """Nothing: what is wrong with a file is an error of the call."""
        return None

    def close(self) -> None:
        self._database.close()

    def _replace(self, changes: Mapping[str, bytes | None]) -> None:
        self._execute("BEGIN IMMEDIATE")
        try:
            for name, value in changes.items():
                if value is None:
                    self._execute("DELETE FROM state WHERE name = ?", (name,))
                else:
                    self._execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))
            self._execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # a full disk has rolled it back already
                self._execute("ROLLBACK")
            raise

    def _execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except (sqlite3.DatabaseError, OverflowError) as error:
            raise _failure(self._path, error) from None


def _failure(path: Path, error: sqlite3.DatabaseError | OverflowError) -> HostError:
    if isinstance(error, sqlite3.DataError | OverflowError):
        return HostError(f"state {path} does not hold a value this large ({error})", hint="Train a smaller model")
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return HostError(f"state {path} is in use by another process", hint="Give each process its own --state folder")
    if isinstance(error, sqlite3.OperationalError):
        return HostError(f"state {path} cannot be used ({error})", hint="Check the disk's space and permissions")
    return StateCorrupt(
        f"state {path} is damaged ({error})", hint="Restore nothing from a backup: void the open rounds instead"
    )
