"""Lists of keys: read whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ohttp.exchanges import gateway

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.ohttp import KeyConfiguration, decode_list, encode_list
from quatrefoil.ohttp.hpke_context import HYBRID

PUBLIC = bytes(range(256)) * 4 + bytes(192)
ONE = KeyConfiguration(1, PUBLIC)


def entry(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def algorithms(*pairs: str) -> bytes:
    return entry(bytes.fromhex("".join(pairs)))


HEAD = b"\x01\x64\x7a" + PUBLIC
CLASSICAL = entry(bytes.fromhex("090020") + bytes(32) + algorithms("00010001"))


def test_a_list_is_read_as_it_was_written() -> None:
    keys = (ONE, KeyConfiguration(255, PUBLIC[::-1]))
    assert decode_list(encode_list(keys)) == keys
    assert encode_list((ONE,)) == entry(HEAD + algorithms("00010002"))


def test_what_is_not_ours_is_passed_over() -> None:
    of_another_aead = entry(b"\x02" + HEAD[1:] + algorithms("00010001", "00010003"))
    with_ours_last = entry(HEAD + algorithms("00010001", "00010002"))
    assert decode_list(CLASSICAL + of_another_aead + with_ours_last) == (ONE,)
    with pytest.raises(MessageRefused, match="no key of HPKE suite 647a00010002"):
        decode_list(CLASSICAL + of_another_aead)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x00\x00",
        entry(b"\x01\x64"),
        entry(HEAD),
        entry(HEAD + b"\x00\x00"),
        entry(HEAD + b"\x00\x03abc"),
        entry(HEAD + b"\x00\x08" + bytes(4)),
        entry(HEAD + algorithms("00010002") + b"x"),
        entry(HEAD[:-1] + algorithms("00010002")),
        encode_list((ONE,))[:-1],
        encode_list((ONE,)) + b"\x00",
        encode_list((ONE,)) * 2,
        encode_list((ONE,)) + entry(bytes.fromhex("010020") + bytes(32) + algorithms("00010001")),
        encode_list((ONE,)) + entry(b"\x02" + HEAD[1:]),
    ],
)
def test_a_fault_anywhere_refuses_the_whole_list(data: bytes) -> None:
    with pytest.raises(MessageRefused):
        decode_list(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_keys_or_refused(data: bytes) -> None:
    for start in (b"", entry(HEAD + algorithms("00010002"))):
        try:
            assert decode_list(start + data)[0] == ONE
        except MessageRefused:
            continue


@pytest.mark.parametrize(("key_id", "size"), [(-1, 1216), (256, 1216), (1, 1215), (1, 0)])
def test_what_is_no_configuration_is_not_made(key_id: int, size: int) -> None:
    with pytest.raises(CallerError):
        KeyConfiguration(key_id, bytes(size))


def test_identifiers_are_unique() -> None:
    for keys in ((), (ONE, ONE)):
        with pytest.raises(CallerError):
            encode_list(keys)


def test_the_header_is_the_beginning_of_a_request() -> None:
    _, configuration = gateway(9)
    assert configuration.header == b"\x09" + HYBRID.identifiers == bytes.fromhex("09647a00010002")
