"""Signed statements: a body, the signer's certificate, and an ML-DSA signature over both.

The signature covers the encoding of :class:`Statement`, so that neither the body nor the certificate can be
exchanged (one key may be certified twice, in two roles), under a context string (FIPS 204 section 5.2) that keeps it
apart from the signatures that the same key makes in TLS.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from cryptography.exceptions import InvalidSignature

from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import MessageRefused
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor
from quatrefoil.wire import WireObject

SIGNATURE_CONTEXT = b"quatrefoil statement v1"


@dataclass(frozen=True)
class Statement(WireObject):
    """What is signed. ``certificate``: SHA-256 of the signer's certificate in DER."""

    TYPE: ClassVar[str] = "urn:quatrefoil:statement"

    certificate: bytes
    body: bytes


@dataclass(frozen=True)
class Signed(WireObject):
    """What is sent. ``certificate``: DER. ``signature``: 3,309 bytes of ML-DSA-65, or 4,627 of ML-DSA-87."""

    TYPE: ClassVar[str] = "urn:quatrefoil:signed"

    body: bytes
    certificate: bytes
    signature: bytes


def sign(body: bytes, identity: Identity) -> bytes:
    """``body`` signed by ``identity``, as the encoding of :class:`Signed`."""
    message = Statement(certificate=identity.fingerprint, body=bytes(body)).encode()
    signature = identity.sign(message, context=SIGNATURE_CONTEXT)
    return Signed(body=bytes(body), certificate=identity.certificate_der, signature=signature).encode()


def verify(signed: bytes, trust: TrustAnchor, *, clock: Clock, claimed: datetime | None = None) -> VerifiedStatement:
    """The statement inside, after the certificate's chain, validity, usage and revocation and the signature have been
    checked.

    ``claimed``: for a statement that is kept, the time it claims to be made at; see ``TrustAnchor.verify``.
    Raises ``MessageRefused`` naming the check that failed and who signed.
    """
    parsed = Signed.decode(signed)
    party = trust.verify(parsed.certificate, at=clock(), refusal=MessageRefused, claimed=claimed)
    message = Statement(certificate=hashlib.sha256(parsed.certificate).digest(), body=parsed.body).encode()
    try:
        party.public_key.verify(parsed.signature, message, SIGNATURE_CONTEXT)
    except (InvalidSignature, ValueError):
        raise MessageRefused(
            f"the signature of {party.name!r} ({party.role}) does not fit its statement",
            hint="Something altered it on the way, or another party forged it: ask for it again",
            party=party.name,
        ) from None
    return VerifiedStatement(body=parsed.body, signer=party.name, role=party.role, fingerprint=party.fingerprint)


def body_of(signed: bytes) -> bytes:
    """What is inside a statement that has been verified before; nothing is verified here."""
    return Signed.decode(signed).body


__all__ = ["SIGNATURE_CONTEXT", "Signed", "Statement", "body_of", "sign", "verify"]
