"""The broker: gives the keys of resources to measured code, under leases. No I/O: bytes in, bytes out.

Rules (docs/broker.md):

1. A key goes to a sealing key that accepted evidence commits to, and to nothing else. The policy that the evidence is
   held to is the one inside the statement that the owner signed; under another, the key does not open.
2. A nonce is used once. What became of it is durable, in the log and in the state, before it is given: the same request
   gets the same answer or refusal again, and another request with that nonce gets none.
3. The log comes before the state. What stands in the log and not in the state counts as used and was not given again.
4. A revocation counts from the moment it is durable in the state, and is logged afterwards, at the next start if
   need be.
5. Time does not go back (``clock.py``).
6. What is derived under a lease carries the policy of its parent unchanged, and goes where that policy lets it go.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from quatrefoil import attested, resources
from quatrefoil.audit import Event, Log
from quatrefoil.audit.leases import Lease, LeaseEvidence
from quatrefoil.broker import lists
from quatrefoil.broker.clock import SteadyClock
from quatrefoil.broker.deciding import Accepted, Judge
from quatrefoil.broker.journal import Journal
from quatrefoil.broker.ledger import (
    LeaseRecord,
    Ledger,
    revoker_of,
)
from quatrefoil.broker.messages import (
    DERIVE,
    INTRODUCE,
    RELEASE,
    RENEW,
    Asker,
    DeriveRequest,
    Introduction,
    Release,
    ReleaseRequest,
    RenewalRequest,
    purpose,
    release_context,
)
from quatrefoil.broker.nonces import Nonces
from quatrefoil.broker.once import Asked, Decided, Once
from quatrefoil.broker.registry import Registry, described, open_stage, wipe
from quatrefoil.broker.revocations import Revocations
from quatrefoil.broker.revoking import Revoking
from quatrefoil.contracts import TransportSecurity
from quatrefoil.enclave.binding import NONCE_BYTES, Keyset, report_data
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import CallerError, MessageRefused, PolicyError
from quatrefoil.resources import Stage
from quatrefoil.resources.policy import MOST_STAGES
from quatrefoil.state import State
from quatrefoil.transport.sealed.keys import RecipientKey, SealingPublicKey

ROLE = "broker"
Attester = Callable[[bytes], EvidenceSet]
"""Evidence of what runs here, bound to 32 bytes of report data."""


class Broker:
    """Every method returns bytes for whoever asks, or raises a ``QuatrefoilError``. One call at a time, but for
    :meth:`introduce`, which changes nothing.

    ``asker``: who the channel's peer is, as certified. ``exporter``: of that channel, and ``peer_key``: the TLS key
    that the peer showed on it (``attested.tls_key``); both ``b""`` where there is none.
    """

    def __init__(
        self,
        *,
        security: TransportSecurity,
        key: RecipientKey,
        keyset: Keyset,
        judge: Judge,
        attester: Attester | None,
        state: State,
        log: Log,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """``key``: what owners seal to; ``keyset``: the keys that this broker answers for, that one among them.
        ``attester``: None where this broker has nothing to show, which every introduction then says."""
        if keyset.sealing != attested.sealing_key(key.recipient.public):
            raise CallerError("the keyset is not of the broker's sealing key", hint="Make it with its public half")
        self._security = security
        self._operator = Asker(security.name, ROLE)
        self._keyset = keyset
        self._sealing = SealingPublicKey(keyset.sealing_suite, keyset.sealing_public)
        self._judge = judge
        self._attester = attester
        self._ledger = Ledger(state)
        self._registry = Registry(self._ledger, security, key)
        self._clock = SteadyClock(state, clock)
        self._revoked = Revocations(self._ledger.revocations())
        self._journal = Journal(self._ledger, log, self._clock, self._revoked)
        self._revoking = Revoking(
            self._ledger,
            self._revoked,
            self._journal,
            security=security,
            operator=self._operator,
            clock=self._clock,
        )
        self._nonces = Nonces(self._ledger, self._clock, random)
        self._once = Once(self._ledger, self._registry, self._revoked, self._journal)

    # ------------------------------------------------------------------------------------------------- introductions

    def introduce(self, nonce: bytes, *, exporter: bytes) -> bytes:
        """A signed :class:`Introduction`: what to seal to, with evidence of what runs here where it is collected."""
        if len(nonce) != NONCE_BYTES:
            raise MessageRefused(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}", hint="Draw 32 random bytes")
        evidence = b""
        if self._attester is not None:
            evidence = self._attester(report_data(self._keyset, nonce, exporter, purpose(INTRODUCE))).encode()
        certificate = self._security.sign(self._sealing.encode())
        return self._security.sign(Introduction(nonce, self._keyset, evidence, certificate).encode())

    def nonce(self, asker: Asker) -> bytes:
        """32 random bytes for one request of ``asker``, good for :data:`NONCE_S` seconds; durable when it returns."""
        return self._nonces.give(asker)

    # ----------------------------------------------------------------------------------------------------- resources

    def register(self, signed: bytes, sealed_key: bytes, *, asker: Asker) -> bytes:
        """The signed ``Registered`` for an owner's resource and its key, sealed to this broker. The same again gives
        the same answer."""
        now = self._clock.now()
        about = {"resource": hashlib.sha256(signed).hexdigest()}
        with self._journal.refusals_logged("register", asker, about):
            owned = self._registry.verified(signed, asker)
            if owned.resource.parent:
                raise MessageRefused(
                    "a derived resource is handed in under the lease that it was made with", hint="Hand it in so"
                )
            if (answer := self._registry.again(owned, sealed_key)) is not None:
                return answer
            record, event = self._registry.new(owned, sealed_key, asker, now)
        self._journal.commit(event, self._registry.changes(owned, record))
        return record.answer

    def derive(self, request: bytes, *, asker: Asker, exporter: bytes, peer_key: bytes) -> bytes:
        """The signed ``Registered`` for a :class:`DeriveRequest`: what code under a lease puts out."""
        wanted = DeriveRequest.decode(request)
        about = {"lease": wanted.lease.hex(), "resource": hashlib.sha256(wanted.resource).hexdigest()}
        asked = self._asked(wanted.nonce, request, asker, exporter, peer_key)
        return self._once.decide(asked, DERIVE, about, lambda: self._derive(asked, wanted))

    def _derive(self, asked: Asked, wanted: DeriveRequest) -> Decided:
        lease = self._held(wanted.lease, wanted.keyset, asked)
        child = self._registry.verified(wanted.resource, asked.asker)
        parent_record, parent = self._registry.known(lease.resource)
        if len(self._registry.chain(lease.resource)) >= MOST_STAGES:
            raise MessageRefused("a resource derives from too many others", hint=f"At most {MOST_STAGES}")
        resources.check_derived(parent, lease.stage, child.resource)
        self._still(lease, wanted.keyset, wanted.evidence, purpose(DERIVE, child.digest), asked)
        under = {"lease": lease.id.hex(), "stage": lease.stage, "nonce": asked.nonce.hex()}
        if (answer := self._registry.again(child, wanted.sealed_key)) is not None:
            return Decided(answer, Event("resource", described(child) | under | {"again": True}), {})
        record, event = self._registry.new(child, wanted.sealed_key, revoker_of(parent_record), asked.now, **under)
        return Decided(record.answer, event, self._registry.changes(child, record))

    # ------------------------------------------------------------------------------------------- releases and leases

    def release(self, request: bytes, *, asker: Asker, exporter: bytes, peer_key: bytes) -> bytes:
        """The encoded :class:`Release` for a :class:`ReleaseRequest`."""
        wanted = ReleaseRequest.decode(request)
        about = {"resource": wanted.resource.hex(), "stage": wanted.stage}
        asked = self._asked(wanted.nonce, request, asker, exporter, peer_key)
        return self._once.decide(asked, RELEASE, about, lambda: self._release(asked, wanted))

    def _release(self, asked: Asked, wanted: ReleaseRequest) -> Decided:
        record, owned = self._registry.known(wanted.resource)
        chain = self._registry.chain(wanted.resource)
        self._revoked.require_none(chain)
        stage = open_stage(owned, wanted.stage)
        presented = asked.presented(wanted.keyset, wanted.evidence, wanted.purpose)
        accepted = self._judge.accept(presented, stage.appraisal, asked.now)
        self._revoked.require_none(chain, claims=accepted.claims)
        lease = Lease(
            id=hashlib.sha256(asked.request).digest(),
            number=0,
            resource=wanted.resource,
            holder=asked.asker.name,
            role=asked.asker.role,
            policy=owned.policy.digest(),
            **_granted(wanted.keyset, stage, accepted, asked),
        )
        key = self._registry.open_key(record, owned)
        try:
            sealed = self._security.seal(accepted.recipient, key, context=release_context(lease))
        finally:
            wipe(key)
        return self._lease(lease, accepted, sealed, asked)

    def renew(self, request: bytes, *, asker: Asker, exporter: bytes, peer_key: bytes) -> bytes:
        """The encoded :class:`Release`, without a key, for a :class:`RenewalRequest`."""
        wanted = RenewalRequest.decode(request)
        asked = self._asked(wanted.nonce, request, asker, exporter, peer_key)
        return self._once.decide(asked, RENEW, {"lease": wanted.lease.hex()}, lambda: self._renew(asked, wanted))

    def _renew(self, asked: Asked, wanted: RenewalRequest) -> Decided:
        lease = self._held(wanted.lease, wanted.keyset, asked)
        if not lease.renewable:
            raise PolicyError("the owner's policy lets nobody renew this lease", hint="Wipe the key when it ends")
        stage, accepted = self._still(lease, wanted.keyset, wanted.evidence, wanted.purpose, asked)
        renewed = replace(lease, number=lease.number + 1, **_granted(wanted.keyset, stage, accepted, asked))
        return self._lease(renewed, accepted, b"", asked)

    def _lease(self, lease: Lease, accepted: Accepted, sealed_key: bytes, asked: Asked) -> Decided:
        signed = self._security.sign(lease.encode())
        body = lease.entry() | {"exporter": asked.exporter.hex(), "checks": accepted.checks}
        event = Event("lease", body, {"evidence": LeaseEvidence(signed, asked.request).encode()})
        changes = self._ledger.put_lease(LeaseRecord(lease, accepted.claims))
        return Decided(Release(signed, sealed_key).encode(), event, changes, lease.id)

    def _held(self, identifier: bytes, keyset: Keyset, asked: Asked) -> Lease:
        """The lease, if it is the asker's, was given to this keyset and has not ended."""
        record = self._ledger.lease(identifier)
        if record is None or Asker(record.lease.holder, record.lease.role) != asked.asker:
            raise MessageRefused("you hold no such lease here", hint="Ask for the key anew")
        lease = record.lease
        if asked.now >= lease.expires:
            raise PolicyError(
                f"the lease ended at {SteadyClock.date(lease.expires)}", hint="Wipe the key, and ask for it anew"
            )
        if keyset.digest() != lease.keyset:
            raise MessageRefused(
                "the lease was given to another keyset", hint="Use the keyset of the release, or ask for the key anew"
            )
        return lease

    def _still(
        self, lease: Lease, keyset: Keyset, evidence: bytes, purpose_of: str, asked: Asked
    ) -> tuple[Stage, Accepted]:
        """Whether the holder of a lease is, by fresh evidence, still what the policy accepts."""
        chain = self._registry.chain(lease.resource)
        self._revoked.require_none(chain, lease=lease.id)
        _, owned = self._registry.known(lease.resource)
        stage = open_stage(owned, lease.stage)
        presented = asked.presented(keyset, evidence, purpose_of)
        accepted = self._judge.accept(presented, stage.appraisal, asked.now)
        self._revoked.require_none(chain, lease=lease.id, claims=accepted.claims)
        return stage, accepted

    # --------------------------------------------------------------------------------------------------- revocations

    def revoke(self, signed: bytes) -> None:
        """Take a signed :class:`Revocation` in. It is durable, and in the log, when this returns; the same again
        changes nothing. ``PolicyError`` where it is not the signer's to revoke."""
        self._revoking.revoke(signed)

    # --------------------------------------------------------------------------------------------------------- lists

    def leases(self, asker: Asker) -> bytes:
        """An encoded ``LeaseList``: to the operator of all, to others of their resources and of those they hold."""
        now = self._clock.earliest()
        return lists.leases(self._ledger, self._registry, self._revoked, now, asker, self._operator).encode()

    def resources(self, asker: Asker) -> bytes:
        """An encoded ``ResourceList``: to the operator of all, to others of those that they own or may revoke."""
        return lists.resources(self._ledger, self._registry, self._revoked, asker, self._operator).encode()

    # ------------------------------------------------------------------------------------------------------- details

    def _asked(self, nonce: bytes, request: bytes, asker: Asker, exporter: bytes, peer_key: bytes) -> Asked:
        return Asked(nonce, request, asker, exporter, peer_key, self._clock.now())


def _granted(keyset: Keyset, stage: Stage, accepted: Accepted, asked: Asked) -> dict[str, Any]:
    """What of a lease is said anew at each renewal. It ends before the keyset that it was given to."""
    claims = accepted.verdict.claims
    return {
        "stage": stage.name,
        "keyset": keyset.digest(),
        "nonce": asked.nonce,
        "appraisal": accepted.verdict.policy_sha256,
        "kind": claims.kind,
        "root": claims.root[:256],
        "isolation": claims.isolation,
        "granted": asked.now,
        "expires": min(asked.now + stage.longest_lease_s, keyset.expires),
        "renewable": stage.renewal == "allowed",
    }


__all__ = ["ROLE", "Attester", "Broker"]
