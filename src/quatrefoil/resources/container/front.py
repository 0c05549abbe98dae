"""What can be read of a container without its key: whose it is, what it is, under which policy, and for which brokers.

Every statement is verified before anything of it is returned: both ML-DSA signatures of the owner, by one certificate,
and the Ed25519 signature beside them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.resources.container import layout
from quatrefoil.resources.container.layout import AGAIN, Geometry, Manifest, Trailer
from quatrefoil.resources.resource import KINDS, OwnedResource, Resource, verify
from quatrefoil.resources.sealed_key import SealedKey, open_key
from quatrefoil.transport import Clock, TrustAnchor, statement
from quatrefoil.transport.sealed import Judged, RecipientKey
from quatrefoil.transport.sealed.chunks import read_up_to
from quatrefoil.transport.sealed.layout import judged_at
from quatrefoil.transport.statement import Signed

Verifying = Callable[[bytes], VerifiedStatement]


@dataclass(frozen=True)
class Front:
    """A container whose signatures have been verified; of the content nothing has been looked at yet.

    ``head_at``, ``trailer_at``: where these parts begin in the file.
    """

    owned: OwnedResource
    manifest: Manifest
    keys: tuple[SealedKey, ...]
    head_at: int
    trailer_at: int

    @property
    def root(self) -> bytes:
        """What names the content, in receipts and proofs as here."""
        return self.owned.resource.content

    def open_key(self, key: RecipientKey) -> bytearray:
        """The resource's key, for the broker that holds ``key``; the caller wipes it. ``MessageRefused`` for others."""
        for one in self.keys:
            if one.recipient == key.fingerprint:
                return open_key(self.owned, one.encode(), key)
        raise MessageRefused(
            f"the container is not sealed to this key ({key.fingerprint.hex()[:16]}) but to {len(self.keys)} other(s)",
            hint="Use the key of a broker that it was sealed to, or ask such a broker to release it",
        )


@dataclass(frozen=True)
class Expected:
    """What whoever opens a container asks for; what it holds is compared with all of it.

    ``owner``: certified name. ``content``: the root, or empty for any. ``least_serial``: from 1 on, which stands for
    any: an older container of the same owner is a rollback. ``ed25519``: the owner's key as known from elsewhere, or
    empty to believe the owner's ML-DSA signature about it, which then is what both signatures rest on.
    """

    kind: str
    owner: str
    name: str
    content: bytes
    least_serial: int
    ed25519: bytes

    def __post_init__(self) -> None:
        if self.least_serial < 1:
            raise CallerError(f"no container has the number {self.least_serial}", hint="Say 1 to take any")
        for name, value in (("content", self.content), ("ed25519", self.ed25519)):
            if len(value) not in (0, 32):
                raise CallerError(f"{name} has {len(value)} bytes", hint="Give 32, or none")

    def require(self, front: Front) -> None:
        """``MessageRefused`` unless the container is what was asked for."""
        resource, owner = front.owned.resource, front.owned.owner
        for what, found, wanted in (
            ("owner", owner.signer, self.owner),
            ("kind", resource.kind, self.kind),
            ("name", resource.name, self.name),
        ):
            if found != wanted:
                raise self._refused(front, f"its {what} is {found[:64]!r}, not {wanted[:64]!r}")
        if self.content and resource.content != self.content:
            raise self._refused(front, f"its root is {resource.content.hex()}, not {self.content.hex()}")
        if resource.serial < self.least_serial:
            raise self._refused(
                front,
                f"it is number {resource.serial}, and {self.least_serial} is the least: an older one was put back",
            )
        if self.ed25519 and front.manifest.ed25519 != self.ed25519:
            raise self._refused(front, "its Ed25519 key is not the one that you know")

    def _refused(self, front: Front, problem: str) -> MessageRefused:
        owner = front.owned.owner.signer
        return MessageRefused(
            f"the container is not what was asked for: {problem}",
            hint="Ask its owner for the one that you want, or ask for this one knowingly",
            party=owner,
        )


