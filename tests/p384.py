"""Keys, certificates and revocation lists of P-384, as AWS and NVIDIA have them, under roots of our own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

AT = datetime(2026, 6, 1, tzinfo=UTC)
ISSUED = AT - timedelta(days=30)
EXPIRES = AT + timedelta(days=3000)


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """The same for the same name, in one process."""
    return ec.generate_private_key(ec.SECP384R1())


def name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Quatrefoil tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def certificate(
    subject: str,
    issuer: str,
    *,
    public: str = "",
    signer: str = "",
    ca: bool = True,
    path_length: int | None = None,
    signs_certificates: bool = True,
    signs: bool = False,
    extensions: Mapping[str, bytes] | None = None,
    critical: bool = False,
    start: datetime = ISSUED,
    end: datetime = EXPIRES,
    serial: int = 5,
) -> bytes:
    """A certificate in DER. Keys are named by ``public`` and ``signer``; left out, as subject and issuer are."""
    usage = [signs, False, False, False, False, signs_certificates and ca, ca, False, False]
    made = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key(public or subject).public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca, path_length if ca else None), True)
        .add_extension(x509.KeyUsage(*usage), True)
    )
    for oid, value in (extensions or {}).items():
        made = made.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical)
    return made.sign(key(signer or issuer), SHA384()).public_bytes(Encoding.DER)


def revocation_list(
    issuer: str,
    revoked: tuple[int, ...] = (),
    *,
    signer: str = "",
    start: datetime = ISSUED,
    end: datetime = EXPIRES,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> bytes:
    """``extensions``: each with whether it is critical."""
    made = x509.CertificateRevocationListBuilder().issuer_name(name(issuer)).last_update(start).next_update(end)
    for serial in revoked:
        made = made.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(ISSUED).build()
        )
    for extension, critical in extensions:
        made = made.add_extension(extension, critical)
    return made.sign(key(signer or issuer), SHA384()).public_bytes(Encoding.DER)


def signature(signer: str, data: bytes) -> bytes:
    """ECDSA with SHA-384, as 48 bytes of r and 48 of s."""
    r, s = decode_dss_signature(key(signer).sign(data, ec.ECDSA(SHA384())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")
