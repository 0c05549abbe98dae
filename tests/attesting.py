"""Hardware of our own making: roots, keys and SEV-SNP reports under valid signatures, so that everything that a policy
refuses can be provoked alone. Nothing here shares code with the parser; offsets are those of AMD publication 56860.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp.roots import Root

FOLDER = Path(__file__).parent / "vectors" / "attestation"
ISSUED = datetime(2026, 1, 1, tzinfo=UTC)
AT = datetime(2026, 6, 1, tzinfo=UTC)
"""When tests verify, if they do not say."""
EXPIRES = ISSUED + timedelta(days=7 * 365)
CPUID = {"Milan": (0x19, 0x01, 0x01), "Genoa": (0x19, 0x11, 0x01), "Turin": (0x1A, 0x02, 0x01)}
TCB = {
    "Milan": bytes([4, 0, 0, 0, 0, 0, 24, 219]),
    "Genoa": bytes([10, 0, 0, 0, 0, 0, 23, 84]),
    "Turin": bytes([1, 1, 1, 4, 0, 0, 0, 200]),
}
COMPONENT_BYTES = {
    "Milan": {1: 0, 2: 1, 3: 6, 8: 7},
    "Genoa": {1: 0, 2: 1, 3: 6, 8: 7},
    "Turin": {9: 0, 1: 1, 2: 2, 3: 3, 8: 7},
}
"""Product -> number of the certificate's extension -> byte of the TCB version."""
CHIP_ID = {"Milan": bytes(range(1, 65)), "Genoa": bytes(range(65, 129)), "Turin": bytes(range(1, 9)) + bytes(56)}
MEASUREMENT = bytes(range(100, 148))
REPORT_DATA = bytes(range(200, 232)) + bytes(32)
POLICY = 1 << 17 | 1 << 16 | 0x1F
DEBUG, MIGRATE, SMT = 1 << 19, 1 << 18, 1 << 16
VCEK, VLEK = 0, 1 << 2

FIELDS: Mapping[str, tuple[int, int]] = {
    "version": (0x00, 4),
    "guest_svn": (0x04, 4),
    "policy": (0x08, 8),
    "family_id": (0x10, 16),
    "image_id": (0x20, 16),
    "vmpl": (0x30, 4),
    "algorithm": (0x34, 4),
    "current_tcb": (0x38, 8),
    "platform_info": (0x40, 8),
    "key_flags": (0x48, 4),
    "report_data": (0x50, 64),
    "measurement": (0x90, 48),
    "host_data": (0xC0, 32),
    "id_key_digest": (0xE0, 48),
    "author_key_digest": (0x110, 48),
    "report_id": (0x140, 32),
    "report_id_ma": (0x160, 32),
    "reported_tcb": (0x180, 8),
    "cpuid": (0x188, 3),
    "chip_id": (0x1A0, 64),
    "committed_tcb": (0x1E0, 8),
    "current_firmware": (0x1E8, 3),
    "committed_firmware": (0x1EC, 3),
    "launch_tcb": (0x1F0, 8),
    "launch_mitigations": (0x1F8, 8),
    "current_mitigations": (0x200, 8),
}
"""Name -> offset and size."""


def unsigned(product: str = "Milan", **changes: int | bytes) -> bytearray:
    """A report that everything accepts, but for its signature and ``changes``."""
    values: dict[str, int | bytes] = {
        "version": 5,
        "policy": POLICY,
        "algorithm": 1,
        "platform_info": 0b100101,
        "report_data": REPORT_DATA,
        "measurement": MEASUREMENT,
        "id_key_digest": bytes(range(48)),
        "report_id": b"\x07" * 32,
        "report_id_ma": b"\xff" * 32,
        "chip_id": CHIP_ID[product],
        "current_firmware": bytes([29, 55, 1]),
        "committed_firmware": bytes([29, 55, 1]),
        **{f"{name}_tcb": TCB[product] for name in ("current", "reported", "committed", "launch")},
    }
    values |= changes
    if values["version"] != 2:
        values.setdefault("cpuid", bytes(CPUID[product]))
    if values["version"] == 5:
        values = {"launch_mitigations": 3, "current_mitigations": 7} | values
    data = bytearray(0x4A0)
    for name, value in values.items():
        start, size = FIELDS[name]
        data[start : start + size] = value.to_bytes(size, "little") if isinstance(value, int) else value
    return data


