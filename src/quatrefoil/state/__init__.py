"""What a party must remember across crashes, as named values of bytes.

``put_once`` is the primitive that the rules of the round stand on: of two different values for one name, only the
first is ever stored, and it is durable before the call returns. In SQLite on the party's own disk, in PostgreSQL
(:mod:`quatrefoil.state.postgres`, an extra), or in memory where nothing has to last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from quatrefoil.state.memory import MemoryState
from quatrefoil.state.sqlite import SqliteState


class State(Protocol):
    """Durable named values."""

    def get(self, name: str) -> bytes | None: ...

    def put_once(self, name: str, value: bytes) -> bytes:
        """Store ``value`` if ``name`` holds nothing yet; returns what the name holds afterwards."""

    def replace(self, changes: Mapping[str, bytes | None]) -> None:
        """Set (or, for None, forget) several names at once: all of them or none."""

    def names(self, prefix: str) -> list[str]:
        """Names that start with ``prefix``, sorted."""


class DurableState(State, Protocol):
    """State that outlives its process, and that one process at a time has."""

    def problem(self) -> str | None:
        """Why nothing can be read or written now; None while it can."""

    def close(self) -> None:
        """Give it up, for the next process."""


__all__ = ["DurableState", "MemoryState", "SqliteState", "State"]
