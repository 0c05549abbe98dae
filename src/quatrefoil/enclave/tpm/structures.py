"""The TPM structures of a quote, read strictly and in full.

TCG TPM 2.0 Library specification (revision 1.59), Part 2: TPMS_ATTEST and TPMS_QUOTE_INFO (10.12), TPML_PCR_SELECTION
(10.6, 10.9), TPMT_SIGNATURE (11.3), TPMT_PUBLIC (12.2). Numbers are big-endian, and a TPM2B is a length of two bytes
and as many bytes. Read is what attestation keys use: quotes, signed with ECDSA on P-256 or P-384, RSASSA or RSAPSS,
with SHA-256 or SHA-384. Every other type, scheme, curve or hash is ``EvidenceRejected``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from quatrefoil.enclave.reader import Reader

GENERATED = 0xFF544347
"""TPM_GENERATED_VALUE (Part 2, 6.2): a restricted key signs nothing from outside that begins so."""
ATTEST_QUOTE = 0x8018
"""TPM_ST_ATTEST_QUOTE (Part 2, 6.9)."""

HASHES: Mapping[int, str] = {0x000B: "sha256", 0x000C: "sha384"}
"""TPM_ALG_ID of hashes (TCG Algorithm Registry) by their names in :mod:`hashlib`. SHA-1 proves nothing any more."""
CURVES: Mapping[int, int] = {0x0003: 32, 0x0004: 48}
"""TPM_ECC_NIST_P256 and _P384, with the bytes of a coordinate."""

RSA, ECC, NULL = 0x0001, 0x0023, 0x0010
RSASSA, RSAPSS, ECDSA = 0x0014, 0x0016, 0x0018

FIXED_TPM, FIXED_PARENT, SENSITIVE_DATA_ORIGIN = 1 << 1, 1 << 4, 1 << 5
RESTRICTED, DECRYPT, SIGN = 1 << 16, 1 << 17, 1 << 18
"""TPMA_OBJECT (Part 2, 8.3)."""

RSA_BITS = (2048, 3072, 4096)
MOST_PCRS = 32
"""Registers of a bank: four bytes of selection; PC clients have 24."""

_LARGEST_DATA = 66
"""TPM2B_DATA: at most a TPMT_HA of SHA-512 (Part 2, 10.4)."""
_LARGEST_NAME = 66
_LARGEST_DIGEST = 64
_LARGEST_PUBLIC = 1024


@dataclass(frozen=True)
class Quote:
    """A TPMS_ATTEST of type quote. ``pcrs`` are the selected registers of ``bank``, rising."""

    qualified_signer: bytes
    """Qualified name of the signing key: its name and those of all its parents, hashed (Part 1, section 16)."""
    qualifying_data: bytes
    """extraData: what the caller of TPM2_Quote put in, a nonce; up to 66 bytes."""
    clock_ms: int
    reset_count: int
    restart_count: int
    clock_safe: bool
    """TPMS_CLOCK_INFO (Part 2, 10.11): counters of boots and resumes, and whether ``clock_ms`` never was higher."""
    firmware_version: int
    """64 bits in the vendor's order. Hidden, like both counters, unless the key is of the endorsement or platform
    hierarchy (Part 1, section 36)."""
    bank: str
    """"sha256" or "sha384"."""
    pcrs: tuple[int, ...]
    pcr_digest: bytes
    """Hash over the selected registers, by the hash of the signature (Part 3, TPM2_Quote)."""


@dataclass(frozen=True)
class Signature:
    """A TPMT_SIGNATURE. ``parts`` are one string for RSA; r and s, big-endian, for ECDSA."""

    scheme: int
    hash: str
    parts: tuple[bytes, ...]


@dataclass(frozen=True)
class PublicArea:
    """A TPMT_PUBLIC of a signing key: ``key`` is (exponent, modulus) for RSA, and (x, y) on ``curve`` for ECC."""

    raw: bytes
    name_hash: str
    attributes: int
    scheme: int
    hash: str
    curve: int
    """Bytes of a coordinate; 0 for RSA."""
    key: tuple[int, int]

    @property
    def name(self) -> bytes:
        """The object's Name (Part 1, section 16): nameAlg and the digest of the public area. It covers attributes."""
        number = next(number for number, name in HASHES.items() if name == self.name_hash)
        return number.to_bytes(2, "big") + hashlib.new(self.name_hash, self.raw).digest()


