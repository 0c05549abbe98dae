"""What a broker does stands in its log before it stands in its state, and in both before it is given.

What is in the log and not in the state counts as done: so it does after a kill, and after a disk that was full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from quatrefoil.audit import Event, Log
from quatrefoil.broker.clock import SteadyClock
from quatrefoil.broker.ledger import Changes, Ledger
from quatrefoil.broker.messages import LONGEST_REASON, Asker
from quatrefoil.broker.recovery import take_in_log
from quatrefoil.broker.revocations import Revocations
from quatrefoil.errors import PeerError, PolicyError, QuatrefoilError, StateCorrupt


class Journal:
    """The log and the state of one broker, kept in step. A new one takes in first what the log knows alone."""

    def __init__(self, ledger: Ledger, log: Log, clock: SteadyClock, revoked: Revocations) -> None:
        self._ledger = ledger
        self._log = log
        self._clock = clock
        self._revoked = revoked
        self._torn = True  # as after a kill: the log may know more than the state
        self.mend()

    def commit(self, event: Event, *changes: Changes) -> None:
        """Log first, then store, together with how far the log is known."""
        self.mend()
        self._torn = True
        (entry,) = self._log.append_all([event])
        self._ledger.commit(*changes, self._ledger.take_in(entry.index + 1), self._clock.mark())
        self._torn = False

    def mend(self) -> None:
        """Where something was logged and then not stored (a full disk), what a start after a kill does: it counts."""
        if self._torn:
            take_in_log(self._ledger, self._log, self._clock, self._revoked)
            self._torn = False

    @contextmanager
    def refusals_logged(self, what: str, asker: Asker, about: Mapping[str, Any]) -> Iterator[None]:
        """What is refused inside is logged before it is raised."""
        try:
            yield
        except (PeerError, PolicyError, StateCorrupt) as refusal:
            self.commit(refusal_of(what, asker, refusal, about))
            raise


def refusal_of(what: str, asker: Asker, error: QuatrefoilError, about: Mapping[str, Any]) -> Event:
    """The entry of what was refused to whom, and why."""
    return Event("refusal", {"asked": what, "party": asker.name, "reason": error.problem[:LONGEST_REASON], **about})


__all__ = ["Journal", "refusal_of"]
