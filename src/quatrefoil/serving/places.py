"""Who is computed for next: so many at once, so many that wait, and no certified party that fills either alone.

Each party has a line of its own, and places go round the lines: a party with one request waits for at most one of each
other party's, however many those have. When all room to wait is taken, whoever comes from a party with fewer waiting
takes the room of the last one in the longest line, which is told to come again (longest queue drop, as in RFC 7567
section 2.1 for packets). So no share is kept free for parties that are not there.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

LONGEST_PAUSE_S = 60


class NoPlace(Exception):
    """There is no room to wait, or the time to wait is over. ``pause_s``: when to come again, in seconds."""

    def __init__(self, pause_s: int) -> None:
        super().__init__("no place")
        self.pause_s = pause_s


class Places:
    """``concurrent`` places, and room for ``queued`` to wait. For one event loop."""

    def __init__(self, concurrent: int, queued: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._free = concurrent
        self._concurrent, self._queued = concurrent, queued
        self._now = now
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0
        self._dismissed = False
        self._taken = 0
        self._mean_s = 0.1

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def taken(self) -> int:
        return self._taken

    async def take(self, party: str, deadline: float) -> Place:
        """A place for ``party``, or ``NoPlace``. ``deadline``: on the clock ``now``."""
        if self._dismissed:
            raise NoPlace(self._pause())
        if self._free and not self._waiting:
            return self._given()
        if self._waiting >= self._queued and not self._make_room(party):
            raise NoPlace(self._pause())
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(party, deque()).append(turn)
        self._waiting += 1
        try:
            async with asyncio.timeout(max(0.0, deadline - self._now())):
                await turn
        except TimeoutError:
            self._leave(party, turn)
            raise NoPlace(self._pause()) from None
        except asyncio.CancelledError:
            self._leave(party, turn)
            raise
        return Place(self)

    def dismiss(self) -> None:
        """Send everybody away who waits, and whoever comes later: nobody gets a place any more."""
        self._dismissed = True
        for line in self._lines.values():
            for turn in line:
                if not turn.done():
                    turn.set_exception(NoPlace(self._pause()))
        self._lines.clear()
        self._waiting = 0

    def _given(self) -> Place:
        self._free -= 1
        self._taken += 1
        return Place(self)

    def _make_room(self, party: str) -> bool:
        """Send the last one of the longest line away, if that is longer than the line of ``party`` will be."""
        if not self._lines:
            return False
        longest = max(self._lines, key=lambda name: len(self._lines[name]))
        own = len(self._lines.get(party, ()))
        if len(self._lines[longest]) <= own + 1:
            return False
        last = self._lines[longest][-1]
        self._remove(longest, last)
        last.set_exception(NoPlace(self._pause()))
        return True

    def _leave(self, party: str, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self._give_back(0.0)  # it was called at the same moment
        else:
            self._remove(party, turn)

    def _remove(self, party: str, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(party)
        if line is not None and turn in line:
            line.remove(turn)
            self._waiting -= 1
            if not line:
                del self._lines[party]

    def _give_back(self, seconds: float) -> None:
        if seconds:
            self._mean_s += (seconds - self._mean_s) / 8
        self._free += 1
        self._taken -= 1
        while self._free and self._lines:
            party, line = next(iter(self._lines.items()))
            turn = line.popleft()
            self._waiting -= 1
            if line:
                self._lines.move_to_end(party)
            else:
                del self._lines[party]
            if not turn.done():
                self._free -= 1
                self._taken += 1
                turn.set_result(None)

    def _pause(self) -> int:
        """When those who wait now will have been served, about."""
        expected = self._mean_s * (self._waiting + self._taken) / self._concurrent
        return min(LONGEST_PAUSE_S, max(1, math.ceil(expected)))


class Place:
    """To be given back once, when what was computed in it has ended."""

    def __init__(self, places: Places) -> None:
        self._places: Places | None = places
        self._began = places._now()

    def give_back(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places._give_back(places._now() - self._began)


__all__ = ["NoPlace", "Place", "Places"]