def parse_attest(data: bytes) -> Quote:
    """``data`` as a TPMS_ATTEST, or ``EvidenceRejected``: not made by a TPM, not a quote, or not of the read form."""
    read = Reader(data, "TPMS_ATTEST", "big")
    if (magic := read.number(4, "magic")) != GENERATED:
        raise read.refusal(f"begins with {magic:#010x}, not TPM_GENERATED: no TPM made it")
    if (kind := read.number(2, "type")) != ATTEST_QUOTE:
        raise read.refusal(f"is of type {kind:#06x}, not a quote")
    signer = read.sized(2, _LARGEST_NAME, "qualifiedSigner", least=1)
    qualifying = read.sized(2, _LARGEST_DATA, "extraData")
    clock, resets, restarts = read.number(8, "clock"), read.number(4, "resetCount"), read.number(4, "restartCount")
    if (safe := read.number(1, "safe")) > 1:
        raise read.refusal(f"has {safe} for safe, neither yes nor no")
    firmware = read.number(8, "firmwareVersion")
    bank, pcrs = _pcr_selection(read)
    digest = read.sized(2, _LARGEST_DIGEST, "pcrDigest", least=1)
    read.end()
    return Quote(signer, qualifying, clock, resets, restarts, bool(safe), firmware, bank, pcrs, digest)


