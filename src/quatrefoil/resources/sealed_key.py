"""The key of a resource, sealed to a broker under exactly the statement that its owner signed.

HPKE in base mode (RFC 9180) with the hybrid suites of sealed files. Its ``info`` holds the digest of the signed
resource, policy included: under a policy that was changed, or another owner's signature, the key does not open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.resources.resource import OwnedResource
from quatrefoil.transport import suites
from quatrefoil.transport.sealed import RecipientKey, Suite
from quatrefoil.transport.sealed.layout import fingerprint
from quatrefoil.wire import WireObject


@dataclass(frozen=True)
class SealedKey(WireObject):
    """``recipient``: SHA-256 of the broker's public key. ``resource``: SHA-256 of the signed resource. ``sealed``:
    HPKE's ``enc`` and ``ct``."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-key"

    suite: bytes
    recipient: bytes
    resource: bytes
    sealed: bytes


@dataclass(frozen=True)
class Binding(WireObject):
    """HPKE's ``info``."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-key-binding"

    suite: bytes
    recipient: bytes
    resource: bytes


def seal_key(resource: OwnedResource, key: bytes | bytearray, broker_public: bytes) -> bytes:
    """``key`` for the broker whose sealing key is ``broker_public`` (the encoding of ``transport.suites``).

    ``CallerError`` when it has no length of a hybrid suite; ``MessageRefused`` when it is no key, or ``key`` not the
    resource's.
    """
    resource.require_key(key)
    suite = _suite_of(broker_public)
    info = Binding(suite.identifiers, fingerprint(broker_public), resource.digest)
    sealed = suite.wrap(key, broker_public, info.encode())
    return SealedKey(info.suite, info.recipient, info.resource, sealed).encode()


def open_key(resource: OwnedResource, sealed_key: bytes, key: RecipientKey) -> bytearray:
    """The resource's key, which the caller wipes; or ``MessageRefused``: sealed to another broker, for another
    statement, altered, or not the key that the owner committed to."""
    given = SealedKey.decode(sealed_key)
    if given.resource != resource.digest:
        raise MessageRefused(
            "the sealed key belongs to another resource, or to this one under another policy",
            hint="Ask the owner for the key that was sealed with this statement",
        )
    if given.recipient != key.fingerprint or given.suite != key.suite.identifiers:
        raise MessageRefused(
            f"the key is sealed to {given.recipient.hex()[:16]}, not to {key.fingerprint.hex()[:16]}",
            hint="Ask the owner to seal it to this broker's key",
        )
    info = Binding(given.suite, given.recipient, given.resource)
    opened = bytearray(key.unwrap(given.sealed, info.encode()))
    try:
        resource.require_key(opened)
    except MessageRefused:
        opened[:] = bytes(len(opened))
        raise
    return opened


def require_public(broker_public: bytes) -> None:
    """``CallerError`` or ``MessageRefused`` where :func:`seal_key` would refuse this public key."""
    _suite_of(broker_public).read_public(broker_public)


def _suite_of(public: bytes) -> Suite:
    for suite in suites.SUITES:
        if len(public) == suite.public_bytes:
            return suite
    raise CallerError(
        f"a broker's sealing key of {len(public)} bytes is of no hybrid suite",
        hint="Give the public half of a key that `quatrefoil seal-key` or a broker made",
    )


__all__ = ["Binding", "SealedKey", "open_key", "require_public", "seal_key"]
