"""The broker: gives the keys of resources to measured code, under leases. No I/O: bytes in, bytes out.

Rules (docs/broker.md):

1. A key goes to a sealing key that accepted evidence commits to, and to nothing else; the policy that the evidence is
   held to is the one inside the statement that the owner signed, and under another the key does not open.
2. A nonce is used once. What became of it is durable, in the log and in the state, before it is given: the same request
   gets the same answer or refusal again, and another request with that nonce gets none.
3. The log comes before the state. What stands in the log and not in the state was never given, and is taken as used.
4. A revocation counts from the moment it is durable in the state, and is logged afterwards, at the next start
   if need be.
5. Time does not go back (``clock.py``).
6. What is derived under a lease carries the policy of its parent unchanged, and goes where that policy lets it go.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from quatrefoil import errors, resources
from quatrefoil.audit import Event, Log
from quatrefoil.audit.leases import Lease
from quatrefoil.broker import messages
from quatrefoil.broker.clock import SteadyClock
from quatrefoil.broker.deciding import Accepted, Bound, accept, sealing_identifiers
from quatrefoil.broker.ledger import (
    KEPT_S,
    Changes,
    LeaseRecord,
    Ledger,
    NonceRecord,
    ResourceRecord,
    RevocationRecord,
    owner_of,
    revoker_of,
    used,
)
from quatrefoil.broker.messages import (
    LONGEST_REASON,
    Asker,
    DeriveRequest,
    Introduction,
    LeaseList,
    LeaseShown,
    Registered,
    Release,
    ReleaseRequest,
    RenewalRequest,
    ResourceList,
    ResourceShown,
    Revocation,
    purpose,
    release_context,
)
from quatrefoil.broker.recovery import take_in_log
from quatrefoil.broker.revocations import Revocations
from quatrefoil.contracts import TransportSecurity, VerifiedStatement
from quatrefoil.enclave.binding import NONCE_BYTES, Keyset, report_data
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import MessageRefused, PeerError, PolicyError, QuatrefoilError, StateCorrupt
from quatrefoil.resources import OwnedResource, Resource, Stage
from quatrefoil.resources.policy import MOST_STAGES
from quatrefoil.state import State
from quatrefoil.transport.sealed import RecipientKey
from quatrefoil.transport.statement import body_of

ROLE = "broker"
NONCE_S = 120
"""Seconds for which a nonce is good: hardware takes up to some seconds to make evidence."""

MOST_NONCES = 64
"""Of one asker at a time; with one more, its oldest is forgotten."""

Random = Callable[[int], bytes]
Attester = Callable[[bytes], EvidenceSet]
"""Evidence of what runs here, bound to 32 bytes of report data."""


@dataclass(frozen=True)
class _Decided:
    """What a request leads to: ``answer`` and ``changes`` once ``event`` is in the log."""

    answer: bytes
    event: Event
    changes: Changes
    lease: bytes = b""


@dataclass(frozen=True)
class _Asked:
    """A request that is being decided."""

    nonce: bytes
    request: bytes
    asker: Asker
    exporter: bytes
    now: int
    what: str
    about: dict[str, str] = field(default_factory=dict)


class Broker:
    """Every method returns bytes for whoever asks, or raises a ``QuatrefoilError``. One call at a time.

    ``asker``: who the channel's peer is, as certified. ``exporter``: of that channel; ``b""`` where there is none.
    """

    def __init__(
        self,
        *,
        security: TransportSecurity,
        key: RecipientKey,
        keyset: Keyset,
        collateral: Callable[[], Collateral],
        attester: Attester | None,
        state: State,
        log: Log,
        clock: Callable[[], datetime],
        random: Random = os.urandom,
    ) -> None:
        """``key``: what owners seal to, and ``keyset`` the keys that this broker answers for, that one among them.
        ``collateral``: what evidence is verified with, asked anew each time. ``attester``: None where this broker has
        nothing to show, which every introduction then says."""
        if keyset.sealing != sealing_identifiers(key.recipient.public) + key.recipient.public:
            raise errors.CallerError(
                "the keyset is not of the broker's sealing key", hint="Make it with its public half"
            )
        self._security = security
        self._operator = Asker(security.name, ROLE)
        self._key = key
        self._keyset = keyset
        self._collateral = collateral
        self._attester = attester
        self._ledger = Ledger(state)
        self._log = log
        self._clock = SteadyClock(state, clock)
        self._random = random
        self._revoked = Revocations(self._ledger.revocations())
        take_in_log(self._ledger, self._log, self._clock, self._revoked)
        for record in self._revoked.not_logged():
            self._log_revocation(record)
        self._nonces = dict(self._ledger.nonces())
        self._swept = 0

    # ------------------------------------------------------------------------------------------------- introductions

    def introduce(self, nonce: bytes, *, exporter: bytes) -> bytes:
        """A signed :class:`Introduction`: what to seal to, with evidence of what runs here where it is collected."""
        if len(nonce) != NONCE_BYTES:
            raise MessageRefused(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}", hint="Draw 32 random bytes")
        evidence = b""
        if self._attester is not None:
            data = report_data(self._keyset, nonce, exporter, purpose(messages.INTRODUCE))
            evidence = self._attester(data).encode()
        return self._security.sign(Introduction(nonce, self._keyset, evidence).encode())

    def nonce(self, asker: Asker) -> bytes:
        """32 random bytes for one request of ``asker``, good for :data:`NONCE_S` seconds; durable when it returns."""
        now = self._clock.now()
        nonce = self._random(NONCE_BYTES)
        record = NonceRecord(asker.name, asker.role, now + NONCE_S)
        gone = self._outdated_nonces(asker, now)
        changes = self._ledger.put_nonce(nonce, record)
        self._ledger.commit(changes, *map(self._ledger.drop_nonce, gone), self._ended_leases(now), self._clock.mark())
        for one in gone:
            del self._nonces[one]
        self._nonces[nonce] = record
        return nonce

    def _outdated_nonces(self, asker: Asker, now: int) -> list[bytes]:
        gone = [nonce for nonce, record in self._nonces.items() if now >= record.expires]
        mine = [
            nonce
            for nonce, record in self._nonces.items()
            if now < record.expires and (record.asker, record.role) == (asker.name, asker.role)
        ]
        return gone + mine[: max(0, len(mine) - MOST_NONCES + 1)]

    def _ended_leases(self, now: int) -> Changes:
        """Leases that are remembered no longer; looked for once a minute."""
        if now - self._swept < 60:
            return {}
        self._swept = now
        ended = [one.lease.id for one in self._ledger.leases() if now >= one.lease.expires + KEPT_S]
        return {name: None for identifier in ended for name in self._ledger.drop_lease(identifier)}

    # ----------------------------------------------------------------------------------------------------- resources

    def register(self, signed: bytes, sealed_key: bytes, *, asker: Asker) -> bytes:
        """The signed :class:`Registered` for an owner's resource and the key that is sealed to this broker. The same
        again gives the same answer."""
        now = self._clock.now()
        owned = resources.verify(signed, self._security.verify)
        with self._refusals_logged("register", asker, {"resource": owned.digest.hex()}):
            if (owned.owner.signer, owned.owner.role) != (asker.name, asker.role):
                raise MessageRefused(
                    f"the resource is signed by {owned.owner.role} {owned.owner.signer}, not by {asker}",
                    hint="Let its owner register it",
                    party=asker.name,
                )
            if owned.resource.parent:
                raise MessageRefused(
                    "a derived resource is handed in under the lease that it was made with", hint="Use `derive`"
                )
            if (known := self._ledger.resource(owned.digest)) is not None:
                return _registered_again(known, sealed_key)
            record, event = self._registration(owned, sealed_key, asker, now)
        self._commit(event, self._ledger.put_resource(owned.digest, record))
        return record.answer

    def _registration(
        self, owned: OwnedResource, sealed_key: bytes, revoker: Asker, now: int, **under: str
    ) -> tuple[ResourceRecord, Event]:
        """The record of a resource whose key opens here, and its event."""
        _wipe(resources.open_key(owned, sealed_key, self._key))
        sha256 = hashlib.sha256(sealed_key).digest()
        answer = self._security.sign(Registered(owned.digest, sha256, now).encode())
        body = {
            "resource": owned.digest.hex(),
            "what": owned.resource.kind,
            "name": owned.resource.name,
            "owner": owned.owner.signer,
            "policy": owned.policy.digest().hex(),
            "parent": owned.resource.parent.hex(),
            **under,
        }
        record = ResourceRecord(
            owned.signed,
            sealed_key,
            owned.owner.signer,
            owned.owner.role,
            owned.owner.fingerprint,
            revoker.name,
            revoker.role,
            now,
            answer,
        )
        return record, Event("resource", body, {"resource": owned.signed})

    # ------------------------------------------------------------------------------------------- releases and leases

    def release(self, request: bytes, *, asker: Asker, exporter: bytes) -> bytes:
        """The encoded :class:`Release` for a :class:`ReleaseRequest`."""
        wanted = ReleaseRequest.decode(request)
        about = {"resource": wanted.resource.hex(), "stage": _printable(wanted.stage)}
        return self._once(
            wanted.nonce, request, asker, exporter, messages.RELEASE, about, lambda asked: self._release(asked, wanted)
        )

    def _release(self, asked: _Asked, wanted: ReleaseRequest) -> _Decided:
        record, owned = self._known(wanted.resource)
        chain = self._chain(wanted.resource)
        self._revoked.require_none(chain)
        stage = _open_stage(owned, wanted.stage)
        bound = Bound(wanted.keyset, wanted.nonce, asked.exporter, wanted.purpose)
        accepted = accept(wanted.evidence, bound, stage.appraisal, self._collateral(), asked.now)
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
        try:
            key = resources.open_key(owned, record.sealed_key, self._key)
        except MessageRefused as damaged:
            # It opened when it was registered: since then somebody has changed what is stored.
            raise StateCorrupt(
                f"the key stored for resource {wanted.resource.hex()[:16]} does not open: {damaged.problem}",
                hint="Somebody changed the broker's state: find out who, and have the owner register it again",
            ) from None
        try:
            sealed = self._security.seal(wanted.keyset.sealing_public, key, context=release_context(lease))
        finally:
            _wipe(key)
        return self._lease(lease, accepted, sealed, asked)

    def renew(self, request: bytes, *, asker: Asker, exporter: bytes) -> bytes:
        """The encoded :class:`Release`, without a key, for a :class:`RenewalRequest`."""
        wanted = RenewalRequest.decode(request)
        about = {"lease": wanted.lease.hex()}
        return self._once(
            wanted.nonce, request, asker, exporter, messages.RENEW, about, lambda asked: self._renew(asked, wanted)
        )

    def _renew(self, asked: _Asked, wanted: RenewalRequest) -> _Decided:
        lease = self._held(wanted.lease, wanted.keyset, asked)
        stage, accepted = self._still(lease, wanted.keyset, wanted.evidence, wanted.purpose, asked)
        if not lease.renewable:
            raise PolicyError(
                "the owner's policy does not let this lease be renewed", hint="Wipe the key, and ask for it anew"
            )
        renewed = replace(lease, number=lease.number + 1, **_granted(wanted.keyset, stage, accepted, asked))
        return self._lease(renewed, accepted, b"", asked)

    def _lease(self, lease: Lease, accepted: Accepted, sealed_key: bytes, asked: _Asked) -> _Decided:
        signed = self._security.sign(lease.encode())
        body = lease.entry() | {"exporter": asked.exporter.hex(), "checks": accepted.checks}
        answer = Release(signed, sealed_key).encode()
        event = Event("lease", body, {"lease": signed, "request": asked.request})
        return _Decided(answer, event, self._ledger.put_lease(LeaseRecord(lease, accepted.claims)), lease.id)

    # ------------------------------------------------------------------------------------------------------- derived

    def derive(self, request: bytes, *, asker: Asker, exporter: bytes) -> bytes:
        """The signed :class:`Registered` for a :class:`DeriveRequest`."""
        wanted = DeriveRequest.decode(request)
        about = {"lease": wanted.lease.hex(), "resource": hashlib.sha256(wanted.resource).hexdigest()}
        return self._once(
            wanted.nonce, request, asker, exporter, messages.DERIVE, about, lambda asked: self._derive(asked, wanted)
        )

    def _derive(self, asked: _Asked, wanted: DeriveRequest) -> _Decided:
        lease = self._held(wanted.lease, wanted.keyset, asked)
        child = resources.verify(wanted.resource, self._security.verify)
        if (child.owner.signer, child.owner.role) != (asked.asker.name, asked.asker.role):
            raise MessageRefused(
                f"the derived resource is signed by {child.owner.role} {child.owner.signer}, not by {asked.asker}",
                hint="Sign it with the identity that holds the lease",
            )
        parent_record, parent = self._known(lease.resource)
        if len(self._chain(lease.resource)) >= MOST_STAGES:
            raise MessageRefused("a resource derives from too many others", hint=f"At most {MOST_STAGES}")
        resources.check_derived(parent, lease.stage, child.resource)
        self._still(lease, wanted.keyset, wanted.evidence, purpose(messages.DERIVE, child.digest), asked)
        if (known := self._ledger.resource(child.digest)) is not None:
            # With a nonce of its own: the log shows that it was handed in twice, and nothing changes.
            answer = _registered_again(known, wanted.sealed_key)
            body = {"resource": child.digest.hex(), "lease": lease.id.hex(), "nonce": asked.nonce.hex()}
            shown = {"what": child.resource.kind, "name": child.resource.name, "policy": child.policy.digest().hex()}
            return _Decided(answer, Event("resource", body | shown | {"again": True}), {})
        under = {"lease": lease.id.hex(), "stage": lease.stage, "nonce": asked.nonce.hex()}
        record, event = self._registration(child, wanted.sealed_key, revoker_of(parent_record), asked.now, **under)
        return _Decided(record.answer, event, self._ledger.put_resource(child.digest, record))

    # --------------------------------------------------------------------------------------------------- revocations

    def revoke(self, signed: bytes) -> None:
        """Take a signed :class:`Revocation` in. It is durable, and in the log, when this returns; the same again
        changes nothing. ``PolicyError`` where it is not the signer's to revoke."""
        statement = self._security.verify(signed)
        wanted = Revocation.decode(statement.body)
        by = Asker(statement.signer, statement.role)
        if (known := self._revoked.get(wanted.digest())) is None:
            with self._refusals_logged("revoke", by, {"what": wanted.what, "value": wanted.value.hex()}):
                self._require_may_revoke(wanted, by)
            known = RevocationRecord(wanted, signed, by.name, by.role, self._clock.earliest(), logged=False)
            self._ledger.commit(self._ledger.put_revocation(known), self._clock.mark())
            self._revoked.add(known)
        if not known.logged:
            self._log_revocation(known)

    def _log_revocation(self, record: RevocationRecord) -> None:
        one = record.revocation
        body = {
            "what": one.what,
            "value": one.value.hex(),
            "of": f"{one.kind} {one.name}".strip(),
            "resource": one.resource.hex(),
            "by": record.by,
            "reason": one.reason,
        }
        logged = replace(record, logged=True)
        self._commit(Event("revocation", body, {"revocation": record.signed}), self._ledger.put_revocation(logged))
        self._revoked.add(logged)

    def _require_may_revoke(self, wanted: Revocation, by: Asker) -> None:
        if by == self._operator:
            return
        resource = wanted.value if wanted.what == "resource" else wanted.resource
        if wanted.what == "lease" and (held := self._ledger.lease(wanted.value)) is not None:
            resource = held.lease.resource
        record = self._ledger.resource(resource) if len(resource) == messages.DIGEST else None
        if record is None or revoker_of(record) != by:
            raise PolicyError(
                f"{by} may not revoke this {wanted.what} here",
                hint="A resource's owner revokes what concerns that resource, and the broker's operator everything",
            )

    # --------------------------------------------------------------------------------------------------------- lists

    def leases(self, asker: Asker) -> bytes:
        """An encoded :class:`LeaseList`: to the operator all, to others those of their resources and their own."""
        now = self._clock.earliest()
        shown = []
        for record in self._ledger.leases():
            lease = record.lease
            resource = self._ledger.resource(lease.resource)
            allowed = {self._operator, Asker(lease.holder, lease.role)}
            if asker in allowed or (resource is not None and revoker_of(resource) == asker):
                standing = "expired" if now >= lease.expires else "held"
                if self._revoked.reason(self._chain(lease.resource), lease=lease.id, claims=record.claims):
                    standing = "revoked"
                shown.append(LeaseShown(lease, standing))
        return LeaseList(tuple(shown)).encode()

    def resources(self, asker: Asker) -> bytes:
        """An encoded :class:`ResourceList`: to the operator of all, to others of those that they own or may revoke."""
        shown = []
        for digest, record in self._ledger.resources():
            if asker not in (self._operator, owner_of(record), revoker_of(record)):
                continue
            owned = _owned(record)
            resource = owned.resource
            revoked = self._revoked.reason(self._chain(digest)) is not None
            shown.append(
                ResourceShown(
                    digest,
                    resource.kind,
                    resource.name,
                    record.owner,
                    record.role,
                    resource.parent,
                    owned.policy.digest(),
                    resource.stages,
                    record.registered,
                    revoked,
                )
            )
        return ResourceList(tuple(shown)).encode()

    # ------------------------------------------------------------------------------------------------------- details

    def _once(
        self,
        nonce: bytes,
        request: bytes,
        asker: Asker,
        exporter: bytes,
        what: str,
        about: dict[str, str],
        decide: Callable[[_Asked], _Decided],
    ) -> bytes:
        """What ``decide`` says, once for a nonce: logged, then stored with the nonce, then given."""
        now = self._clock.now()
        record = self._ledger.nonce(nonce)
        if record is None or now >= record.expires or (record.asker, record.role) != (asker.name, asker.role):
            raise MessageRefused(
                "the nonce was not given to you here, or has expired", hint="Ask for a new nonce and collect anew"
            )
        if record.request:
            return self._again(record, request, now)
        try:
            decided = decide(_Asked(nonce, request, asker, exporter, now, what, about))
        except (PeerError, PolicyError, StateCorrupt) as refusal:
            told = (type(refusal).__name__, refusal.problem, refusal.hint)
            body = {"nonce": nonce.hex(), **about}
            burnt = self._ledger.put_nonce(nonce, used(record, request, refusal=told))
            self._commit(_refusal(what, asker, refusal, body), burnt)
            raise
        done = used(record, request, lease=decided.lease, answer=decided.answer)
        self._commit(decided.event, decided.changes, self._ledger.put_nonce(nonce, done))
        return decided.answer

    def _again(self, record: NonceRecord, request: bytes, now: int) -> bytes:
        """The answer that the same request got before, while what it gave still stands."""
        if record.request != hashlib.sha256(request).digest():
            raise MessageRefused("the nonce has been used", hint="Ask for a new nonce for each request")
        if record.refusal:
            kind, problem, hint = record.refusal
            raise _error(kind)(problem, hint=hint)
        if record.lease:
            held = self._ledger.lease(record.lease)
            if held is None or now >= held.lease.expires:
                raise PolicyError("the lease that this request got has ended", hint="Ask for the key anew")
            self._revoked.require_none(self._chain(held.lease.resource), lease=record.lease, claims=held.claims)
        return record.answer

    def _held(self, identifier: bytes, keyset: Keyset, asked: _Asked) -> Lease:
        """The lease, if it is the asker's, was given to this keyset and has not ended."""
        record = self._ledger.lease(identifier)
        if record is None or (record.lease.holder, record.lease.role) != (asked.asker.name, asked.asker.role):
            raise MessageRefused("you hold no such lease here", hint="Ask for the key anew")
        lease = record.lease
        if asked.now >= lease.expires:
            raise PolicyError(
                f"the lease ended at {SteadyClock.date(lease.expires)}", hint="Wipe the key, and ask for it anew"
            )
        if keyset.digest() != lease.keyset:
            raise MessageRefused(
                "the lease was given to another keyset", hint="Renew with the keyset of the release, or ask anew"
            )
        return lease

    def _still(
        self, lease: Lease, keyset: Keyset, evidence: bytes, purpose_of: str, asked: _Asked
    ) -> tuple[Stage, Accepted]:
        """Whether the holder of a lease is still what the policy accepts."""
        chain = self._chain(lease.resource)
        self._revoked.require_none(chain, lease=lease.id)
        _, owned = self._known(lease.resource)
        stage = _open_stage(owned, lease.stage)
        bound = Bound(keyset, asked.nonce, asked.exporter, purpose_of)
        accepted = accept(evidence, bound, stage.appraisal, self._collateral(), asked.now)
        self._revoked.require_none(chain, lease=lease.id, claims=accepted.claims)
        return stage, accepted

    def _known(self, digest: bytes) -> tuple[ResourceRecord, OwnedResource]:
        record = self._ledger.resource(digest)
        if record is None:
            raise MessageRefused(
                f"resource {digest.hex()[:16]} is not registered here", hint="Ask its owner to register it"
            )
        return record, _owned(record)

    def _chain(self, digest: bytes) -> Sequence[bytes]:
        """A resource and everything that it derives from."""
        chain = [digest]
        while (record := self._ledger.resource(chain[-1])) is not None and (parent := _owned(record).resource.parent):
            if len(chain) > MOST_STAGES:
                raise StateCorrupt("resources derive from each other in a circle", hint="Begin a new state")
            chain.append(parent)
        return chain

    def _commit(self, event: Event, *changes: Changes) -> None:
        """Log first, then store together with how far the log is known."""
        (entry,) = self._log.append_all([event])
        self._ledger.commit(*changes, self._ledger.take_in(entry.index + 1), self._clock.mark())

    def _refusals_logged(self, what: str, asker: Asker, about: dict[str, str]) -> _Refusals:
        return _Refusals(self, what, asker, about)


