"""Revocation lists of authorities in a chain (RFC 5280 section 6.3): signed by them, current, and what they name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def look_up(
    chain: Sequence[x509.Certificate], lists: Sequence[x509.CertificateRevocationList], at: datetime
) -> tuple[bool, str]:
    """Whether a list of an authority in ``chain`` (leaf first) is there, and why the chain does not hold by it, or
    nothing."""
    own = False
    for found in lists:
        for certificate, issuer in pairwise(chain):
            if found.issuer != issuer.subject:
                continue
            own, name = True, issuer.subject.rfc4514_string()
            if not _signed(found, issuer):
                return own, f"the revocation list of {name} is not signed by it"
            if found.next_update_utc is None or not found.last_update_utc <= at <= found.next_update_utc:
                return (
                    own,
                    f"the revocation list of {name} holds from {found.last_update_utc} to {found.next_update_utc}",
                )
            if found.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                return own, f"{name} revoked the certificate {certificate.serial_number:x}"
    return own, ""


def _signed(found: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    try:
        return isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) and found.is_signature_valid(key)
    except (ValueError, TypeError, InvalidSignature):
        return False


__all__ = ["look_up"]
