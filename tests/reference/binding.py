"""Report data of attested keys, a second time: docs/attested-channels.md read literally, with no CBOR library.

Slow and independent of the package: heads of RFC 8949 section 3 are written out here.
"""

from __future__ import annotations

import hashlib


def head(major: int, value: int) -> bytes:
    """A CBOR head in the shortest form (RFC 8949 section 4.2.1)."""
    if value < 24:
        return bytes([major << 5 | value])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << 8 * size:
            return bytes([major << 5 | code]) + value.to_bytes(size, "big")
    raise ValueError("no CBOR integer")


def number(value: int) -> bytes:
    return head(0, value)


def octets(value: bytes) -> bytes:
    return head(2, len(value)) + value


def text(value: str) -> bytes:
    return head(3, len(value.encode())) + value.encode()


def array(*items: bytes) -> bytes:
    return head(4, len(items)) + b"".join(items)


def keyset(sealing: bytes, tls: bytes, receipt: bytes, not_before: int, expires: int) -> bytes:
    fields = array(octets(sealing), octets(tls), octets(receipt), number(not_before), number(expires))
    return array(text("urn:quatrefoil:keyset"), number(1), fields)


def report_data(encoded_keyset: bytes, nonce: bytes, exporter: bytes, purpose: str) -> bytes:
    digest = hashlib.sha256(encoded_keyset).digest()
    fields = array(octets(digest), octets(nonce), octets(exporter), text(purpose))
    return hashlib.sha256(array(text("urn:quatrefoil:binding"), number(1), fields)).digest()


def challenge(nonce: bytes, purpose: str) -> bytes:
    return array(text("urn:quatrefoil:attestation-challenge"), number(1), array(octets(nonce), text(purpose)))


def attestation(nonce: bytes, encoded_keyset: bytes, evidence: bytes) -> bytes:
    fields = array(octets(nonce), encoded_keyset, octets(evidence))
    return array(text("urn:quatrefoil:attestation"), number(1), fields)


def exporter_context(attester_is_server: bool, nonce: bytes) -> bytes:
    return (b"server" if attester_is_server else b"client") + nonce
