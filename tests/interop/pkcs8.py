"""Private keys of ML-KEM and ML-DSA in PKCS #8 (RFC 5958), byte by byte, so that a wrong one can be made too."""

from __future__ import annotations

import base64

NIST = bytes.fromhex("060960864801650304")
"""An object identifier of eleven bytes in DER, its last two still missing: 2.16.840.1.101.3.4."""

ALGORITHMS = {
    "ML-DSA-65": NIST + b"\x03\x12",
    "ML-DSA-87": NIST + b"\x03\x13",
    "ML-KEM-768": NIST + b"\x04\x02",
    "ML-KEM-1024": NIST + b"\x04\x03",
}


def seed_pem(algorithm: str, seed: bytes) -> bytes:
    """A key that is given by its seed (RFC 9881 and RFC 9935, section 6)."""
    return _pem(algorithm, b"\x80" + _sized(seed))


def expanded_pem(algorithm: str, key: bytes) -> bytes:
    """A key in its expanded form, without the seed."""
    return _pem(algorithm, b"\x04" + _sized(key))


def _pem(algorithm: str, private: bytes) -> bytes:
    body = b"\x02\x01\x00" + b"\x30" + _sized(ALGORITHMS[algorithm]) + b"\x04" + _sized(private)
    der = b"\x30" + _sized(body)
    return b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(der) + b"-----END PRIVATE KEY-----\n"


def _sized(content: bytes) -> bytes:
    """``content`` after its length in DER."""
    size = len(content)
    if size < 128:
        return bytes([size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([128 + len(octets)]) + octets + content
