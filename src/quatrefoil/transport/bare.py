"""Bare signatures: what an identity signs in forms of evidence that others specify, and that strangers verify.

RFC 9964 (ML-DSA in COSE) leaves the context string of FIPS 204 empty, so that nothing keeps such a signature apart from
others of the same key but the message itself. What a key signs without a context begins in one of these ways, and no
two of them begin alike: COSE's Sig_structure, the 64 spaces of a TLS 1.3 CertificateVerify (RFC 8446 section 4.4.3),
and the DER of a certificate request. Statements have a context (``statement``).
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from cryptography.exceptions import InvalidSignature

from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport.identity import Identity, TrustAnchor

FORMS = (b"\x84\x6aSignature1",)
"""How a message to be signed may begin: COSE_Sign1 (RFC 9052 section 4.4), an array of four and its context string."""


def sign(message: bytes, identity: Identity) -> bytes:
    """An ML-DSA signature over ``message`` with an empty context; ``CallerError`` for a message of no known form."""
    _require_form(message)
    return identity.sign(message, context=b"")


class BareVerifier:
    """Verifies bare signatures by the roots of ``trust``, with what they have taken back until ``at``."""

    def __init__(self, trust: TrustAnchor, *, at: datetime) -> None:
        self._trust = trust
        self._at = at

    def verify_bare(
        self, message: bytes, signature: bytes, *, certificate: bytes, claimed: datetime
    ) -> VerifiedStatement:
        """The signed message and its signer, by ``certificate`` (DER); see ``TransportSecurity.verify_bare``.

        Validity is judged at ``claimed``, revocation at the verifier's own time: see ``TrustAnchor.verify``.
        """
        _require_form(message)
        party = self._trust.verify(certificate, at=self._at, refusal=MessageRefused, claimed=claimed)
        try:
            party.public_key.verify(signature, message, b"")
        except (InvalidSignature, ValueError):
            raise MessageRefused(
                f"the signature of {party.name!r} ({party.role}) does not fit what it stands under",
                hint="Something altered it, or another party forged it: ask for it again",
                party=party.name,
            ) from None
        fingerprint = hashlib.sha256(certificate).digest()
        return VerifiedStatement(body=message, signer=party.name, role=party.role, fingerprint=fingerprint)


def _require_form(message: bytes) -> None:
    if not message.startswith(FORMS):
        raise CallerError(
            f"a message of {len(message)} bytes has no form that is signed without a context",
            hint="Sign a statement, or what COSE has signed",
        )


__all__ = ["FORMS", "BareVerifier", "sign"]
