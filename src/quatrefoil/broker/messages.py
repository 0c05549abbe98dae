"""What is said between a broker, owners and code that runs under a lease. docs/broker.md specifies each.

A request carries everything that it is decided on but the channel's exporter, which each end takes from its own
channel: a request that was moved to another channel is bound to an exporter that this channel does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.appraisal.vocabulary import VOCABULARIES
from quatrefoil.audit.leases import Lease
from quatrefoil.enclave.binding import NONCE_BYTES, Keyset
from quatrefoil.errors import MessageRefused
from quatrefoil.wire import WireObject

DIGEST = 32
LONGEST_NAME = 64
LONGEST_REASON = 400
"""Characters of a reason that are kept: nobody fills a log with what it sends."""

RELEASE, RENEW, DERIVE, INTRODUCE = "release", "renew", "derive", "introduce"
REVOCABLE = ("resource", "lease", "measurement", "platform")

OF_A_BANK = (32, 48)
"""Bytes of a register of a TPM: SHA-256 or SHA-384."""

_HINT = "Check that both sides run the same version of Quatrefoil"


def purpose(action: str, subject: bytes = b"", stage: str = "") -> str:
    """What evidence is for (``enclave.binding``): one action on one subject, and to a release its stage.

    Evidence that was made to have one key released serves for no other key, no other stage and no renewal.
    """
    return " ".join(part for part in ("quatrefoil broker", action, subject.hex(), stage) if part)


def require(message: object, **lengths: tuple[int, ...]) -> None:
    """``MessageRefused`` where a field of ``message`` has another length than those given."""
    for field, allowed in lengths.items():
        if (size := len(getattr(message, field))) not in allowed:
            wanted = " or ".join(map(str, allowed))
            raise MessageRefused(f"{type(message).__name__}.{field} has {size} bytes, not {wanted}", hint=_HINT)


@dataclass(frozen=True)
class Asker:
    """Who asks, as certified: the peer of a channel, or the signer of a statement."""

    name: str
    role: str

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


@dataclass(frozen=True)
class ReleaseRequest(WireObject):
    """Asks for the key of ``resource`` (SHA-256 of the signed resource) for ``stage`` of its policy. ``keyset`` and
    ``evidence``: the encodings of a :class:`Keyset` and an ``EvidenceSet``."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:release-request"

    nonce: bytes
    resource: bytes
    stage: str
    keyset: Keyset
    evidence: bytes

    def __post_init__(self) -> None:
        require(self, nonce=(NONCE_BYTES,), resource=(DIGEST,))
        require(self, stage=tuple(range(1, LONGEST_NAME + 1)))

    @property
    def purpose(self) -> str:
        return purpose(RELEASE, self.resource, self.stage)


@dataclass(frozen=True)
class RenewalRequest(WireObject):
    """Asks that a lease go on, with fresh evidence of the keyset that it was given to."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:renewal-request"

    nonce: bytes
    lease: bytes
    keyset: Keyset
    evidence: bytes

    def __post_init__(self) -> None:
        require(self, nonce=(NONCE_BYTES,), lease=(DIGEST,))

    @property
    def purpose(self) -> str:
        return purpose(RENEW, self.lease)


@dataclass(frozen=True)
class DeriveRequest(WireObject):
    """Hands in what code under ``lease`` made: ``resource``, signed, with the policy of its parent, and its key sealed
    to the broker. The evidence is bound to the digest of ``resource``: the measured code itself puts it out."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:derive-request"

    nonce: bytes
    lease: bytes
    keyset: Keyset
    evidence: bytes
    resource: bytes
    sealed_key: bytes

    def __post_init__(self) -> None:
        require(self, nonce=(NONCE_BYTES,), lease=(DIGEST,))


@dataclass(frozen=True)
class Release(WireObject):
    """``lease``: signed. ``sealed_key``: an envelope to the keyset's sealing key under the context
    :func:`release_context`; empty in the answer to a renewal."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:release"

    lease: bytes
    sealed_key: bytes


def release_context(lease: Lease) -> bytes:
    """What the envelope of a release is bound to: it opens as the key of exactly this lease."""
    return lease.encode()


@dataclass(frozen=True)
class Registered(WireObject):
    """A broker's signed word to an owner: the resource is known here, and its key opens. ``sealed_key``: SHA-256."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:registered"

    resource: bytes
    sealed_key: bytes
    at: int


