"""The nonces that a broker gives out: random, good for a while, a share for each asker, durable before they go out."""

from __future__ import annotations

from collections.abc import Callable

from quatrefoil.broker.clock import SteadyClock
from quatrefoil.broker.ledger import KEPT_S, Changes, Ledger, NonceRecord
from quatrefoil.broker.messages import Asker
from quatrefoil.enclave.binding import NONCE_BYTES

NONCE_S = 120
"""Seconds for which a nonce is good: hardware takes up to some seconds to make evidence."""

MOST_NONCES = 64
"""Of one asker at a time; with one more, its oldest is forgotten."""

SWEEP_S = 60
"""Seconds between two looks for leases that need not be remembered."""


class Nonces:
    """Those that are remembered, in the ledger and, to be counted, here; what is used of them ``once`` knows. With some
    of them, leases that ended long ago are forgotten."""

    def __init__(self, ledger: Ledger, clock: SteadyClock, random: Callable[[int], bytes]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._nonces = dict(ledger.nonces())
        self._swept = 0

    def give(self, asker: Asker) -> bytes:
        """32 random bytes for one request of ``asker``, good for :data:`NONCE_S` seconds; durable when it returns."""
        now = self._clock.now()
        nonce = self._random(NONCE_BYTES)
        record = NonceRecord(asker.name, asker.role, now + NONCE_S)
        gone = self._nonces_to_forget(asker, now)
        forgotten = [self._ledger.drop_nonce(one) for one in gone]
        self._ledger.commit(
            self._ledger.put_nonce(nonce, record), *forgotten, self._ended_leases(now), self._clock.mark()
        )
        for one in gone:
            del self._nonces[one]
        self._nonces[nonce] = record
        return nonce

    def _nonces_to_forget(self, asker: Asker, now: int) -> list[bytes]:
        """Those that have expired, and the asker's oldest beyond its share. What is forgotten is refused."""
        gone = [nonce for nonce, record in self._nonces.items() if now >= record.expires]
        whose = (asker.name, asker.role)
        own = [
            nonce
            for nonce, record in self._nonces.items()
            if now < record.expires and (record.asker, record.role) == whose
        ]
        return gone + own[: max(0, len(own) - MOST_NONCES + 1)]

    def _ended_leases(self, now: int) -> Changes:
        if now - self._swept < SWEEP_S:
            return {}
        self._swept = now
        ended = [one.lease.id for one in self._ledger.leases() if now >= one.lease.expires + KEPT_S]
        return {name: None for identifier in ended for name in self._ledger.drop_lease(identifier)}


__all__ = ["MOST_NONCES", "NONCE_S", "Nonces"]