class _Refusals:
    """``with``: what is refused inside is logged before it is raised."""

    def __init__(self, broker: Broker, what: str, asker: Asker, about: dict[str, str]) -> None:
        self._broker, self._what, self._asker, self._about = broker, what, asker, about

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, PeerError | PolicyError | StateCorrupt):
            self._broker._commit(_refusal(self._what, self._asker, error, self._about))


def _refusal(what: str, asker: Asker, error: QuatrefoilError, about: dict[str, Any]) -> Event:
    return Event("refusal", {"asked": what, "party": asker.name, "reason": error.problem[:LONGEST_REASON], **about})


def _granted(keyset: Keyset, stage: Stage, accepted: Accepted, asked: _Asked) -> dict[str, Any]:
    """What of a lease is said anew at each renewal. It ends before the keyset that it was given to."""
    claims = accepted.verdict.claims
    return {
        "stage": stage.name,
        "keyset": keyset.digest(),
        "nonce": asked.nonce,
        "appraisal": accepted.verdict.policy_sha256,
        "kind": claims.kind,
        "root": claims.root,
        "isolation": claims.isolation,
        "granted": asked.now,
        "expires": min(asked.now + stage.longest_lease_s, keyset.expires),
        "renewable": stage.renewal == "allowed",
    }


def _open_stage(owned: OwnedResource, name: str) -> Stage:
    """The stage of the owner's policy, if this resource may be released to it."""
    stage = owned.policy.stage(name) if name in owned.resource.stages else None
    if stage is None:
        raise PolicyError(
            f"the owner's policy does not release {owned.resource.name!r} to the stage {_printable(name)!r}",
            hint=f"Stages: {', '.join(owned.resource.stages)}",
        )
    return stage


def _owned(record: ResourceRecord) -> OwnedResource:
    """The resource of a record, whose signature was verified when it was registered: its digest and its sealed key are
    bound to these very bytes."""
    body = body_of(record.signed)
    resource = Resource.decode(body)
    owner = VerifiedStatement(body, record.owner, record.role, record.fingerprint)
    return OwnedResource(resource, resource.release_policy(), owner, record.signed)


def _registered_again(known: ResourceRecord, sealed_key: bytes) -> bytes:
    if known.sealed_key != sealed_key:
        raise MessageRefused(
            "this resource is registered with another sealed key", hint="Sign the resource anew to seal its key anew"
        )
    return known.answer


def _error(name: str) -> type[QuatrefoilError]:
    kind = getattr(errors, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, QuatrefoilError) else MessageRefused


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:64]


def _wipe(key: bytearray) -> None:
    key[:] = bytes(len(key))


__all__ = ["MOST_NONCES", "NONCE_S", "ROLE", "Attester", "Broker"]
