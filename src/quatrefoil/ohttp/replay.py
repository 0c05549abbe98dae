"""Requests that come twice (RFC 9458 section 6.5): a window for their date, and a memory of what came in it.

Whoever carries a request can send it again, and it opens again. ``enc`` names a request, since every sealing makes a
fresh one. Within the window each ``enc`` is remembered; a request outside it is refused for its date, which is
encrypted and authenticated with the rest. So memory is bounded by time, and by a number: a store that is full refuses
instead of forgetting.

Nothing may be done for a request before :meth:`ReplayGuard.admit` has returned. What is remembered must outlive the
server where its keys do: keys that live in memory only, as here, are gone after a restart with everything that was
sealed to them.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from threading import Lock
from typing import Protocol

from quatrefoil.errors import CallerError, DateRefused, HostError, RequestReplayed
from quatrefoil.ohttp.messages import RequestHead, values_of

WINDOW_SECONDS = 300
LARGEST_WINDOW = 86_400
CAPACITY = 1 << 20
"""Requests remembered, each in some 200 bytes."""


class ReplayStore(Protocol):
    """Remembers names of requests."""

    def remember(self, name: bytes, until: int, now: int) -> bool:
        """Whether ``name`` is new, in one step that no two calls share: one of two equal names is not new.

        It is remembered up to and including second ``until``; what ended before ``now`` may be forgotten. So a name
        that ends before any ``now`` that was passed is never new, whatever a clock that was set back says. Raises
        ``HostError`` where it cannot be remembered: the request is then refused.
        """
        ...


class MemoryReplayStore:
    """In the memory of one process, at most ``capacity`` names."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        if capacity < 1:
            raise CallerError("a replay store without room refuses everything", hint="Give it room for a window")
        self._capacity = capacity
        self._names: set[bytes] = set()
        self._ends: list[tuple[int, bytes]] = []
        self._forgotten = 0  # nothing is known of what ended before
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._names)

    def remember(self, name: bytes, until: int, now: int) -> bool:
        with self._lock:
            self._forgotten = max(self._forgotten, now)
            while self._ends and self._ends[0][0] < self._forgotten:
                self._names.discard(heapq.heappop(self._ends)[1])
            if name in self._names or until < self._forgotten:
                return False
            if len(self._names) >= self._capacity:
                raise HostError(
                    f"{self._capacity} requests came within the window, and no more can be told from replays",
                    hint="Try again later; the operator can shorten the window or give the store more room",
                )
            self._names.add(name)
            heapq.heappush(self._ends, (until, name))
            return True


class ReplayGuard:
    """Admits each request once, within ``window`` seconds of its date by ``clock``, before or after."""

    def __init__(self, store: ReplayStore, *, clock: Callable[[], datetime], window: int = WINDOW_SECONDS) -> None:
        if not 0 < window <= LARGEST_WINDOW:
            raise CallerError(f"a window of {window} s is none", hint=f"Use 1 to {LARGEST_WINDOW} s")
        self._store = store
        self._clock = clock
        self._window = window

    def admit(self, enc: bytes, public: bytes, head: RequestHead) -> None:
        """Returns for a request that is new. ``public``: the key that it was sealed to; ``head``: as it was decrypted.

        Raises ``DateRefused`` (the answer is 400 with the problem type ``date``), ``RequestReplayed``, or
        ``HostError``.
        """
        date = date_of(head)
        now = int(self._clock().timestamp())
        if abs(now - date) > self._window:
            raise DateRefused(
                f"the request is dated {abs(now - date)} s away from the server's clock, more than {self._window} s",
                hint="Set the clock, and seal the request again",
            )
        name = hashlib.sha256(public + enc).digest()
        if not self._store.remember(name, date + self._window, now):
            raise RequestReplayed(
                "the request has been here before, or cannot be told from one that has",
                hint="Seal it again to have it done again",
            )


def date_of(head: RequestHead) -> int:
    """The Date field of a request in seconds since 1970, or ``DateRefused``: an IMF-fixdate (RFC 9110 section
    5.6.7)."""
    values = values_of(head.fields, b"date")
    hint = "Send one Date field, as in 'Sun, 06 Nov 1994 08:49:37 GMT'"
    if len(values) != 1:
        raise DateRefused("the request has no date, and a replay of it could not be told from it", hint=hint)
    text = values[0].decode("latin-1")
    try:
        parsed = parsedate_to_datetime(text)
        if parsed.tzinfo is None or http_date(parsed) != text:
            raise ValueError
    except (ValueError, OverflowError, TypeError, IndexError):
        raise DateRefused("the date of the request is no date of HTTP", hint=hint) from None
    return int(parsed.timestamp())


def http_date(moment: datetime) -> str:
    """``moment`` as the Date field has it."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)
