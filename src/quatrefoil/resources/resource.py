"""A resource: what is protected, whose it is, and the policy under which its key may be released.

The owner signs all of it in one statement, whose SHA-256 names the resource from then on. The statement commits to the
key, so that neither the owner nor whoever passes it on can give different keys to different parties under one name.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from quatrefoil.configuration import FieldInvalid, check_name, check_range
from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import CallerError, MessageRefused, PolicyInvalid
from quatrefoil.resources.kinds import KINDS
from quatrefoil.resources.policy import ReleasePolicy
from quatrefoil.wire import WireObject

KEY = 32
"""Bytes of a resource's key."""

LARGEST_SERIAL = (1 << 63) - 1
LATEST = 253402300799
"""The last second of the year 9999."""

_AGAIN = "Ask its owner for the resource again"


@dataclass(frozen=True)
class Resource(WireObject):
    """The body of the owner's statement. Building one that contradicts itself is ``PolicyInvalid``."""

    TYPE: ClassVar[str] = "urn:quatrefoil:resource"

    kind: str
    """From :data:`KINDS`."""
    name: str
    serial: int
    """Counts the owner's resources of this name: a reader that has seen one takes none with a lower number."""
    made_at: int
    """Seconds since 1970, by the clock of whoever signs."""
    content: bytes
    """32 bytes: the Merkle root of the content; empty where the resource is a key and nothing else."""
    commitment: bytes
    """What :func:`key_commitment` gives for the key."""
    stages: tuple[str, ...]
    """Stages of the policy to which the key may be released, sorted."""
    policy: bytes
    """Canonical bytes of a :class:`ReleasePolicy`."""
    parent: bytes
    """SHA-256 of the signed resource that this one was derived from; empty for an owner's own."""

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if self.kind not in KINDS:
            raise FieldInvalid("kind", f"{self.kind[:40]!r} is no kind of resource", hint=f"Use {', '.join(KINDS)}")
        check_range("serial", self.serial, 1, LARGEST_SERIAL)
        check_range("made_at", self.made_at, 0, LATEST)
        wanted = 32 if KINDS[self.kind] else 0
        for field, value, lengths in (
            ("content", self.content, (wanted,)),
            ("commitment", self.commitment, (32,)),
            ("parent", self.parent, (0, 32)),
        ):
            if len(value) not in lengths:
                said = " or ".join(map(str, lengths))
                raise FieldInvalid(field, f"has {len(value)} bytes, not {said}", hint="Give a SHA-256")
        self._check_stages(self.release_policy())

    def release_policy(self) -> ReleasePolicy:
        """The policy inside."""
        try:
            return ReleasePolicy.decode(self.policy)
        except MessageRefused as refused:
            raise FieldInvalid("policy", refused.problem, hint=refused.hint) from None

    def _check_stages(self, policy: ReleasePolicy) -> None:
        known = {stage.name for stage in policy.stages} if self.parent else set(policy.entry)
        if not self.stages or list(self.stages) != sorted(set(self.stages)):
            raise FieldInvalid("stages", "is empty, not sorted, or repeats a name", hint="Name each stage once")
        for name in self.stages:
            if name not in known:
                raise FieldInvalid(
                    "stages", f"{name[:40]!r} is not open to this resource", hint=f"Open are {', '.join(sorted(known))}"
                )

    @classmethod
    def _from_cbor(cls, value: Any) -> Self:
        """What a peer sent and contradicts itself is the peer's fault: ``MessageRefused``."""
        try:
            return super()._from_cbor(value)
        except PolicyInvalid as error:
            raise MessageRefused(f"Resource.{error.problem}", hint=_AGAIN) from None


@dataclass(frozen=True)
class OwnedResource:
    """A resource whose owner's signature has been verified. ``signed``: the statement, as it was given."""

    resource: Resource
    policy: ReleasePolicy
    owner: VerifiedStatement
    signed: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the signed statement: names this resource everywhere."""
        return hashlib.sha256(self.signed).digest()

    def require_key(self, key: bytes | bytearray) -> None:
        """``MessageRefused`` unless ``key`` is the one that the owner's statement commits to."""
        if len(key) != KEY or not hmac.compare_digest(key_commitment(key), self.resource.commitment):
            raise MessageRefused(
                f"the key is not the one that {self.owner.signer!r} committed to for {self.resource.name!r}",
                hint=_AGAIN,
                party=self.owner.signer,
            )


def key_commitment(key: bytes | bytearray) -> bytes:
    """32 bytes that no second key gives, and that say nothing of a random key (HKDF, RFC 5869, with SHA-384)."""
    if len(key) != KEY:
        raise CallerError(f"the key of a resource has {KEY} bytes, not {len(key)}", hint="Make it with os.urandom(32)")
    info = b"quatrefoil resource 1 commitment"
    return HKDF(algorithm=hashes.SHA384(), length=32, salt=None, info=info).derive(key)


def sign(resource: Resource, signing: Callable[[bytes], bytes]) -> bytes:
    """The owner's statement. ``signing``: ``TransportSecurity.sign``, or ``transport.statement.sign`` of an identity.

    Signatures are randomised: two statements about one resource have different digests, and are two resources.
    """
    return signing(resource.encode())


def verify(signed: bytes, verifying: Callable[[bytes], VerifiedStatement]) -> OwnedResource:
    """The resource in an owner's statement, or ``MessageRefused``.

    ``verifying``: ``TransportSecurity.verify``, which judges the owner's certificate now; for what is kept longer than
    certificates live, ``transport.statement.verify`` at the claimed time.
    """
    owner = verifying(signed)
    resource = Resource.decode(owner.body)
    return OwnedResource(resource, resource.release_policy(), owner, bytes(signed))


__all__ = ["KEY", "KINDS", "OwnedResource", "Resource", "key_commitment", "sign", "verify"]