@dataclass(frozen=True)
class Revocation(WireObject):
    """Signed by whoever revokes. It is for good, and whoever sends it again changes nothing.

    ``what``: from :data:`REVOCABLE`. ``value``: the digest of a resource, the id of a lease, or the value of the claim
    ``name`` (a measurement, or an identity of a platform) of evidence of ``kind``. ``resource``: of a measurement or
    platform, the resource for which it is revoked, with all that derives from it; empty for every resource, which is
    for the broker's operator to say.
    """

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:revocation"

    what: str
    kind: str
    name: str
    value: bytes
    resource: bytes
    reason: str

    def __post_init__(self) -> None:
        if self.what not in REVOCABLE:
            raise MessageRefused(f"{self.what[:40]!r} cannot be revoked", hint=f"Revoke one of {', '.join(REVOCABLE)}")
        claimed = self.what in ("measurement", "platform")
        require(self, value=tuple(range(1, 513)) if claimed else (DIGEST,))
        require(self, resource=(0, DIGEST) if claimed else (0,))
        for field, given in (("kind", self.kind), ("name", self.name)):
            if bool(given) != claimed or len(given) > LONGEST_NAME:
                said = "is missing or too long" if claimed else "is given"
                raise MessageRefused(f"the revocation of a {self.what}: {field} {said}", hint=_HINT)
        if claimed:
            _require_claim(self.what, self.kind, self.name, len(self.value))
        if len(self.reason) > LONGEST_REASON:
            raise MessageRefused(f"a reason has {len(self.reason)} characters, over {LONGEST_REASON}", hint="Cut it")


def _require_claim(what: str, kind: str, name: str, size: int) -> None:
    """``MessageRefused`` for what no evidence ever claims: whoever mistypes it must not believe that it is revoked."""
    if (known := VOCABULARIES.get(kind)) is None:
        raise MessageRefused(f"there is no evidence of kind {kind!r}", hint=f"Name one of {', '.join(VOCABULARIES)}")
    names = tuple(known.measurements) if what == "measurement" else known.platforms
    if name not in names:
        shown = f"{names[0]} to {names[-1]}" if len(names) > 24 else ", ".join(names) or "none"
        raise MessageRefused(f"{kind} evidence has no {what} {name!r}", hint=f"It has {shown}")
    sizes = (known.measurements[name] or OF_A_BANK) if what == "measurement" else size
    if size not in (sizes if isinstance(sizes, tuple) else (sizes,)):
        raise MessageRefused(
            f"{kind}.{name} is never a value of {size} bytes",
            hint="Give all of it, as `quatrefoil attest verify` shows it",
        )


@dataclass(frozen=True)
class Introduction(WireObject):
    """A broker's signed answer to an owner's nonce: the keys that it answers for, and evidence of what runs there, if
    it collects any (empty otherwise), for the purpose ``quatrefoil broker introduce``. ``certificate``: a sealing
    certificate (``transport.sealed``) of the keyset's sealing key, for whoever seals later."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:introduction"

    nonce: bytes
    keyset: Keyset
    evidence: bytes
    certificate: bytes

    def __post_init__(self) -> None:
        require(self, nonce=(NONCE_BYTES,))


@dataclass(frozen=True)
class LeaseShown(WireObject):
    """A lease in a list, and how it stands: "held", "expired" or "revoked"."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:lease-shown"

    lease: Lease
    standing: str


@dataclass(frozen=True)
class LeaseList(WireObject):
    TYPE: ClassVar[str] = "urn:quatrefoil:broker:lease-list"

    leases: tuple[LeaseShown, ...]


@dataclass(frozen=True)
class ResourceShown(WireObject):
    """A resource in a list: ``resource`` is the digest of the signed one, ``policy`` that of its release policy."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:resource-shown"

    resource: bytes
    kind: str
    name: str
    owner: str
    role: str
    parent: bytes
    policy: bytes
    stages: tuple[str, ...]
    registered: int
    revoked: bool


@dataclass(frozen=True)
class ResourceList(WireObject):
    TYPE: ClassVar[str] = "urn:quatrefoil:broker:resource-list"

    resources: tuple[ResourceShown, ...]
