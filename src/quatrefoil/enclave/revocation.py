"""Revocation lists of authorities in a chain (RFC 5280 section 6.3): signed by them, current, and what they name.

Lists are whole and their issuer's own. One that only adds to another, or speaks of a part, would say of a revoked
certificate that it is not on the list.
"""

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
            name = issuer.subject.rfc4514_string()
            if not _signed(found, issuer):
                return True, f"the revocation list of {name} is not signed by it"
            if problem := _unknown_scope(found):
                return True, f"the revocation list of {name} {problem}"
            if not _covers(found, certificate):
                continue
            own = True
            if found.next_update_utc is None or not found.last_update_utc <= at <= found.next_update_utc:
                return (
                    own,
                    f"the revocation list of {name} holds from {found.last_update_utc} to {found.next_update_utc}",
                )
            if found.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                return own, f"{name} revoked the certificate {certificate.serial_number:x}"
    return own, ""


def _unknown_scope(found: x509.CertificateRevocationList) -> str:
    """Why ``found`` does not say by itself which certificates of its issuer are revoked (RFC 5280 section 5.2): a list
    may only add to another, or speak of other issuers, of some reasons, of attributes."""
    for one in found.extensions:
        if isinstance(one.value, x509.IssuingDistributionPoint):
            scope = one.value
            if scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs:
                return "is indirect, of some reasons or of attributes only"
        elif one.critical or isinstance(one.value, x509.DeltaCRLIndicator):
            return f"has an extension {one.oid.dotted_string} that is not known here, or is a delta list"
    return ""


def _covers(found: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether a list of authorities only, or of others only, speaks of ``certificate`` (section 5.2.5)."""
    try:
        scope = found.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return True
    try:
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    return not (scope.only_contains_ca_certs if not authority else scope.only_contains_user_certs)


def _signed(found: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    try:
        return isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) and found.is_signature_valid(key)
    except (ValueError, TypeError, InvalidSignature):
        return False


__all__ = ["look_up"]
