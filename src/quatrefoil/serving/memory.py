"""What requests take of memory before they have a place: so much in all, shared among the parties that are there.

A party alone may hold all of it; of n parties each a n-th. Who is over its share when others come keeps what it has and
gets no more, so that there is less than the harmonic number of parties times as much, and soon as much again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class MemoryFull(Exception):
    """A party holds its share already."""


class Memory:
    """``most``: bytes. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, int] = {}

    @property
    def held(self) -> int:
        return sum(self._held.values())

    @contextlib.contextmanager
    def holding(self, party: str) -> Iterator[Holding]:
        """One request of ``party``; what it holds is given back at the end of the block."""
        one = Holding(self, party)
        try:
            yield one
        finally:
            self._less(party, one.size)

    def _more(self, party: str, size: int) -> None:
        others = len(self._held) - (party in self._held)
        held = self._held.get(party, 0) + size
        if held > self._most // (others + 1):
            raise MemoryFull
        self._held[party] = held

    def _less(self, party: str, size: int) -> None:
        if size:
            self._held[party] -= size
            if not self._held[party]:
                del self._held[party]


class Holding:
    """What one request holds."""

    def __init__(self, memory: Memory, party: str) -> None:
        self._memory = memory
        self._party = party
        self.size = 0

    def more(self, size: int) -> None:
        """``size`` bytes have come; ``MemoryFull`` where they are too many."""
        self._memory._more(self._party, size)
        self.size += size


__all__ = ["Holding", "Memory", "MemoryFull"]