def _pcr_selection(read: Reader) -> tuple[str, tuple[int, ...]]:
    """TPML_PCR_SELECTION with registers of exactly one bank. Banks of which none is selected may be listed."""
    count = read.number(4, "pcrSelect")
    if not 1 <= count <= 16:
        raise read.refusal(f"selects from {count} banks of registers")
    seen, found = set(), []
    for _ in range(count):
        number, bits = read.number(2, "bank"), read.sized(1, MOST_PCRS // 8, "selection", least=1)
        if number in seen:
            raise read.refusal(f"selects twice from the bank {number:#06x}")
        seen.add(number)
        # Register 0 is the lowest bit of the first byte (Part 2, 10.6.2).
        if any(bits):
            found.append((number, tuple(i for i in range(8 * len(bits)) if bits[i // 8] >> i % 8 & 1)))
    if len(found) != 1 or found[0][0] not in HASHES:
        banks = ", ".join(f"{number:#06x}" for number, _ in found) or "none"
        raise read.refusal(f"selects registers of the banks {banks}, not of one with SHA-256 or SHA-384")
    return HASHES[found[0][0]], found[0][1]


def read_signature(read: Reader) -> Signature:
    """The TPMT_SIGNATURE at ``read``'s position, or ``EvidenceRejected``."""
    scheme = read.number(2, "sigAlg")
    if scheme not in (RSASSA, RSAPSS, ECDSA):
        raise read.refusal(f"has the signature scheme {scheme:#06x}, not ECDSA, RSASSA or RSAPSS")
    digest = _hash(read, "signature's hash")
    if scheme == ECDSA:
        largest = max(CURVES.values())
        return Signature(scheme, digest, tuple(read.sized(2, largest, part, least=1) for part in ("r", "s")))
    return Signature(scheme, digest, (read.sized(2, max(RSA_BITS) // 8, "signature", least=min(RSA_BITS) // 8),))


def parse_companions(data: bytes) -> tuple[Signature, PublicArea, tuple[bytes, ...]]:
    """What evidence keeps beside a quote, one after the other: TPMT_SIGNATURE, TPM2B_PUBLIC of the key that signed,
    TPML_DIGEST of the selected registers' values. ``EvidenceRejected`` when it is not that, or longer."""
    read = Reader(data, "companions of a TPM quote", "big")
    signature = read_signature(read)
    public = parse_public(read.sized(2, _LARGEST_PUBLIC, "TPM2B_PUBLIC", least=1))
    count = read.number(4, "count of registers' values")
    if count > MOST_PCRS:
        raise read.refusal(f"has {count} values of registers, over {MOST_PCRS}")
    values = tuple(read.sized(2, _LARGEST_DIGEST, "value of a register", least=1) for _ in range(count))
    read.end()
    return signature, public, values


def encode_companions(signature: bytes, public: bytes, values: tuple[bytes, ...]) -> bytes:
    """The inverse, from a TPMT_SIGNATURE, a TPMT_PUBLIC and the values of registers."""
    listed = b"".join(len(value).to_bytes(2, "big") + value for value in values)
    return signature + len(public).to_bytes(2, "big") + public + len(values).to_bytes(4, "big") + listed


def parse_public(data: bytes) -> PublicArea:
    """``data`` as a TPMT_PUBLIC of a signing key with a fixed scheme, or ``EvidenceRejected``."""
    read = Reader(data, "TPMT_PUBLIC", "big")
    kind = read.number(2, "type")
    name_hash = _hash(read, "nameAlg")
    attributes = read.number(4, "objectAttributes")
    read.sized(2, _LARGEST_DIGEST, "authPolicy")
    if kind not in (RSA, ECC):
        raise read.refusal(f"is of type {kind:#06x}, neither RSA nor ECC")
    if read.number(2, "symmetric") != NULL:
        raise read.refusal("is of a storage key: it has a symmetric algorithm")
    scheme = read.number(2, "scheme")
    if scheme not in ((RSASSA, RSAPSS) if kind == RSA else (ECDSA,)):
        raise read.refusal(f"has the scheme {scheme:#06x}: an attestation key has one fixed signing scheme")
    digest = _hash(read, "scheme's hash")
    curve, key = (0, _rsa(read)) if kind == RSA else _point(read)
    read.end()
    return PublicArea(bytes(data), name_hash, attributes, scheme, digest, curve, key)


def _rsa(read: Reader) -> tuple[int, int]:
    bits, exponent = read.number(2, "keyBits"), read.number(4, "exponent") or 65537
    if bits not in RSA_BITS:
        raise read.refusal(f"is of an RSA key of {bits} bits")
    modulus = int.from_bytes(read.sized(2, bits // 8, "modulus", least=bits // 8), "big")
    # Conditions that every RSA key of a TPM meets, and a library may refuse in its own words.
    if exponent != 65537 or modulus.bit_length() != bits or modulus % 2 == 0:
        raise read.refusal("is not of an RSA key as TPMs make them")
    return exponent, modulus


def _point(read: Reader) -> tuple[int, tuple[int, int]]:
    curve = read.number(2, "curveID")
    if curve not in CURVES:
        raise read.refusal(f"is of the curve {curve:#06x}, not P-256 or P-384")
    if read.number(2, "kdf") != NULL:
        raise read.refusal("is of a signing key with a key derivation")
    size = CURVES[curve]
    x, y = (int.from_bytes(read.sized(2, size, part, least=1), "big") for part in ("x", "y"))
    return size, (x, y)


def _hash(read: Reader, field: str) -> str:
    number = read.number(2, field)
    if number not in HASHES:
        raise read.refusal(f"has {number:#06x} for the {field}, not SHA-256 or SHA-384")
    return HASHES[number]


__all__ = [
    "ATTEST_QUOTE",
    "DECRYPT",
    "ECDSA",
    "FIXED_PARENT",
    "FIXED_TPM",
    "GENERATED",
    "HASHES",
    "MOST_PCRS",
    "RESTRICTED",
    "RSAPSS",
    "RSASSA",
    "SENSITIVE_DATA_ORIGIN",
    "SIGN",
    "PublicArea",
    "Quote",
    "Signature",
    "encode_companions",
    "parse_attest",
    "parse_companions",
    "parse_public",
    "read_signature",
]
