"""Contributions of hundreds of silos: their proofs verified beside each other, a few of them in memory at a time.

Examining and adding is the aggregator's, in the thread that drives it; only the proof is looked at elsewhere. Whatever
the order in which proofs are done, contributions are admitted in the order in which they came, so that a run is the
same whatever verifies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future

from quatrefoil.errors import CallerError, PeerError
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.proving import Verified
from quatrefoil.federation.receiving import Arrived

OnAdmitted = Callable[[str], None]
OnRefused = Callable[[str, PeerError], None]


class Intake:
    """Takes the contributions to one open attempt of ``aggregator``. ``executor`` verifies; at most ``most``
    contributions are here that are not in the sum yet. Silos are named to ``on_admitted`` and ``on_refused`` as it
    becomes known; what is refused of one stops no other."""

    def __init__(
        self, aggregator: Aggregator, executor: Executor, *, most: int, on_admitted: OnAdmitted, on_refused: OnRefused
    ) -> None:
        if most < 1:
            raise CallerError(f"{most} contributions at a time are none", hint="Take at least 1")
        self._aggregator = aggregator
        self._executor = executor
        self._most = most
        self._on_admitted = on_admitted
        self._on_refused = on_refused
        self._waiting: deque[tuple[Arrived, Future[Verified]]] = deque()

    def take(self, name: str, message: bytes) -> None:
        """What the silo called ``name`` delivered. Returns once there is room for another."""
        try:
            arrived = self._aggregator.examine(name, message)
        except PeerError as error:
            self._on_refused(name, error)
            return
        if arrived is None:
            self._on_admitted(name)
            return
        self._waiting.append((arrived, self._executor.submit(arrived.verify)))
        while len(self._waiting) >= self._most or (self._waiting and self._waiting[0][1].done()):
            self._admit_first()

    def finish(self) -> None:
        """Returns once everything that was taken is in the sum or refused."""
        while self._waiting:
            self._admit_first()

    def _admit_first(self) -> None:
        arrived, verified = self._waiting.popleft()
        try:
            self._aggregator.admit(arrived, verified.result)
        except PeerError as error:
            self._on_refused(arrived.name, error)
        else:
            self._on_admitted(arrived.name)


__all__ = ["Intake"]