def claimed_time(trust: TrustAnchor, *, judged: Judged, clock: Clock) -> Callable[[bytes], Verifying]:
    """For :func:`read_front`: what verifies both statements of a container, given its signed resource.

    Certificates live shorter than containers. ``Judged.AT_CLAIMED_TIME`` judges them at the time that the owner claims.
    """

    def of(signed: bytes) -> Verifying:
        made_at = Resource.decode(Signed.decode(signed).body).made_at
        at = judged_at(judged, made_at, clock, "the container claims to be sealed")
        return lambda one: statement.verify(one, trust, clock=clock, claimed=at)

    return of


def read_front(file: BinaryIO, verifying: Callable[[bytes], Verifying]) -> Front:
    """The front of the container in ``file``, which can seek; or ``MessageRefused``."""
    trailer, at = _read_trailer(file)
    verify_statement = verifying(trailer.resource)
    owned = verify(trailer.resource, verify_statement)
    if not KINDS[owned.resource.kind]:
        raise MessageRefused(f"a {owned.resource.kind} has no content to be in a container", hint=AGAIN)
    said = verify_statement(trailer.manifest)
    if said.fingerprint != owned.owner.fingerprint:
        raise MessageRefused(
            f"the manifest is signed by {said.signer!r}, and the resource by {owned.owner.signer!r}",
            hint=AGAIN,
            party=said.signer,
        )
    manifest = Manifest.decode(said.body)
    manifest.require_valid()
    layout.require_committed_model(manifest, owned.resource.kind)
    if manifest.resource != owned.digest:
        raise MessageRefused(
            f"the manifest of {said.signer!r} belongs to another resource, or to this one under another policy",
            hint=AGAIN,
            party=said.signer,
        )
    _verify_ed25519(manifest, trailer.ed25519, said.signer)
    head_at = Geometry(manifest.length).head_at
    if not 0 < at - head_at <= layout.LARGEST_HEAD + layout.TAG:
        raise MessageRefused("the container does not have the length that its manifest says", hint=AGAIN)
    return Front(owned, manifest, _sealed_keys(trailer, owned), head_at, at)


def _read_trailer(file: BinaryIO) -> tuple[Trailer, int]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size < len(layout.MAGIC) + layout.FOOTER or read_up_to(file, len(layout.MAGIC)) != layout.MAGIC:
        raise MessageRefused(
            "this is no sealed model, data set or table key of version 1",
            hint="Name a file that `model seal`, `data seal` or `table-key new` wrote",
        )
    file.seek(size - layout.FOOTER)
    footer = read_up_to(file, layout.FOOTER)
    length = int.from_bytes(footer[:4], "big")
    at = size - layout.FOOTER - length
    if footer[4:] != layout.MAGIC:
        raise MessageRefused("the container is cut off, or something follows its end", hint=AGAIN)
    if length > layout.LARGEST_TRAILER or at < len(layout.MAGIC):
        raise MessageRefused(f"the container announces a trailer of {length} bytes", hint=AGAIN)
    file.seek(at)
    return Trailer.decode(read_up_to(file, length)), at


def _verify_ed25519(manifest: Manifest, signature: bytes, signer: str) -> None:
    try:
        key = Ed25519PublicKey.from_public_bytes(manifest.ed25519)
        key.verify(signature, manifest.signed_by_ed25519())
    except (InvalidSignature, ValueError):
        raise MessageRefused(
            f"the Ed25519 signature of {signer!r} does not fit the manifest", hint=AGAIN, party=signer
        ) from None


def _sealed_keys(trailer: Trailer, owned: OwnedResource) -> tuple[SealedKey, ...]:
    """Not signed: HPKE binds each to the signed resource. None may be there twice, or for another resource."""
    if len(trailer.keys) > layout.MOST_KEYS:
        raise MessageRefused(f"the container is sealed to more than {layout.MOST_KEYS} brokers", hint=AGAIN)
    keys = tuple(SealedKey.decode(one) for one in trailer.keys)
    if len({one.recipient for one in keys}) != len(keys):
        raise MessageRefused("the container names a broker twice", hint=AGAIN)
    for one in keys:
        if one.resource != owned.digest:
            raise MessageRefused("a key in the container belongs to another resource", hint=AGAIN)
    return keys


__all__ = ["Expected", "Front", "Verifying", "claimed_time", "read_front"]
