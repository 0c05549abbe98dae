"""Damage anywhere is refused, and nothing is released: flipped bits, cut, extended, reordered, spliced."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from sealing_room import CHUNK, KEYS, SIGNATURE, Parts, open_, rewrap, seal

from quatrefoil.errors import MessageRefused, QuatrefoilError
from quatrefoil.transport.sealed import layout
from quatrefoil.transport.sealed.chunks import nonce
from quatrefoil.transport.sealed.wrapping import read_front

CONTENT = bytes(range(256)) * 1024  # four chunks, exactly


@pytest.fixture(scope="module")
def file(north):
    return seal(CONTENT, north)


@pytest.fixture(scope="module")
def parts(file):
    return Parts.of(file)


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_a_flipped_bit_anywhere_before_the_chunks_is_refused(north, trust, step):
    file = seal(b"", north)
    for position in range(0, len(file) - layout.TAG - SIGNATURE, step):
        flipped = bytearray(file)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(MessageRefused):
            open_(bytes(flipped), trust)


def test_a_flipped_bit_in_any_chunk_or_the_signature_is_refused(file, trust):
    for position in [*range(len(file) - 1, len(file) - len(CONTENT), -7919), len(file) - SIGNATURE]:
        flipped = bytearray(file)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(MessageRefused):
            open_(bytes(flipped), trust)


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
@pytest.mark.parametrize("extra", [0, 1, layout.TAG, CHUNK - 1])
def test_a_file_cut_at_or_near_a_chunk_is_refused(parts, trust, kept, extra):
    cut = replace(parts, chunks=(*parts.chunks[:kept], parts.chunks[kept][:extra]))
    for whole in (cut.whole, replace(cut, signature=b"").whole):
        with pytest.raises(MessageRefused, match=r"does not open|ends inside"):
            open_(whole, trust)


def test_a_file_cut_anywhere_in_its_front_or_its_signature_is_refused(file, parts, trust):
    front = len(file) - sum(map(len, parts.chunks)) - len(parts.signature)
    for size in [*range(0, front, 97), *range(len(file) - SIGNATURE, len(file), 131), len(file) - 1]:
        with pytest.raises(MessageRefused):
            open_(file[:size], trust)


@pytest.mark.parametrize("addition", [b"\x00", bytes(layout.TAG), bytes(CHUNK), bytes(SIGNATURE)])
def test_a_file_with_something_after_its_end_is_refused(file, trust, addition):
    with pytest.raises(MessageRefused, match=r"does not open|signature"):
        open_(file + addition, trust)


@pytest.mark.parametrize(
    "order",
    [(1, 0, 2, 3), (0, 1, 3, 2), (0, 1, 2), (0, 1, 2, 3, 3), (0, 0, 1, 2, 3), (1, 2, 3), (3,), (0, 2, 3)],
    ids=str,
)
def test_chunks_reordered_repeated_or_left_out_are_refused(parts, trust, order):
    moved = replace(parts, chunks=tuple(parts.chunks[number] for number in order))
    with pytest.raises(MessageRefused, match=r"chunk \d of the sealed file does not open"):
        open_(moved.whole, trust)


def test_an_empty_last_chunk_after_others_is_refused(north, parts, trust):
    """Even by the sender itself: there is one form of each content."""
    cipher = AESGCM(layout.payload_key(parts.file_key(KEYS["hybrid-768"], north), parts.parsed_header))
    third = cipher.encrypt(nonce(3, final=False), CONTENT[3 * layout.CHUNK :], None)
    chunks = (*parts.chunks[:3], third, cipher.encrypt(nonce(4, final=True), b"", None))
    with pytest.raises(MessageRefused, match="ends inside a chunk"):
        open_(replace(parts, chunks=chunks).whole, trust)


@pytest.mark.parametrize("part", ["wrapping", "header", "chunks", "signature"])
def test_a_part_of_another_file_of_the_same_sender_is_refused(north, parts, trust, part):
    other = Parts.of(seal(CONTENT, north))
    with pytest.raises(MessageRefused, match=r"another payload|does not open|does not fit"):
        open_(replace(parts, **{part: getattr(other, part)}).whole, trust)


def test_rewrapping_refuses_damaged_chunks_too(north, parts, trust):
    for chunks in ((*parts.chunks[:3],), (parts.chunks[1], parts.chunks[0], *parts.chunks[2:]), ()):
        with pytest.raises(MessageRefused, match=r"does not fit its statement|ends inside"):
            rewrap(replace(parts, chunks=chunks).whole, north, trust, [KEYS["hybrid-1024"]])


@pytest.mark.parametrize(
    ("front", "problem"),
    [
        (b"", "no sealed file"),
        (b"quatrefoil sealed file 2\n" + bytes(100), "no sealed file of version 1"),
        (layout.MAGIC, "ends before its wrapping"),
        (layout.MAGIC + b"\x00\x00\x00", "ends before its wrapping"),
        (layout.MAGIC + b"\xff\xff\xff\xff", "announces 4294967295 bytes"),
        (layout.MAGIC + b"\x00\x10\x00\x01", "announces 1048577 bytes"),
        (layout.MAGIC + b"\x00\x00\x00\x02\x80", "ends inside its wrapping"),
        (layout.MAGIC + b"\x00\x00\x00\x01\x80", "ends before its header"),
        (layout.MAGIC + b"\x00\x00\x00\x01\x80\x00\x01\x00\x01", "header announces 65537"),
        (layout.MAGIC + b"\x00\x00\x00\x01\x80\x00\x00\x00\x01\x80", "Header"),
    ],
)
def test_a_malformed_front_is_refused_by_name(trust, front, problem):
    with pytest.raises(MessageRefused, match=problem):
        open_(front, trust)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cipher": "AES-128-CBC"}, "encrypted with 'AES-128-CBC'"),
        ({"salt": b""}, "salt in the header has 0 bytes"),
        ({"commitment": bytes(31)}, "commitment in the header has 31"),
        ({"context": bytes(33)}, "context in the header has 33"),
    ],
)
def test_a_header_of_another_form_is_refused(parts, trust, changes, problem):
    header = replace(parts.parsed_header, **changes).encode()
    with pytest.raises(MessageRefused, match=problem):
        open_(replace(parts, header=header).whole, trust)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_is_changed_is_refused_and_nothing_else_is_raised(file, trust, data):
    """A bounded run of a fuzzer that cuts, writes over and inserts."""
    damaged = bytearray(file[:70_000])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        kind = data.draw(st.sampled_from(["cut", "write", "insert"]))
        if kind == "cut":
            del damaged[at : at + len(piece)]
        elif kind == "write":
            damaged[at : at + len(piece)] = piece
        else:
            damaged[at:at] = piece
    with pytest.raises(MessageRefused):
        open_(bytes(damaged), trust)


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=200), prefixed=st.booleans())
def test_noise_is_refused_by_the_parser(noise, prefixed):
    with pytest.raises(QuatrefoilError):
        read_front(io.BytesIO(layout.MAGIC * prefixed + noise))
