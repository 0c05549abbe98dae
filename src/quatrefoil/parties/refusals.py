"""What a party refuses, told to its log and to people."""

from __future__ import annotations

import time
from collections.abc import Callable

from quatrefoil.audit import Log
from quatrefoil.errors import HostError, PeerError, QuatrefoilError
from quatrefoil.output import report


class Refusals:
    """What is refused to whoever connects, for the log and for people.

    Anybody can have a connection refused, so of a flood ``MOST_A_MINUTE`` are written: the next entry counts the rest.
    """

    MOST_A_MINUTE = 60

    def __init__(self, log: Log, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now = now
        self._minute = now()
        self._written = 0
        self._left_out = 0

    def connection(self, where: str, error: PeerError) -> None:
        """A connection from ``where``, refused in its handshake or ended by what it sent."""
        if self._now() - self._minute >= 60:
            self._minute, self._written = self._now(), 0
        if self._written >= self.MOST_A_MINUTE:
            self._left_out += 1
            return
        self._written += 1
        body: dict[str, object] = {"address": where, "reason": error.problem}
        if self._left_out:
            body["left_out"], self._left_out = self._left_out, 0
        report(f"refused {where}: {error}")
        try:
            self._log.append("refusal", body)
        except HostError as full:
            report(str(full))

    def question(self, asker: str, error: QuatrefoilError) -> None:
        """A certified party's question: what it does wrong in a round is logged where it is found."""
        report(f"{asker} was refused: {error}")


__all__ = ["Refusals"]
