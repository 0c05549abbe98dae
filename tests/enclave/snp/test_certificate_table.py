"""The host's certificate table: read whole, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import attesting
from quatrefoil.enclave import certificates
from quatrefoil.enclave.snp.certificate_table import KINDS, LARGEST_TABLE, MOST_ENTRIES, parse
from quatrefoil.errors import EvidenceRejected

GUID = {kind: guid.bytes for guid, kind in KINDS.items()}
UNKNOWN = bytes(range(1, 17))


def table(*entries: tuple[bytes, bytes], after: bytes = b"") -> bytes:
    """Entries of (GUID, data), their data after the last one, and ``after`` after that."""
    start, head, data = 24 * (len(entries) + 1), b"", b""
    for guid, content in entries:
        head += guid + (start + len(data)).to_bytes(4, "little") + len(content).to_bytes(4, "little")
        data += content
    return head + bytes(24) + data + after


def entry(guid: bytes, offset: int, length: int) -> bytes:
    return guid + offset.to_bytes(4, "little") + length.to_bytes(4, "little")


VCEK, ASK = attesting.leaf("Milan"), attesting.ask("Milan")


def test_what_a_host_fills_in_is_read() -> None:
    found = parse(table((GUID["ask"], ASK), (UNKNOWN, b"whatever"), (GUID["vcek"], VCEK), after=bytes(100)))
    assert found == {"ask": ASK, "vcek": VCEK}


def test_guids_are_stored_as_they_are_written() -> None:
    assert GUID["vcek"].hex() == "63da758de6644564adc5f4b93be8accd"
    assert GUID["vlek"].hex() == "a8074bc2a25a483eaae639c045a0b8a1"


@pytest.mark.parametrize("empty", [b"", bytes(24), bytes(4096)])
def test_a_host_may_give_none(empty: bytes) -> None:
    assert parse(empty) == {}


def test_an_entry_without_bytes_is_none() -> None:
    assert parse(table((GUID["vcek"], b""), (GUID["ask"], ASK))) == {"ask": ASK}
    assert parse(entry(GUID["vcek"], 0, 0) + bytes(24)) == {}


def test_pem_is_read_as_well() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    pem = certificates.parse(VCEK).public_bytes(Encoding.PEM)
    assert parse(table((GUID["vcek"], pem + b"\0"))) == {"vcek": VCEK}
    with pytest.raises(EvidenceRejected, match="2 certificates in one entry"):
        parse(table((GUID["vcek"], pem * 2)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"x", "ends inside GUID"),
        (entry(GUID["vcek"], 48, 0)[:20], "ends inside length"),
        (entry(GUID["vcek"], 24, 0), "ends inside GUID"),
        (entry(UNKNOWN, 24, 0) * MOST_ENTRIES + bytes(24), f"more than {MOST_ENTRIES}"),
        (entry(GUID["vcek"], 47, 1) + bytes(24), "outside"),
        (entry(GUID["vcek"], 48, 1) + bytes(24), "outside"),
        (entry(UNKNOWN, 2**32 - 1, 2**32 - 1) + bytes(24), "outside"),
        (entry(bytes(16), 23, 5) + bytes(24) + bytes(40), "outside"),
        (table((GUID["vcek"], VCEK), (GUID["vcek"], VCEK)), "two entries for the VCEK"),
        (table((GUID["vcek"], b"no certificate")), "cannot be read"),
        (table((GUID["vcek"], VCEK[:-1])), "cannot be read"),
        (b"\1" * (LARGEST_TABLE + 1), f"over {LARGEST_TABLE}"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says):
        parse(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        assert set(parse(data)) <= set(GUID)
    except EvidenceRejected as refusal:
        assert refusal.check == "format"
