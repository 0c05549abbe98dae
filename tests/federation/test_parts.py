"""Several byte strings as one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_parts_come_apart_as_they_were_joined(given_parts: list[bytes]) -> None:
    data = parts.join(given_parts)
    assert parts.split(data, len(given_parts)) == given_parts
    assert parts.split_list(data, 6) == given_parts


def test_the_form_is_the_documented_one() -> None:
    assert parts.join([b"ab", b""]).hex() == "00000002" + "0000000000000002" + "0000000000000000" + "6162"


@given(st.lists(st.binary(max_size=9), max_size=4), st.lists(st.binary(max_size=9), max_size=4))
def test_no_two_lists_have_the_same_form(one: list[bytes], other: list[bytes]) -> None:
    assert (parts.join(one) == parts.join(other)) == (one == other)


GOOD = parts.join([b"abc", b"d"])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "0 bytes ends inside its header"),
        (GOOD[:10], "10 bytes ends inside its header"),
        (GOOD[:-1], "23 bytes announces 24"),
        (GOOD + b"x", "25 bytes announces 24"),
        (parts.join([b"abc", b"d", b""]), "3 parts, not 2"),
        (b"\x00\x00\x00\x01" + GOOD[4:], "1 parts, not 2"),
        (b"\x00\x00\x00\x02" + b"\xff" * 16 + b"abcd", "announces"),
    ],
    ids=["nothing", "cut in the header", "cut off", "a byte more", "a part more", "a lie", "enormous lengths"],
)
def test_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        parts.split(data, 2)


def test_a_list_is_no_longer_than_expected() -> None:
    with pytest.raises(MessageRefused, match="4294967295 parts, more than 16"):
        parts.split_list(b"\xff" * 100, 16)
    with pytest.raises(MessageRefused, match="ends inside its header"):
        parts.split_list(b"", 16)


@given(st.binary(max_size=60), st.integers(0, 4))
def test_no_bytes_raise_anything_else(data: bytes, count: int) -> None:
    with contextlib.suppress(MessageRefused):
        assert parts.join(parts.split(data, count)) == data
    with contextlib.suppress(MessageRefused):
        assert parts.join(parts.split_list(data, count)) == data
