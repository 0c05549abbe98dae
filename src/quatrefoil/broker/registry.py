"""The resources whose keys a broker has: each as its owner signed it, with its key sealed under that very statement."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from quatrefoil import resources
from quatrefoil.audit import Event
from quatrefoil.broker.ledger import LARGEST_CACHED, Changes, Ledger, ResourceRecord
from quatrefoil.broker.messages import Asker, Registered
from quatrefoil.contracts import TransportSecurity, VerifiedStatement
from quatrefoil.errors import MessageRefused, PolicyError, StateCorrupt
from quatrefoil.resources import OwnedResource, Resource, Stage
from quatrefoil.resources.policy import MOST_STAGES
from quatrefoil.transport.sealed import RecipientKey
from quatrefoil.transport.statement import body_of

LARGEST_RESOURCE = 1 << 20
"""Bytes of a signed resource: its policy is read at each decision about it, while everybody else waits."""


class Registry:
    """Reads records and makes new ones; storing them is for whoever logs first."""

    def __init__(self, ledger: Ledger, security: TransportSecurity, key: RecipientKey) -> None:
        self._ledger = ledger
        self._security = security
        self._key = key

    def verified(self, signed: bytes, asker: Asker) -> OwnedResource:
        """A resource that ``asker`` signed and sends itself, so that nobody registers a key of his own for it."""
        if len(signed) > LARGEST_RESOURCE:
            raise MessageRefused(
                f"a signed resource of {len(signed)} bytes is over {LARGEST_RESOURCE}",
                hint="Name fewer stages or values in its release policy",
                party=asker.name,
            )
        owned = resources.verify(signed, self._security.verify)
        if (owned.owner.signer, owned.owner.role) != (asker.name, asker.role):
            raise MessageRefused(
                f"the resource is signed by {owned.owner.role} {owned.owner.signer}, not by {asker}",
                hint="Let whoever signed it send it",
                party=asker.name,
            )
        return owned

    def new(
        self, owned: OwnedResource, sealed_key: bytes, revoker: Asker, now: int, **under: str
    ) -> tuple[ResourceRecord, Event]:
        """The record of a resource, once its key has been seen to open here, and the event that says so."""
        wipe(resources.open_key(owned, sealed_key, self._key))
        digest = hashlib.sha256(sealed_key).digest()
        answer = self._security.sign(Registered(owned.digest, digest, now).encode())
        record = ResourceRecord(
            signed=owned.signed,
            sealed_key=sealed_key,
            owner=owned.owner.signer,
            role=owned.owner.role,
            fingerprint=owned.owner.fingerprint,
            revoker=revoker.name,
            revoker_role=revoker.role,
            registered=now,
            answer=answer,
        )
        return record, Event("resource", described(owned) | under, {"resource": owned.signed})

    def changes(self, owned: OwnedResource, record: ResourceRecord) -> Changes:
        return self._ledger.put_resource(owned.digest, record)

    def again(self, owned: OwnedResource, sealed_key: bytes) -> bytes | None:
        """The answer for a resource that is registered already; None where it is not."""
        record = self._ledger.resource(owned.digest)
        if record is not None and record.sealed_key != sealed_key:
            raise MessageRefused(
                "this resource is registered with another sealed key",
                hint="Sign the resource anew to seal its key anew",
            )
        return None if record is None else record.answer

    def known(self, digest: bytes) -> tuple[ResourceRecord, OwnedResource]:
        record = self._ledger.resource(digest)
        if record is None:
            raise MessageRefused(
                f"resource {digest.hex()[:16]} is not registered here", hint="Ask its owner to register it"
            )
        return record, owned_of(record)

    def chain(self, digest: bytes) -> Sequence[bytes]:
        """A resource and everything that it derives from. ``StateCorrupt`` where something of that is missing, of which
        nobody could say whether it was revoked."""
        chain = [digest]
        while True:
            record = self._ledger.resource(chain[-1])
            if record is None and len(chain) > 1:
                raise StateCorrupt(
                    f"resource {chain[-1].hex()[:16]}, from which others derive, is not in the state",
                    hint="Somebody took it out: begin a new state, and have owners register again",
                )
            parent = owned_of(record).resource.parent if record is not None else b""
            if not parent:
                return chain
            if len(chain) > MOST_STAGES:
                raise StateCorrupt("resources derive from each other in a circle", hint="Begin a new state")
            chain.append(parent)

    def open_key(self, record: ResourceRecord, owned: OwnedResource) -> bytearray:
        """The key, for the caller to wipe. It opened when it was registered: where it does not, what is stored has been
        changed since, and that is ``StateCorrupt``."""
        try:
            return resources.open_key(owned, record.sealed_key, self._key)
        except MessageRefused as changed:
            raise StateCorrupt(
                f"the key stored for resource {owned.digest.hex()[:16]} does not open: {changed.problem}",
                hint="Somebody changed the broker's state: find out who, and have the owner register it again",
            ) from None


def open_stage(owned: OwnedResource, name: str) -> Stage:
    """The stage of the owner's policy, if this resource may be released to it."""
    stage = owned.policy.stage(name) if name in owned.resource.stages else None
    if stage is None:
        raise PolicyError(
            f"the owner's policy does not release {owned.resource.name!r} to the stage {name[:64]!r}",
            hint=f"Its stages are {', '.join(owned.resource.stages)}",
        )
    return stage


def owned_of(record: ResourceRecord) -> OwnedResource:
    """The resource of a record, whose signature was verified when it was registered: its digest and its sealed key are
    bound to these very bytes."""
    return (_cached if len(record.signed) <= LARGEST_CACHED else _owned_of)(record)


def _owned_of(record: ResourceRecord) -> OwnedResource:
    body = body_of(record.signed)
    resource = Resource.decode(body)
    owner = VerifiedStatement(body, record.owner, record.role, record.fingerprint)
    return OwnedResource(resource, resource.release_policy(), owner, record.signed)


_cached = lru_cache(maxsize=256)(_owned_of)


def described(owned: OwnedResource) -> dict[str, object]:
    """What the log says of a resource."""
    return {
        "resource": owned.digest.hex(),
        "what": owned.resource.kind,
        "name": owned.resource.name,
        "owner": owned.owner.signer,
        "policy": owned.policy.digest().hex(),
        "parent": owned.resource.parent.hex(),
    }


def wipe(key: bytearray) -> None:
    key[:] = bytes(len(key))
