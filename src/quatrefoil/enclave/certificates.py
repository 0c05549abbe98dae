"""Certificates and revocation lists of hardware vendors, read defensively: their DER comes from outside.

What may go wrong while ``cryptography`` takes one apart, at once or later, is one error here.
"""

from __future__ import annotations

import base64
import threading
import warnings
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from quatrefoil.errors import EvidenceRejected

Read = TypeVar("Read")

_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_warnings = threading.Lock()


def parse(der: bytes) -> x509.Certificate:
    """The certificate in ``der``, or ``EvidenceRejected``."""
    # AMD's certificates have the serial number 0, about which every parse warns. The filters are one for all threads.
    with _warnings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reading("certificate", lambda: x509.load_der_x509_certificate(der))


def parse_pem(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates in PEM text, at least one, or ``EvidenceRejected``."""
    with _warnings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reading("certificate", lambda: tuple(x509.load_pem_x509_certificates(pem)))


def parse_crl(der: bytes) -> x509.CertificateRevocationList:
    """The revocation list in ``der``, or ``EvidenceRejected``."""
    return reading("revocation list", lambda: x509.load_der_x509_crl(der))


def parse_key(der: bytes) -> PublicKeyTypes:
    """The public key in the SubjectPublicKeyInfo ``der``, or ``EvidenceRejected``."""
    return reading("public key", lambda: load_der_public_key(der))


def reading(what: str, read: Callable[[], Read]) -> Read:
    """What ``read`` gives; ``EvidenceRejected`` for what is wrong inside a certificate, also where it shows late."""
    try:
        return read()
    except _UNREADABLE as error:
        raise EvidenceRejected(
            f"a {what} cannot be read ({type(error).__name__})", hint="Fetch it from the vendor again", check="format"
        ) from None


def der_of_pem(pem: bytes) -> bytes:
    """The DER of the one certificate in a PEM file of this package."""
    body = pem.split(b"-----BEGIN CERTIFICATE-----", 1)[1].split(b"-----END CERTIFICATE-----", 1)[0]
    return base64.b64decode(b"".join(body.split()))


def extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    """The value of a vendor's extension, ``None`` where there is none."""

    def read() -> bytes | None:
        for found in certificate.extensions:
            if found.oid == oid and isinstance(found.value, x509.UnrecognizedExtension):
                return found.value.value
        return None

    return reading("certificate", read)


def common_name(name: x509.Name) -> str:
    """The one common name in ``name``, empty where there is none or several."""
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def signed_pss(issuer: x509.Certificate, signed: bytes, signature: bytes) -> bool:
    """Whether the RSA key of ``issuer`` made ``signature`` over ``signed``: RSASSA-PSS with SHA-384, MGF1 with SHA-384
    and 48 bytes of salt (RFC 8017 section 8.1). The algorithm identifier beside the signature decides nothing."""
    return _verified_pss(issuer, signed, signature)


@lru_cache(maxsize=256)
def _verified_pss(issuer: x509.Certificate, signed: bytes, signature: bytes) -> bool:
    """Remembered: a function of its arguments alone, and the same few certificates come with every report of a host."""
    key = reading("certificate", issuer.public_key)
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < 4096:
        return False
    try:
        key.verify(signature, signed, padding.PSS(padding.MGF1(SHA384()), 48), SHA384())
    except InvalidSignature:
        return False
    return True


def signed_p384(issuer: x509.Certificate, signed: bytes, signature: bytes) -> bool:
    """Whether the P-384 key of ``issuer`` made ``signature`` over ``signed``: ECDSA with SHA-384 (FIPS 186-5 section
    6). The algorithm identifier beside the signature decides nothing."""
    return _verified_p384(issuer, signed, signature)


@lru_cache(maxsize=256)
def _verified_p384(issuer: x509.Certificate, signed: bytes, signature: bytes) -> bool:
    """Remembered, as in :func:`_verified_pss`."""
    key = reading("certificate", issuer.public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        return False
    try:
        key.verify(signature, signed, ec.ECDSA(SHA384()))
    except InvalidSignature:
        return False
    return True


def forget() -> None:
    """Forget which signatures have been verified, for who measures."""
    _verified_pss.cache_clear()
    _verified_p384.cache_clear()


def remembered() -> int:
    """How often a signature was not verified again so far, for who measures."""
    return _verified_pss.cache_info().hits + _verified_p384.cache_info().hits


def binds_every_byte(certificate: x509.Certificate) -> bool:
    """Whether nothing outside the signed part and the signature is left to choose: the second algorithm identifier
    repeats the signed one (RFC 5280 section 4.1.1.2), and the signature has no unused bits. Nothing is read from these;
    a certificate in which they differ has bytes that anybody may change."""
    signed, signature = certificate.tbs_certificate_bytes, certificate.signature
    whole = certificate.public_bytes(Encoding.DER)
    start, end = _header(whole) + len(signed), len(whole) - len(signature)
    unsigned = whole[start : end - _header_for(len(signature) + 1) - 1]
    before = _header(signed) + 5  # version 3
    serial = before + 2 + signed[before + 1]
    return len(unsigned) > 2 and signed[serial:].startswith(unsigned) and whole[end - 1] == 0


def _header(der: bytes) -> int:
    """Bytes of tag and length in front of a DER element's content."""
    return 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)


def _header_for(size: int) -> int:
    return 2 if size < 0x80 else 3 if size < 0x100 else 4


def outside_validity(certificate: x509.Certificate, at: datetime) -> str:
    """Why ``certificate`` is not valid at ``at``, with the date; empty where it is."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    name = common_name(certificate.subject) or "a certificate"
    if at < start:
        return f"{name} is not valid before {start:%Y-%m-%d %H:%M} UTC"
    return f"{name} expired on {end:%Y-%m-%d %H:%M} UTC" if at > end else ""


__all__ = [
    "binds_every_byte",
    "common_name",
    "der_of_pem",
    "extension",
    "forget",
    "outside_validity",
    "parse",
    "parse_crl",
    "parse_key",
    "parse_pem",
    "reading",
    "remembered",
    "signed_p384",
    "signed_pss",
]
