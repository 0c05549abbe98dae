"""Binary HTTP: what would be refused is not written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import oblivious

from quatrefoil.errors import CallerError
from quatrefoil.ohttp import (
    NoPadding,
    Request,
    RequestHead,
    Response,
    ResponseHead,
    StreamEncoder,
    encode_request,
    encode_response,
    varint,
)

BAD_HEADS = [
    RequestHead(b"GET /", b"https", b"", b"/"),
    RequestHead(b"GET", b"https", b"", b"/\r\nx"),
    RequestHead(b"GET", b"https", b"", b"/", ((b"a", b"b\r\nc: d"),)),
    RequestHead(b"GET", b"https", b"", b"/", ((b"connection", b"close"),)),
]


@pytest.mark.parametrize("head", BAD_HEADS, ids=range(len(BAD_HEADS)))
def test_what_would_be_refused_is_not_written(head: RequestHead) -> None:
    with pytest.raises(CallerError, match="no binary message"):
        encode_request(Request(head), padding=NoPadding())
    with pytest.raises(CallerError):
        StreamEncoder(head)


@pytest.mark.parametrize("status", [0, 99, 100, 199, 600])
def test_a_response_is_written_with_a_final_status_only(status: int) -> None:
    with pytest.raises(CallerError):
        encode_response(Response(ResponseHead(status)), padding=NoPadding())
    with pytest.raises(CallerError):
        StreamEncoder(ResponseHead(status))


def test_parts_of_a_stream_are_written_in_their_order() -> None:
    encoder = StreamEncoder(ResponseHead(200, ((b"content-length", b"3"),)))
    with pytest.raises(CallerError):
        encoder.content(b"x")
    with pytest.raises(CallerError):
        encoder.informational(ResponseHead(200))
    encoder.head()
    for early in (encoder.head, lambda: encoder.informational(ResponseHead(103))):
        with pytest.raises(CallerError):
            early()
    encoder.content(b"xy")
    with pytest.raises(CallerError, match="size of the content"):
        encoder.end(padding=NoPadding())
    encoder.content(b"z")
    encoder.end(padding=NoPadding())
    with pytest.raises(CallerError):
        encoder.content(b"x")


@given(st.integers(0, varint.LARGEST))
def test_integers_are_read_as_they_were_written(value: int) -> None:
    encoded = varint.encode(value)
    assert varint.size_of(encoded[0]) == len(encoded) and varint.value_of(encoded) == value
    if value < 1 << 30:
        assert oblivious.integer(encoded) == (value, b"") and oblivious.number_of(value) == encoded


@pytest.mark.parametrize("value", [-1, 1 << 62])
def test_an_integer_out_of_range_is_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="2\\^62"):
        varint.encode(value)
