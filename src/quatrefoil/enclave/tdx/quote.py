"""DCAP quotes of Intel TDX and SGX as bytes: versions 3 (SGX), 4 and 5 (TDX), read strictly and in full.

Sources: Intel "SGX ECDSA Quote Library API", appendix A (version 3); "TDX DCAP Quoting Library API", appendix A
(versions 4 and 5, TD report 1.0 and 1.5); "TDX Module ABI specification" 348551, table TD ATTRIBUTES; "Software
Developer's Manual" volume 3D, section SGX ENCLAVE ATTRIBUTES. Numbers are little-endian.

Of the signature data what Intel's quoting enclaves write is read: ECDSA on P-256, and a chain of PCK certificates in
PEM (certification data type 5). Unsigned bytes have one form only: PEM as a library would write it, and zeros after the
end, where the driver hands out a buffer of fixed size. Everything else is ``EvidenceRejected``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.enclave import certificates
from quatrefoil.enclave.reader import Reader

SGX, TDX = 0x00, 0x81
"""TEE types of the header."""

INTEL_QE = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
"""QE vendor ID: Intel's quoting enclaves."""

ECDSA_P256 = 2
PCK_CHAIN, QE_REPORT = 5, 6
"""Certification data: a chain of certificates in PEM, and a quoting enclave's report around such."""

Layout = tuple[tuple[str, int], ...]

_TD_1_0: Layout = (
    ("teetcbsvn", 16),
    ("mrseam", 48),
    ("mrsignerseam", 48),
    ("seamattributes", 8),
    ("tdattributes", 8),
    ("xfam", 8),
    ("mrtd", 48),
    ("mrconfigid", 48),
    ("mrowner", 48),
    ("mrownerconfig", 48),
    ("rtmr0", 48),
    ("rtmr1", 48),
    ("rtmr2", 48),
    ("rtmr3", 48),
    ("reportdata", 64),
)
_TD_1_5: Layout = (*_TD_1_0, ("teetcbsvn2", 16), ("mrservicetd", 48))
_ENCLAVE: Layout = (
    ("cpusvn", 16),
    ("miscselect", 4),
    ("reserved1", 12),
    ("isvextprodid", 16),
    ("attributes", 16),
    ("mrenclave", 32),
    ("reserved2", 32),
    ("mrsigner", 32),
    ("reserved3", 32),
    ("configid", 64),
    ("isvprodid", 2),
    ("isvsvn", 2),
    ("configsvn", 2),
    ("reserved4", 42),
    ("isvfamilyid", 16),
    ("reportdata", 64),
)
_BODIES: Mapping[int, Layout] = {2: _TD_1_0, 3: _TD_1_5}
"""Body types of version 5. Its type 1, SGX, is not made by any quoting enclave, and 4 (TD 1.5 with service TDs) is for
TDs with a service TD, which verification would refuse."""

DEBUG_BITS = 0xFF
"""TD ATTRIBUTES, bits 7:0: TD under debug or profiling. With any of them, the host reads or observes the TD."""
MIGRATABLE, SEPT_VE_DISABLE = 1 << 29, 1 << 28
SGX_DEBUG = 1 << 1

_LARGEST_CHAIN = 16 << 10
_LARGEST_AUTH = 1024


@dataclass(frozen=True)
class Quote:
    """One quote, unverified. ``body`` has its fields by Intel's names in lower case, as bytes."""

    version: int
    tee: int
    """:data:`SGX` or :data:`TDX`."""
    body: Mapping[str, bytes]
    signed: bytes
    """Header and body: what the attestation key signed."""
    signature: bytes
    attestation_key: bytes
    """r and s, and x and y, 32 bytes each, big-endian."""
    qe_report: bytes
    qe_report_signature: bytes
    qe_auth_data: bytes
    pck_chain: bytes
    """PEM, the platform's own certificate first."""
    certificates: tuple[x509.Certificate, ...]

    @property
    def qe_body(self) -> Mapping[str, bytes]:
        """The quoting enclave's report, by the same names as an enclave's."""
        return _fields(Reader(self.qe_report, "quoting enclave's report", "little"), _ENCLAVE)

    @property
    def debug(self) -> bool:
        if self.tee == SGX:
            return bool(int.from_bytes(self.body["attributes"][:8], "little") & SGX_DEBUG)
        return bool(self.td_attributes & DEBUG_BITS)

    @property
    def service_td(self) -> bool:
        return any(self.body.get("mrservicetd", b""))

    @property
    def td_attributes(self) -> int:
        """TD ATTRIBUTES as a number; 0 for SGX."""
        return int.from_bytes(self.body.get("tdattributes", b""), "little")