def sign(report: bytearray, key: ec.EllipticCurvePrivateKey) -> bytes:
    """``report`` with a signature over its first 0x2A0 bytes."""
    r, s = decode_dss_signature(key.sign(bytes(report[:0x2A0]), ec.ECDSA(SHA384())))
    report[0x2A0:0x4A0] = r.to_bytes(72, "little") + s.to_bytes(72, "little") + bytes(0x4A0 - 0x2A0 - 144)
    return bytes(report)


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """One of the committed keys: ``ark``, ``ask`` or ``stranger``. They are public: nothing may ever trust them."""
    key = load_pem_private_key((FOLDER / f"{name}.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@cache
def chip_key() -> ec.EllipticCurvePrivateKey:
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
    public: Any,
    issuer: str,
    signer: rsa.RSAPrivateKey,
    *,
    ca: bool = False,
    extensions: Mapping[str, bytes] | None = None,
    start: datetime = ISSUED,
    end: datetime = EXPIRES,
    serial: int = 1,
    salt: int = 48,
) -> bytes:
    """A certificate in DER, signed with RSASSA-PSS and SHA-384."""
    made = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if ca:
        usage = [False] * 9
        usage[5] = True
        made = made.add_extension(x509.BasicConstraints(True, 0), True).add_extension(x509.KeyUsage(*usage), True)
    for oid, value in (extensions or {}).items():
        made = made.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), False)
    signed = made.sign(signer, SHA384(), rsa_padding=padding.PSS(padding.MGF1(SHA384()), salt))
    return signed.public_bytes(Encoding.DER)


@cache
def ark(product: str, key: str = "ark") -> bytes:
    return certificate(f"ARK-{product}", rsa_key(key).public_key(), f"ARK-{product}", rsa_key(key), ca=True)


@cache
def ask(product: str, kind: str = "vcek", signer: str = "ark", **changes: Any) -> bytes:
    """The intermediate: ASK for a VCEK, ASVK for a VLEK."""
    subject = f"SEV-{product}" if kind == "vcek" else f"SEV-VLEK-{product}"
    options = {"ca": True, "serial": 0x10001} | changes
    return certificate(subject, rsa_key("ask").public_key(), f"ARK-{product}", rsa_key(signer), **options)


def integer(value: int) -> bytes:
    body = value.to_bytes(1 if value < 0x80 else 2, "big")
    return bytes([2, len(body)]) + body


def endorsements(
    product: str, kind: str = "vcek", tcb: bytes | None = None, chip_id: bytes | None = None
) -> dict[str, bytes]:
    """The extensions of a VCEK or VLEK certificate."""
    tcb, chip_id = tcb or TCB[product], chip_id or CHIP_ID[product]
    arc = "1.3.6.1.4.1.3704.1"
    named = product.encode() + (b"-B0" if kind == "vcek" else b"")
    out = {f"{arc}.1": integer(1), f"{arc}.2": bytes([0x16, len(named)]) + named}
    out |= {f"{arc}.3.{number}": integer(tcb[byte]) for number, byte in COMPONENT_BYTES[product].items()}
    if kind == "vcek":
        return out | {f"{arc}.4": chip_id[:8] if product == "Turin" else chip_id}
    return out | {f"{arc}.5": b"\x16\x07example"}


@cache
def leaf(
    product: str, kind: str = "vcek", tcb: bytes | None = None, chip_id: bytes | None = None, **changes: Any
) -> bytes:
    """The certificate of :func:`chip_key`."""
    issuer = f"SEV-{product}" if kind == "vcek" else f"SEV-VLEK-{product}"
    options = {"extensions": endorsements(product, kind, tcb, chip_id)} | changes
    if isinstance(options["extensions"], tuple):  # hashable, for the cache
        options["extensions"] = dict(options["extensions"])
    signer = options.pop("signer", "ask")
    public = options.pop("public", None) or chip_key().public_key()
    return certificate(f"SEV-{kind.upper()}", public, issuer, rsa_key(signer), **options)


@cache
def roots(key: str = "ark") -> Mapping[str, Root]:
    """What the verifier is to trust here in AMD's place."""
    return {
        product: Root(f"test ARK-{product}", product, x509.load_der_x509_certificate(ark(product, key)))
        for product in CPUID
    }


def evidence(product: str = "Milan", kind: str = "vcek", **changes: int | bytes) -> Evidence:
    """Evidence that everything accepts, but for ``changes`` of the report."""
    flags = VCEK if kind == "vcek" else VLEK
    report = sign(unsigned(product, **{"key_flags": flags, **changes}), chip_key())
    return Evidence("sev-snp", report, b"", (leaf(product, kind), ask(product, kind)))


def crl(
    product: str,
    *,
    revoked: tuple[int, ...] = (),
    signer: str = "ark",
    start: datetime = ISSUED,
    end: datetime = EXPIRES,
) -> bytes:
    """The root's revocation list."""
    made = (
        x509.CertificateRevocationListBuilder().issuer_name(name(f"ARK-{product}")).last_update(start).next_update(end)
    )
    for serial in revoked:
        made = made.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(ISSUED).build()
        )
    signed = made.sign(rsa_key(signer), SHA384(), rsa_padding=padding.PSS(padding.MGF1(SHA384()), 48))
    return signed.public_bytes(Encoding.DER)


NOTHING = Collateral()
