"""What report data commit to: one byte form, every part of it, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import binding as reference

from quatrefoil.enclave.binding import Binding, Keyset, report_data
from quatrefoil.errors import CallerError, EvidenceRejected

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
KEYSET = Keyset(
    sealing=bytes.fromhex("647a00010002") + b"p" * 1216,
    tls=b"t" * 32,
    receipt=b"r" * 44,
    not_before=int(START.timestamp()),
    expires=int(START.timestamp()) + 3600,
)
NONCE, EXPORTER, PURPOSE = b"n" * 32, b"e" * 32, "broker release"

sealing_keys = st.binary(min_size=7, max_size=1300)
digests = st.binary(min_size=32, max_size=32)
keysets = st.builds(
    Keyset,
    sealing=sealing_keys,
    tls=digests | st.just(b""),
    receipt=st.binary(max_size=300),
    not_before=st.integers(0, 2**33),
    expires=st.integers(2**33 + 1, 253402300799),
)
purposes = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=256)


@given(keyset=keysets, nonce=digests, exporter=digests | st.just(b""), purpose=purposes)
def test_the_bytes_are_those_of_the_specification(keyset: Keyset, nonce: bytes, exporter: bytes, purpose: str) -> None:
    written = reference.keyset(keyset.sealing, keyset.tls, keyset.receipt, keyset.not_before, keyset.expires)
    assert keyset.encode() == written and Keyset.decode(written) == keyset
    assert report_data(keyset, nonce, exporter, purpose) == reference.report_data(written, nonce, exporter, purpose)


def test_known_bytes() -> None:
    assert KEYSET.digest().hex() == "f2f690b462080178d790c3d80c9f8d08b6e3858699bde36d1e0090d23e763412"
    assert (
        report_data(KEYSET, NONCE, EXPORTER, PURPOSE).hex()
        == "cfe6bbaf490753ea466b85a48c7c31dffa105497605f3a0eadd5155160309ac6"
    )
    assert (
        report_data(KEYSET, NONCE, b"", PURPOSE).hex()
        == "ce766f314b90c08f7f9fb877cf14cfdc13e4e63b66ebcdaf855a19f64d971c32"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"keyset": replace(KEYSET, sealing=KEYSET.sealing[:-1] + b"q")},
        {"keyset": replace(KEYSET, tls=b"u" * 32)},
        {"keyset": replace(KEYSET, receipt=b"s" * 44)},
        {"keyset": replace(KEYSET, expires=KEYSET.expires + 1)},
        {"keyset": replace(KEYSET, not_before=KEYSET.not_before - 1)},
        {"nonce": b"N" * 32},
        {"exporter": b"E" * 32},
        {"exporter": b""},
        {"purpose": "broker renewal"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_every_part_counts(other: dict[str, object]) -> None:
    parts = {"keyset": KEYSET, "nonce": NONCE, "exporter": EXPORTER, "purpose": PURPOSE}
    assert report_data(**parts | other) != report_data(**parts)  # type: ignore[arg-type]


def test_no_part_can_be_moved_into_another() -> None:
    """Parts that read alike when they are put one after the other give other report data."""
    one = report_data(KEYSET, NONCE, b"", "e" * 32 + "x")
    assert one != report_data(KEYSET, NONCE, b"e" * 32, "x")


def test_report_data_are_no_digest_of_another_object() -> None:
    """The type is in the hash: a digest that code puts into evidence for another reason says nothing of keys."""
    bare = hashlib.sha256(KEYSET.digest() + NONCE + EXPORTER + PURPOSE.encode()).digest()
    assert report_data(KEYSET, NONCE, EXPORTER, PURPOSE) not in (bare, KEYSET.digest())
    assert Binding.TYPE.encode() in Binding(KEYSET.digest(), NONCE, EXPORTER, PURPOSE).encode()


@pytest.mark.parametrize("nonce", [b"", b"n" * 31, b"n" * 33])
def test_nonces_of_another_length_are_refused(nonce: bytes) -> None:
    with pytest.raises(CallerError, match="a nonce has 32 bytes"):
        report_data(KEYSET, nonce, EXPORTER, PURPOSE)


@pytest.mark.parametrize("exporter", [b"e", b"e" * 31, b"e" * 64])
def test_exported_material_of_another_length_is_refused(exporter: bytes) -> None:
    with pytest.raises(CallerError, match="exported key material has 32 bytes"):
        report_data(KEYSET, NONCE, exporter, PURPOSE)


@pytest.mark.parametrize("purpose", ["", "a\n", "\x7f", "größe", "p" * 257])
def test_purposes_that_cannot_be_read_are_refused(purpose: str) -> None:
    with pytest.raises(CallerError, match="purpose"):
        report_data(KEYSET, NONCE, EXPORTER, purpose)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"sealing": b"s" * 6}, "sealing key has 6 bytes"),
        ({"sealing": b"s" * 8193}, "sealing key has 8193 bytes"),
        ({"tls": b"t" * 31}, "TLS key's digest has 31 bytes"),
        ({"tls": b"t" * 64}, "TLS key's digest has 64 bytes"),
        ({"receipt": b"r" * 8193}, "receipt key has 8193 bytes"),
        ({"sealing": b"", "tls": b"", "receipt": b""}, "holds no key"),
        ({"expires": KEYSET.not_before}, "which is no time"),
        ({"not_before": KEYSET.expires + 5}, "which is no time"),
        ({"expires": 1 << 40}, "which is no time"),
        ({"not_before": -1}, "which is no time"),
    ],
)
def test_keysets_that_are_none_are_refused(change: dict[str, object], problem: str) -> None:
    with pytest.raises(EvidenceRejected, match=problem) as refused:
        replace(KEYSET, **change)  # type: ignore[arg-type]
    assert refused.value.check == "keyset" and refused.value.hint


@given(st.binary(max_size=200))
def test_other_bytes_are_no_keyset(data: bytes) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        Keyset.decode(data)
    assert refused.value.check == "keyset"


def test_no_bit_of_a_keyset_is_free() -> None:
    encoded = KEYSET.encode()
    for position in range(len(encoded) * 8):
        flipped = bytearray(encoded)
        flipped[position // 8] ^= 1 << position % 8
        try:
            assert Keyset.decode(bytes(flipped)).digest() != KEYSET.digest()
        except EvidenceRejected:
            continue


def test_cut_and_longer_keysets_are_refused() -> None:
    encoded = KEYSET.encode()
    for data in (encoded[:-1], encoded + b"\x00", encoded[1:]):
        with pytest.raises(EvidenceRejected):
            Keyset.decode(data)


def test_the_two_parts_of_a_sealing_key() -> None:
    assert (KEYSET.sealing_suite.hex(), KEYSET.sealing_public) == ("647a00010002", b"p" * 1216)
    bare = replace(KEYSET, sealing=b"")
    for part in ("sealing_suite", "sealing_public"):
        with pytest.raises(EvidenceRejected, match="holds no sealing key"):
            getattr(bare, part)


def test_keysets_are_good_between_their_dates() -> None:
    KEYSET.require_current(START)
    KEYSET.require_current(START + timedelta(seconds=3599.9))


@pytest.mark.parametrize(
    ("at", "problem"),
    [
        (START - timedelta(seconds=1), "is not good before 2026-06-01 12:00:00 UTC"),
        (START + timedelta(seconds=3600), "expired on 2026-06-01 13:00:00 UTC"),
        (START + timedelta(days=9999), "expired on 2026-06-01 13:00:00 UTC"),
    ],
)
def test_keysets_are_refused_outside_their_dates(at: datetime, problem: str) -> None:
    with pytest.raises(EvidenceRejected, match=problem) as refused:
        KEYSET.require_current(at)
    assert refused.value.check == "keyset-validity"
