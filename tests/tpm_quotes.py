"""TPM quotes made without a TPM: a key in software signs structures as a TPM would fill them in.

Everything can be said under a valid signature, and so every check can be made to fail alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tpm import structures as tpm

AT = datetime(2026, 6, 1, tzinfo=UTC)
NONCE = bytes(range(32))
HASH_IDS = {name: number for number, name in tpm.HASHES.items()} | {"sha1": 0x0004}
HASHERS = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}

AK = tpm.RESTRICTED | tpm.SIGN | tpm.FIXED_TPM | tpm.FIXED_PARENT | tpm.SENSITIVE_DATA_ORIGIN | 1 << 6
"""Attributes of an attestation key, with userWithAuth."""

Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def policy_text(measurements: Mapping[str, bytes], *, ak: str = "any") -> str:
    """An appraisal policy of these registers, and of whatever else a TPM says."""
    return f"""\
name = "machine"
report_data = "required"
[tpm]
bank = ["sha256"]
certified = "any"
revocation_checked = "any"
ak = ["{ak}"]
[tpm.minimum_tcb.TPM]
firmware = 0
[tpm.measurements]
""" + "".join(f'{name} = ["{value.hex()}"]\n' for name, value in measurements.items())


@cache
def key(kind: str = "p256", number: int = 0) -> Private:
    """One of ``p256``, ``p384``, ``rsa``; the same for the same arguments."""
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1() if kind == "p256" else ec.SECP384R1())


def sized(data: bytes, width: int = 2) -> bytes:
    return len(data).to_bytes(width, "big") + data


def selection(bank: int, pcrs: tuple[int, ...], width: int = 3) -> bytes:
    bits = sum(1 << pcr for pcr in pcrs)
    return bank.to_bytes(2, "big") + sized(bits.to_bytes(width, "little"), 1)


@dataclass(frozen=True)
class Made:
    """Fields of a quote; ``evidence`` writes and signs it."""

    key: Private = field(default_factory=key)
    signed_by: Private | None = None
    magic: int = tpm.GENERATED
    kind: int = tpm.ATTEST_QUOTE
    nonce: bytes = NONCE
    bank: str = "sha256"
    values: dict[int, bytes] = field(default_factory=lambda: {n: bytes([n]) * 32 for n in (0, 1, 2, 7)})
    hash: str = "sha256"
    scheme: int | None = None
    attributes: int = AK
    firmware: int = 0x0001_0002_0003_0004
    resets: int = 4
    certificates: tuple[bytes, ...] = ()

    def with_(self, **changes: object) -> Made:
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def signing_scheme(self) -> int:
        default = tpm.ECDSA if isinstance(self.key, ec.EllipticCurvePrivateKey) else tpm.RSASSA
        return self.scheme or default

    @property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def attest(self) -> bytes:
        digest = hashlib.new(self.hash, b"".join(self.values[n] for n in sorted(self.values))).digest()
        return b"".join(
            (
                self.magic.to_bytes(4, "big"),
                self.kind.to_bytes(2, "big"),
                sized(b"\x00\x0b" + bytes(32)),
                sized(self.nonce),
                (123_456).to_bytes(8, "big"),
                self.resets.to_bytes(4, "big"),
                (1).to_bytes(4, "big"),
                b"\x01",
                self.firmware.to_bytes(8, "big"),
                (1).to_bytes(4, "big"),
                selection(HASH_IDS[self.bank], tuple(self.values)),
                sized(digest),
            )
        )

    def public(self) -> bytes:
        numbers = self.key.public_key().public_numbers()
        head = (tpm.RSA if isinstance(numbers, rsa.RSAPublicNumbers) else tpm.ECC).to_bytes(2, "big")
        head += (0x000B).to_bytes(2, "big") + self.attributes.to_bytes(4, "big") + sized(b"")
        head += tpm.NULL.to_bytes(2, "big")
        head += self.signing_scheme.to_bytes(2, "big") + HASH_IDS[self.hash].to_bytes(2, "big")
        if isinstance(numbers, rsa.RSAPublicNumbers):
            return head + (2048).to_bytes(2, "big") + bytes(4) + sized(numbers.n.to_bytes(256, "big"))
        size = numbers.curve.key_size // 8
        curve = {32: 3, 48: 4}[size]
        point = sized(numbers.x.to_bytes(size, "big")) + sized(numbers.y.to_bytes(size, "big"))
        return head + curve.to_bytes(2, "big") + tpm.NULL.to_bytes(2, "big") + point

    def signature(self, attest: bytes) -> bytes:
        signer, digest = self.signed_by or self.key, HASHERS[self.hash]
        head = self.signing_scheme.to_bytes(2, "big") + HASH_IDS[self.hash].to_bytes(2, "big")
        if isinstance(signer, ec.EllipticCurvePrivateKey):
            size = signer.curve.key_size // 8
            r, s = decode_dss_signature(signer.sign(attest, ec.ECDSA(digest)))
            return head + sized(r.to_bytes(size, "big")) + sized(s.to_bytes(size, "big"))
        salted = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
        how = salted if self.signing_scheme == tpm.RSAPSS else padding.PKCS1v15()
        return head + sized(signer.sign(attest, how, digest))

    def evidence(self) -> Evidence:
        attest = self.attest()
        values = tuple(self.values[n] for n in sorted(self.values))
        beside = tpm.encode_companions(self.signature(attest), self.public(), values)
        return Evidence("tpm", attest, beside, self.certificates)


def certificate(
    subject: str,
    public: object,
    issuer: str,
    signer: Private,
    *,
    ca: bool = False,
    days: int = 365,
    usage: bool | None = None,
    purposes: tuple[str, ...] = (),
) -> x509.Certificate:
    """A certificate valid from a day before :data:`AT`. ``usage``: whether a leaf's key is for signatures."""

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(public)  # type: ignore[arg-type]
        .serial_number(int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big"))
        .not_valid_before(AT - timedelta(days=1))
        .not_valid_after(AT + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if usage is not None:
        named_usages = ("content_commitment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
        unset = dict.fromkeys((*named_usages, "encipher_only", "decipher_only"), False)
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=usage, key_encipherment=not usage, **unset), critical=True
        )
    if purposes:
        named_purposes = [x509.ObjectIdentifier(purpose) for purpose in purposes]
        builder = builder.add_extension(x509.ExtendedKeyUsage(named_purposes), critical=False)
    return builder.sign(signer, hashes.SHA256())


def revocation_list(issuer: str, signer: Private, serials: tuple[int, ...] = (), *, days: int = 30) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .last_update(AT - timedelta(days=1))
        .next_update(AT + timedelta(days=days))
    )
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(AT - timedelta(days=1)).build()
        builder = builder.add_revoked_certificate(revoked)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)


def der(found: x509.Certificate) -> bytes:
    return found.public_bytes(Encoding.DER)
