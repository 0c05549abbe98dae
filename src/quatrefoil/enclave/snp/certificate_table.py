"""The certificate table that a host gives its guests beside a report (AMD publication 56421, GHCB 2.03, section
4.1.8.1, MSG_REPORT_REQ; Linux gives it out as ``auxblob``).

A table is a list of entries of 24 bytes (GUID, offset, length; little-endian), ended by one of zeros, and the bytes
that they point to. GUIDs are stored in the order in which they are written. The host fills the table in and nobody
signs it: certificates in it are candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.enclave import certificates
from quatrefoil.enclave.reader import Reader

KINDS: Mapping[UUID, str] = {
    UUID("63da758d-e664-4564-adc5-f4b93be8accd"): "vcek",
    UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"): "vlek",
    UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"): "ask",
    UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"): "ark",
}
"""GUIDs of certificates. What stands under others (a revocation list, a provider's own data) is left out."""

MOST_ENTRIES = 32
LARGEST_TABLE = 64 << 10

_ENTRY = 24


def parse(data: bytes) -> dict[str, bytes]:
    """The certificates of the table in ``data``, in DER by their kind; empty where the host gives none.

    ``EvidenceRejected`` where the table does not end, points outside itself, names a kind twice, or where a certificate
    cannot be read. Hosts were seen to fill in PEM as well, which is read too.
    """
    read = Reader(data[:LARGEST_TABLE], "host's certificate table", "little")
    if len(data) > LARGEST_TABLE:
        raise read.refusal(f"has {len(data)} bytes, over {LARGEST_TABLE}")
    if not any(data):
        return {}
    found: dict[str, bytes] = {}
    entries = _entries(read)
    for guid, offset, length in entries:
        if length and not (len(entries) + 1) * _ENTRY <= offset <= offset + length <= len(data):
            raise read.refusal(f"has an entry {guid} that points outside of it")
        kind = KINDS.get(guid)
        if kind in found:
            raise read.refusal(f"has two entries for the {kind.upper()}")
        if kind and length:
            found[kind] = _certificate(read, data[offset : offset + length])
    return found


def _entries(read: Reader) -> list[tuple[UUID, int, int]]:
    found: list[tuple[UUID, int, int]] = []
    for _ in range(MOST_ENTRIES):
        guid = UUID(bytes=read.take(16, "GUID of an entry"))
        offset, length = read.number(4, "offset of an entry"), read.number(4, "length of an entry")
        if not guid.int and not offset and not length:
            return found
        found.append((guid, offset, length))
    raise read.refusal(f"has more than {MOST_ENTRIES} entries")


def _certificate(read: Reader, data: bytes) -> bytes:
    if not data.startswith(b"-----BEGIN "):
        return certificates.parse(data).public_bytes(Encoding.DER)
    listed = certificates.parse_pem(data.rstrip(b"\0"))
    if len(listed) != 1:
        raise read.refusal(f"has {len(listed)} certificates in one entry")
    return listed[0].public_bytes(Encoding.DER)


__all__ = ["KINDS", "LARGEST_TABLE", "MOST_ENTRIES", "parse"]
