"""Code that holds a key under a lease: asks for it, renews in time, and wipes it when the lease is over. No I/O.

The lease's length counts from before the request was sent, on a clock that nobody sets and that goes on while the
machine sleeps: the key is gone here before the lease ends at the broker, whatever either's calendar says.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from quatrefoil import attested
from quatrefoil.audit.leases import Lease
from quatrefoil.broker.messages import (
    DERIVE,
    DeriveRequest,
    Release,
    ReleaseRequest,
    RenewalRequest,
    purpose,
    release_context,
)
from quatrefoil.contracts import Recipient, TransportSecurity
from quatrefoil.enclave.binding import Keyset, report_data
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import CallerError, LeaseEnded, MessageRefused, QuatrefoilError
from quatrefoil.resources import OwnedResource

CLOCK_SKEW_S = 300
"""Seconds by which a broker's clock may be behind ours without finding our keyset not good yet."""

Attester = Callable[[bytes], EvidenceSet]


def uptime() -> float:
    """Seconds that nobody sets, asleep or not."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True)
class _Pending:
    """A request that was made, and when."""

    request: bytes
    nonce: bytes
    at: float
    renewal: bool


class Holder:
    """One key, for one stage. Prints without it."""

    def __init__(
        self,
        resource: OwnedResource,
        stage: str,
        *,
        broker: str,
        security: TransportSecurity,
        attester: Attester,
        clock: Callable[[], datetime],
        tls_key: bytes,
        keyset_s: int,
        elapsed: Callable[[], float] = uptime,
    ) -> None:
        """``broker``: its certified name. ``tls_key``: of the channels to it (``attested.tls_key``), or ``b""`` without
        channels. ``keyset_s``: seconds for which the keys made here are good; a lease ends
        before them. ``CallerError`` where the owner's policy does not know ``stage``."""
        held = resource.policy.stage(stage)
        if held is None or stage not in resource.resource.stages:
            raise CallerError(
                f"{resource.resource.name!r} is not released to the stage {stage[:40]!r}",
                hint=f"Its stages are {', '.join(resource.resource.stages)}",
            )
        self._resource = resource
        self._stage = held
        self._broker = broker
        self._security = security
        self._attester = attester
        self._elapsed = elapsed
        self._recipient: Recipient = security.new_recipient()
        now = int(clock().timestamp())
        self._keyset = Keyset(
            sealing=attested.sealing_key(self._recipient.public),
            tls=tls_key,
            receipt=b"",
            not_before=now - CLOCK_SKEW_S,
            expires=now + keyset_s,
        )
        self._pending: _Pending | None = None
        self._lease: Lease | None = None
        self._key = bytearray()
        self._renew_at = self._deadline = 0.0
        self._ended = ""

    # -------------------------------------------------------------------------------------------------------- asking

    def request(self, nonce: bytes, *, exporter: bytes) -> bytes:
        """What to ask the broker with this nonce: for the key, or that the lease go on. ``LeaseEnded`` once it is over.
        Collecting evidence may take seconds."""
        self._require_open()
        at = self._elapsed()
        if self._lease is None:
            digest, stage = self._resource.digest, self._stage.name
            unsaid = ReleaseRequest(nonce, digest, stage, self._keyset, b"")
            evidence = self._attester(report_data(self._keyset, nonce, exporter, unsaid.purpose)).encode()
            request = ReleaseRequest(nonce, digest, stage, self._keyset, evidence).encode()
        else:
            renewal = RenewalRequest(nonce, self._lease.id, self._keyset, b"")
            evidence = self._attester(report_data(self._keyset, nonce, exporter, renewal.purpose)).encode()
            request = RenewalRequest(nonce, self._lease.id, self._keyset, evidence).encode()
        self._pending = _Pending(request, nonce, at, renewal=self._lease is not None)
        return request

    def accept(self, answer: bytes) -> Lease:
        """Take the broker's answer to the last :meth:`request`. What does not fit ends the lease, and is raised; so is
        ``LeaseEnded`` for a renewal that came too late."""
        self._require_open()
        pending, self._pending = self._pending, None
        if pending is None:
            raise CallerError("nothing was asked for", hint="Call request() first")
        try:
            release = Release.decode(answer)
            lease = self._checked(release, pending)
            if not pending.renewal:
                self._key = self._opened(release, lease)
        except QuatrefoilError as refusal:
            self.end(f"the broker's answer does not hold: {refusal.problem}")
            raise
        length = min(lease.expires - lease.granted, self._stage.longest_lease_s)
        self._lease, self._deadline = lease, pending.at + length
        self._renew_at = pending.at + length / 2
        return lease

    def derive(self, nonce: bytes, signed: bytes, sealed_key: bytes, *, exporter: bytes) -> bytes:
        """What to ask the broker to hand in a derived resource: signed, with its key sealed to the broker."""
        self._require_held()
        assert self._lease is not None
        purpose_of = purpose(DERIVE, hashlib.sha256(signed).digest())
        evidence = self._attester(report_data(self._keyset, nonce, exporter, purpose_of)).encode()
        return DeriveRequest(nonce, self._lease.id, self._keyset, evidence, signed, sealed_key).encode()

    def _checked(self, release: Release, pending: _Pending) -> Lease:
        said = self._security.verify(release.lease)
        if (said.signer, said.role) != (self._broker, "broker"):
            raise _not_ours(f"is signed by {said.role} {said.signer}")
        lease = Lease.decode(said.body)
        if (held := self._lease) is None:
            fits = (lease.id, lease.number) == (hashlib.sha256(pending.request).digest(), 0)
        else:  # answers may have been lost: numbers grow, and not by one
            fits = lease.id == held.id and lease.number > held.number
        if not fits or lease.nonce != pending.nonce:
            raise _not_ours("answers another request")
        if (lease.resource, lease.stage) != (self._resource.digest, self._stage.name):
            raise _not_ours("is for another resource or stage")
        if lease.keyset != self._keyset.digest():
            raise _not_ours("is for another keyset")
        if bool(release.sealed_key) == pending.renewal:
            raise _not_ours("has a key where none is due, or none where one is")
        return lease

    def _opened(self, release: Release, lease: Lease) -> bytearray:
        opened = self._recipient.open(release.sealed_key, context=release_context(lease))
        try:
            if (opened.sender.signer, opened.sender.role) != (self._broker, "broker"):
                raise _not_ours(f"has a key that {opened.sender.signer} sealed")
            self._resource.require_key(opened.plaintext)
        except MessageRefused:
            _overwrite(opened.plaintext)
            raise
        return opened.plaintext

    # ------------------------------------------------------------------------------------------------------- holding

    @property
    def key(self) -> bytearray:
        """The key, for use now: take it from here at each use and keep no copy. When the lease ends these very bytes
        are overwritten at random, so that what still uses them fails. ``LeaseEnded`` from then on."""
        self._require_held()
        return self._key

    @property
    def lease(self) -> Lease:
        """The lease as it stands."""
        self._require_held()
        assert self._lease is not None
        return self._lease

    @property
    def keyset(self) -> Keyset:
        return self._keyset

    @property
    def renew_in(self) -> float:
        """Seconds until it should be renewed; 0 where it is due. Half of a lease is left then, for a broker that is
        away. A lease that its policy does not let be renewed is never due."""
        self._require_held()
        assert self._lease is not None
        if not self._lease.renewable:
            return max(0.0, self._deadline - self._elapsed())
        return max(0.0, self._renew_at - self._elapsed())

    @property
    def renewable(self) -> bool:
        return self._lease is not None and self._lease.renewable

    @property
    def ends_in(self) -> float:
        """Seconds until the key is wiped."""
        self._require_held()
        return self._deadline - self._elapsed()

    def end(self, reason: str) -> None:
        """Wipe the key and what it was sealed to, for good. Does nothing the second time."""
        if not self._ended:
            self._ended = reason
        _overwrite(self._key)
        self._key = bytearray()
        self._recipient.wipe()

    def _require_held(self) -> None:
        self._require_open()
        if self._lease is None:
            raise CallerError("the key has not been released yet", hint="Ask the broker for it first")

    def _require_open(self) -> None:
        if not self._ended and self._lease is not None and self._elapsed() >= self._deadline:
            self.end("it was not renewed in time")
        if self._ended:
            raise LeaseEnded(f"the lease is over and its key is wiped: {self._ended}", hint="Ask for the key anew")

    def __repr__(self) -> str:
        state = "ended" if self._ended else "asking" if self._lease is None else "held"
        return f"Holder({self._resource.resource.name!r}, {self._stage.name!r}, {state}, key=<secret>)"


def _not_ours(problem: str) -> MessageRefused:
    return MessageRefused(f"the lease {problem}", hint="Ask the broker's operator, and keep the answer")


def _overwrite(key: bytearray) -> None:
    """At random and not with zeros: whoever encrypts with it at this moment must not do so under a known key."""
    key[:] = secrets.token_bytes(len(key))


__all__ = ["CLOCK_SKEW_S", "Holder", "uptime"]
