"""One request for a nonce, decided once: the same request gets the same answer or refusal again, and another none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quatrefoil import errors
from quatrefoil.attested import Presented
from quatrefoil.audit import Event
from quatrefoil.broker.journal import Journal, refusal_of
from quatrefoil.broker.ledger import Changes, Ledger, NonceRecord, used
from quatrefoil.broker.messages import Asker
from quatrefoil.broker.registry import Registry
from quatrefoil.broker.revocations import Revocations
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import MessageRefused, PeerError, PolicyError, QuatrefoilError, StateCorrupt


@dataclass(frozen=True)
class Asked:
    """A request that is being decided."""

    nonce: bytes
    request: bytes
    asker: Asker
    exporter: bytes
    peer_key: bytes
    now: int

    def presented(self, keyset: Keyset, evidence: bytes, purpose_of: str) -> Presented:
        """What came with it, to be judged."""
        return Presented(keyset, evidence, self.nonce, purpose_of, self.exporter, self.peer_key)


@dataclass(frozen=True)
class Decided:
    """What a request leads to: ``answer`` and ``changes``, once ``event`` is in the log."""

    answer: bytes
    event: Event
    changes: Changes
    lease: bytes = b""


class Once:
    """Requests under nonces of one broker."""

    def __init__(self, ledger: Ledger, registry: Registry, revoked: Revocations, journal: Journal) -> None:
        self._ledger = ledger
        self._registry = registry
        self._revoked = revoked
        self._journal = journal

    def decide(self, asked: Asked, what: str, about: Mapping[str, Any], decide: Callable[[], Decided]) -> bytes:
        """What ``decide`` says, once for a nonce: logged, then stored with the nonce, then given."""
        self._journal.mend()
        record = self._ledger.nonce(asked.nonce)
        if record is None or asked.now >= record.expires or Asker(record.asker, record.role) != asked.asker:
            raise MessageRefused(
                "the nonce was not given to you here, or has expired", hint="Ask for a new nonce and collect anew"
            )
        if record.request:
            return self._again(record, asked)
        try:
            decided = decide()
        except (PeerError, PolicyError, StateCorrupt) as refusal:
            told = (type(refusal).__name__, refusal.problem, refusal.hint)
            burnt = self._ledger.put_nonce(asked.nonce, used(record, asked.request, refusal=told))
            self._journal.commit(refusal_of(what, asked.asker, refusal, {"nonce": asked.nonce.hex(), **about}), burnt)
            raise
        done = used(record, asked.request, lease=decided.lease, answer=decided.answer)
        self._journal.commit(decided.event, decided.changes, self._ledger.put_nonce(asked.nonce, done))
        return decided.answer

    def _again(self, record: NonceRecord, asked: Asked) -> bytes:
        """The answer that the same request got before, while what it gave still stands."""
        if record.request != hashlib.sha256(asked.request).digest():
            raise MessageRefused("the nonce has been used", hint="Ask for a new nonce for each request")
        if record.refusal:
            kind, problem, hint = record.refusal
            raise _error_class(kind)(problem, hint=hint)
        if record.lease:
            held = self._ledger.lease(record.lease)
            if held is None or asked.now >= held.lease.expires:
                raise PolicyError("the lease that this request got has ended", hint="Ask for the key anew")
            chain = self._registry.chain(held.lease.resource)
            self._revoked.require_none(chain, lease=record.lease, claims=held.claims)
        return record.answer


def _error_class(name: str) -> type[QuatrefoilError]:
    kind = getattr(errors, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, QuatrefoilError) else MessageRefused


__all__ = ["Asked", "Decided", "Once"]
