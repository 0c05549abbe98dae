"""State in a PostgreSQL database, for hosts whose own disk is not to be relied on.

Properties, as long as the server keeps its own promises: a value is on the server's disk before a call returns
(``synchronous_commit``; a server without ``fsync`` is refused); one process at a time writes to a state. The second
holds twice. A process holds an advisory lock for as long as its session lives; and every write is done in one
transaction with a look at the *epoch*, which whoever takes a state over counts up. So a process that was cut off,
frozen or moved, and comes back, writes nothing after another has begun.

A lost connection is made again inside the call. What of a commit is in doubt then is settled by doing it again: the
lock is had only once the lost session is over, a value that is stored stays, and nobody else has written meanwhile.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from quatrefoil.errors import HostError, StateAway, StateCorrupt, StateTaken
from quatrefoil.state import postgres_session as session
from quatrefoil.state.postgres_session import LARGEST_VALUE, Lost, Session

Result = TypeVar("Result")

PATIENCE_S = 20.0
"""Seconds that a call goes on trying for: less than the silence that ends a channel."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0

_NEW_OWNER = "INSERT INTO quatrefoil_owner VALUES (%s, %b, 0) ON CONFLICT DO NOTHING"
_TAKE_OVER = "UPDATE quatrefoil_owner SET epoch = epoch + 1 WHERE state = %s RETURNING id, epoch"
_EPOCH = "SELECT epoch FROM quatrefoil_owner WHERE state = %s"
# Who takes over waits for a write that holds this, and who writes after that does not find its epoch.
_MINE = "SELECT state FROM quatrefoil_owner WHERE state = %s AND epoch = %s FOR SHARE"
_GET = f"WITH mine AS MATERIALIZED ({_MINE}) SELECT (SELECT value FROM quatrefoil_state WHERE state = %s AND name = %s) FROM mine"  # noqa: S608, E501
_PUT = f"WITH mine AS MATERIALIZED ({_MINE}), put AS (INSERT INTO quatrefoil_state SELECT state, %s, %b FROM mine ON CONFLICT DO NOTHING RETURNING 1) SELECT (SELECT count(*) FROM put) FROM mine"  # noqa: S608, E501
_SET = "INSERT INTO quatrefoil_state VALUES (%s, %s, %b) ON CONFLICT (state, name) DO UPDATE SET value = EXCLUDED.value"
_FORGET = "DELETE FROM quatrefoil_state WHERE state = %s AND name = %s"
_NAMES = f"WITH mine AS MATERIALIZED ({_MINE}) SELECT array(SELECT name FROM quatrefoil_state WHERE state = %s AND name ^@ %s ORDER BY name) FROM mine"  # noqa: S608, E501