def parse(data: bytes) -> Quote:
    """``data`` as a quote, or ``EvidenceRejected`` saying what is wrong with it."""
    read = Reader(data, "quote", "little")
    version, tee, body = _header_and_body(read)
    signed = data[: read.at]
    inner = Reader(read.sized(4, len(data), "signature data"), "quote's signature data", "little")
    if any(read.rest()):
        raise read.refusal("has more than zeros after its end")
    signature, key = inner.take(64, "signature"), inner.take(64, "attestation key")
    if version > 3:
        if (kind := inner.number(2, "type of certification data")) != QE_REPORT:
            raise inner.refusal(f"has certification data of type {kind}, not a quoting enclave's report")
        nested = Reader(inner.sized(4, len(data), "certification data"), "certification data", "little")
        inner.end()
        inner = nested
    report, report_signature = inner.take(384, "quoting enclave's report"), inner.take(64, "its signature")
    auth = inner.sized(2, _LARGEST_AUTH, "authentication data")
    if (kind := inner.number(2, "type of certification data")) != PCK_CHAIN:
        raise inner.refusal(f"names its platform by certification data of type {kind}, not by a chain of certificates")
    pem = inner.sized(4, _LARGEST_CHAIN, "chain of certificates")
    inner.end()
    chain = _certificates(inner, pem)
    return Quote(version, tee, body, signed, signature, key, report, report_signature, auth, pem, chain)


def _header_and_body(read: Reader) -> tuple[int, int, Mapping[str, bytes]]:
    version, key_type, tee = read.number(2, "version"), read.number(2, "key type"), read.number(4, "TEE type")
    if (version, tee) not in ((3, SGX), (4, TDX), (5, TDX)):
        raise read.refusal(f"has version {version} and TEE type {tee:#x}: known are 3 for SGX, and 4 and 5 for TDX")
    if key_type != ECDSA_P256:
        raise read.refusal(f"is signed by a key of type {key_type}, not ECDSA on P-256")
    read.take(4, "security versions")
    if read.take(16, "QE vendor") != INTEL_QE:
        raise read.refusal("is not of a quoting enclave of Intel's")
    read.take(20, "user data")
    layout = _ENCLAVE if tee == SGX else _TD_1_0
    if version == 5:
        kind, size = read.number(2, "type of the body"), read.number(4, "size of the body")
        if kind not in _BODIES:
            raise read.refusal(f"has a body of type {kind}: known are 2 (TD report 1.0) and 3 (1.5)")
        layout = _BODIES[kind]
        if size != sum(width for _, width in layout):
            raise read.refusal(f"has a body of {size} bytes")
    return version, tee, _fields(read, layout)


def _fields(read: Reader, layout: Layout) -> Mapping[str, bytes]:
    return MappingProxyType({name: read.take(width, name) for name, width in layout})


def _certificates(read: Reader, pem: bytes) -> tuple[x509.Certificate, ...]:
    """The chain, of which no byte may be otherwise: nobody signs the text around certificates."""
    if not pem.startswith(b"-----BEGIN CERTIFICATE-----"):
        raise read.refusal("has a chain that is not of certificates in PEM")
    found = certificates.reading("certificate", lambda: _readable(pem.removesuffix(b"\x00")))
    written = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in found)
    if written != pem.removesuffix(b"\x00"):
        raise read.refusal("has a chain of certificates that is not written as PEM is (RFC 7468)")
    if not 2 <= len(found) <= 4:
        raise read.refusal(f"has a chain of {len(found)} certificates")
    return found


def _readable(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates, of which everything that is used later has been read once: faults inside them show late."""
    found = certificates.parse_pem(pem)
    for certificate in found:
        certificate.subject.rfc4514_string()
        certificate.public_key()
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return found


__all__ = ["MIGRATABLE", "SEPT_VE_DISABLE", "SGX", "TDX", "Quote", "parse"]
