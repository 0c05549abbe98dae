"""Killing a party at a durable step: disks and logs that stop it there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quatrefoil.audit import Entry, Event, Log
from quatrefoil.state import MemoryState
from quatrefoil.transport import Identity, TrustAnchor


class Killed(BaseException):
    """The party is gone. No ``except Exception`` of its own may catch this."""


@dataclass
class Fuse:
    """Counts durable steps and kills at one of them, before or after it is done. ``at`` None: only counts."""

    at: int | None = None
    after: bool = False
    steps: list[str] = field(default_factory=list)

    def burn(self, what: str) -> bool:
        """Called before a step; True: do it and die."""
        self.steps.append(what)
        if self.at is None or len(self.steps) - 1 != self.at:
            return False
        if not self.after:
            raise Killed(what)
        return True


class FusedState:
    """A disk. Whoever died keeps it; the fuse burns once."""

    def __init__(self, fuse: Fuse) -> None:
        self.inner = MemoryState()
        self.history: list[MemoryState] = []
        """What the disk held after each change: its backups."""
        self._fuse = fuse

    def get(self, name: str) -> bytes | None:
        return self.inner.get(name)

    def names(self, prefix: str) -> list[str]:
        return self.inner.names(prefix)

    def put_once(self, name: str, value: bytes) -> bytes:
        kind, _, last = name.partition("/")  # digests stay out: they differ from run to run, and name the tests
        dies = self._fuse.burn(f"put {kind}/{last}" if last.isalpha() else f"put {kind}")
        stored = self.inner.put_once(name, value)
        self._done(dies)
        return stored

    def replace(self, changes: Mapping[str, bytes | None]) -> None:
        dies = self._fuse.burn(f"replace {len(changes)}")
        self.inner.replace(changes)
        self._done(dies)

    def _done(self, dies: bool) -> None:
        self.history.append(self.inner.copy())
        if dies:
            raise Killed


class FusedLog:
    def __init__(self, fuse: Fuse, inner: Log) -> None:
        self._fuse = fuse
        self._inner = inner

    def append(self, kind: str, body: Mapping[str, Any], attached: Mapping[str, bytes] | None = None) -> Entry:
        return self.append_all([Event(kind, body, attached or {})])[0]

    def append_all(self, events: Sequence[Event]) -> list[Entry]:
        dies = self._fuse.burn(f"log {'+'.join(event.kind for event in events)}")
        entries = self._inner.append_all(events)
        if dies:
            raise Killed
        return entries

    def payload(self, digest: str) -> bytes:
        return self._inner.payload(digest)

    @property
    def size(self) -> int:
        return self._inner.size

    def entries_from(self, start: int) -> Iterator[Entry]:
        return self._inner.entries_from(start)

    def entries(self) -> Iterator[Entry]:
        return self._inner.entries()


class Certified:
    """What ``support.Consortium`` wrote, read again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.trust = TrustAnchor.load(folder)

    def identity(self, name: str, role: str) -> Identity:
        return Identity.load(self._folder / "identities" / f"{role}-{name}")


class Mortal:
    """A disk or a log whose writes are counted over all parties; the process dies in the middle of one."""

    def __init__(self, inner: Any, before: Callable[[], None]) -> None:
        self._inner = inner
        self._before = before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in ("put_once", "replace", "append", "append_all"):
            return found

        def counted(*arguments: Any) -> Any:
            self._before()
            return found(*arguments)

        return counted


def dying_at(step: int) -> Callable[[], None]:
    """Called before each step: this process is gone at the one with this number; at none for -1."""
    left = step

    def before() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    return before
