"""A clock that does not go back: leases, nonces and evidence are judged by the latest time that was ever written down.

A clock that is set back would prolong what has ended. So the broker writes the time beside everything that it stores,
and takes no earlier one: small steps back let time stand still, and larger ones stop it from releasing anything.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from quatrefoil.errors import HostError
from quatrefoil.state import State

NAME = "clock"
"""In the state: the latest time seen, seconds since 1970 as decimal text."""

TOLERATED_S = 60
"""Seconds that the clock may be behind what was written down: steps of time synchronisation are far smaller."""


class SteadyClock:
    """The time in whole seconds since 1970."""

    def __init__(self, state: State, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._latest = int(state.get(NAME) or b"0")

    def now(self) -> int:
        """For giving something out: ``HostError`` while this machine's clock is behind what was written down."""
        behind = self._latest - int(self._clock().timestamp())
        if behind > TOLERATED_S:
            raise HostError(
                f"this machine's clock is {behind} s behind {self.date(self._latest)}, which it has shown before",
                hint="Set it right: no key is released and no lease prolonged until it is",
            )
        return self.earliest()

    def earliest(self) -> int:
        """For taking something away: the latest time seen, whatever the clock says now."""
        self._latest = max(self._latest, int(self._clock().timestamp()))
        return self._latest

    def at_least(self, moment: int) -> None:
        """The time is ``moment`` or later: somebody wrote it down."""
        self._latest = max(self._latest, moment)

    def mark(self) -> dict[str, bytes]:
        """What is to be stored beside every change."""
        return {NAME: str(self._latest).encode()}

    @staticmethod
    def date(moment: int) -> str:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