class PostgresState:
    """The state called ``name`` in the database that ``url`` names; several states share a database.

    ``patience``: seconds that a call goes on for while the server is away; then it is ``StateAway``, and the next call
    tries again. ``StateTaken`` from every call once another process has the state. For any thread.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        patience: float = PATIENCE_S,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._where = session.checked(url)
        self._name = name
        self._patience = patience
        self._report = report
        self._turn = threading.RLock()
        self._session: Session | None = None
        self._problem: str | None = None
        self._taken = False
        self._epoch: int | None = None
        self.id: bytes = b""
        """16 bytes, drawn when the state was made: another database has another."""
        self._trying(lambda _: None)

    def get(self, name: str) -> bytes | None:
        row = self._trying(lambda found: found.row(_GET, (*self._mine(), self._name, name)))
        (value,) = self._require_mine(row)
        return None if value is None else bytes(value)

    def put_once(self, name: str, value: bytes) -> bytes:
        content = self._fitting(value)
        row = self._trying(lambda found: found.row(_PUT, (*self._mine(), name, content)))
        (stored,) = self._require_mine(row)
        if stored:
            return content
        earlier = self.get(name)
        if earlier is None:
            raise StateCorrupt(f"{self._title} holds {name} and does not give it", hint="Check the server's disk")
        return earlier

    def replace(self, changes: Mapping[str, bytes | None]) -> None:
        wanted = [(name, None if value is None else self._fitting(value)) for name, value in changes.items()]

        def work(found: Session) -> bool:
            with found.transaction():
                if found.row(_MINE, self._mine()) is None:
                    return False
                for name, value in wanted:
                    if value is None:
                        found.do(_FORGET, (self._name, name))
                    else:
                        found.do(_SET, (self._name, name, value))
            return True

        if not self._trying(work):
            raise self._was_taken()

    def names(self, prefix: str) -> list[str]:
        row = self._trying(lambda found: found.row(_NAMES, (*self._mine(), self._name, prefix)))
        (found,) = self._require_mine(row)
        return list(found)

    def problem(self) -> str | None:
        """Why nothing can be read or written now; None while it can, as far as the last call has seen."""
        return self._problem

    def close(self) -> None:
        with self._turn:
            if self._session is not None:
                self._session.close()
                self._session = None

    # -------------------------------------------------------------------------------------------------------- sessions

    def _trying(self, work: Callable[[Session], Result]) -> Result:
        """What ``work`` gives, in a session that is made again until it does; it may be done twice."""
        with self._turn:
            if self._taken:
                raise self._was_taken()
            end, pause, told = time.monotonic() + self._patience, FIRST_PAUSE, False
            while True:
                try:
                    found = work(self._connected())
                    self._problem = None
                    return found
                except Lost as lost:
                    self.close()
                    self._problem = lost.problem
                    if not told:
                        self._report(f"{self._title} is away ({lost.problem}): trying again")
                        told = True
                    if time.monotonic() + pause > end:
                        raise StateAway(f"{self._title} cannot be used ({lost.problem})", hint=lost.hint) from None
                    time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (so that not all come at once)
                    pause = min(1.7 * pause, LONGEST_PAUSE)

    def _connected(self) -> Session:
        if self._session is None:
            fresh = Session(self._where, self._title)
            try:
                self._take(fresh)
            except BaseException:
                fresh.close()
                raise
            self._session = fresh
        return self._session

    def _take(self, fresh: Session) -> None:
        """The lock, and at first the epoch. Later that is to be the same still: nobody was here meanwhile."""
        if self._epoch is not None and self._is_elsewhere(fresh):
            raise self._was_taken()
        if not fresh.lock(self._name):
            if self._epoch is not None:
                # Very likely this process's own lost session, which the server has not noticed yet.
                fresh.end_lost(self._name)
            raise Lost(
                "it is in use by another process",
                hint="End that process; one whose host died is noticed within a minute",
            )
        if self._epoch is None:
            with fresh.transaction():
                fresh.do(_NEW_OWNER, (self._name, secrets.token_bytes(16)))
                taken = fresh.row(_TAKE_OVER, (self._name,))
            assert taken is not None
            self.id, self._epoch = bytes(taken[0]), int(taken[1])
            return
        if self._is_elsewhere(fresh):
            raise self._was_taken()

    def _is_elsewhere(self, fresh: Session) -> bool:
        row = fresh.row(_EPOCH, (self._name,))
        return row is None or row[0] != self._epoch

    # --------------------------------------------------------------------------------------------------------- details

    @property
    def _title(self) -> str:
        return f"state {self._name} in {self._where.title}"

    def _mine(self) -> tuple[str, int | None]:
        return self._name, self._epoch

    def _require_mine(self, row: tuple[Any, ...] | None) -> tuple[Any, ...]:
        if row is None:
            raise self._was_taken()
        return row

    def _was_taken(self) -> StateTaken:
        self._taken = True
        self._problem = "it was taken over by another process"
        self.close()
        return StateTaken(
            f"{self._title} was taken over by another process",
            hint="End this one; nothing that it was asked after that counts",
        )

    def _fitting(self, value: bytes) -> bytes:
        if len(value) > LARGEST_VALUE:
            raise HostError(
                f"{self._title} does not hold a value this large ({len(value):,} bytes)", hint="Train a smaller model"
            )
        return bytes(value)


__all__ = ["PATIENCE_S", "PostgresState"]
