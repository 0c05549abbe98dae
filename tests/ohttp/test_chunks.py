"""Properties of chunked messages: any content in any pieces comes out as it went in, and any alteration is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ohttp.exchanges import LIMIT, gateway, opened, request_in_chunks

from quatrefoil.errors import MessageRefused
from quatrefoil.ohttp import RequestOpener, RequestSealer, ResponseOpener, ResponseSealer, varint

KEYS, CONFIGURATION = gateway()
parts = st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=6)


@given(parts, st.integers(1, 400))
def test_what_goes_in_comes_out_however_it_arrives(chunks: list[bytes], step: int) -> None:
    _, header, sent = request_in_chunks(CONFIGURATION, chunks)
    assert opened(KEYS, header + b"".join(sent), step) == chunks


@given(parts, parts, st.integers(1, 100))
def test_so_do_answers(chunks: list[bytes], answers: list[bytes], step: int) -> None:
    sealer, header, sent = request_in_chunks(CONFIGURATION, chunks)
    server = RequestOpener(KEYS, limit=LIMIT)
    server.feed(header + b"".join(sent))
    server.finish()
    reply = ResponseSealer(server.response)
    stream = b"".join(reply.seal(one) for one in answers) + reply.finish()
    client, found = ResponseOpener(sealer.response, limit=LIMIT), []
    for at in range(0, len(stream), step):
        found += client.feed(stream[at : at + step])
    assert [*found, client.finish()] == [*answers, b""]


@given(parts, st.data())
def test_any_alteration_is_refused(chunks: list[bytes], data: st.DataObject) -> None:
    """A flipped bit, a cut, or bytes put in anywhere."""
    _, header, sent = request_in_chunks(CONFIGURATION, chunks)
    stream = header + b"".join(sent)
    at = data.draw(st.integers(0, len(stream) - 1))
    flipped = bytearray(stream)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    inserted = stream[:at] + data.draw(st.binary(min_size=1, max_size=40)) + stream[at:]
    for altered in (bytes(flipped), stream[:at], stream[: at + 1] + stream[at:], inserted):
        if altered != stream:
            with pytest.raises(MessageRefused):
                opened(KEYS, altered)


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 32_768, 40_000])
@pytest.mark.parametrize("last", [0, 1, 16_384, 16_385])
def test_content_is_cut_into_chunks_that_every_receiver_takes(size: int, last: int) -> None:
    sealer = RequestSealer(CONFIGURATION)
    found = opened(KEYS, sealer.seal(bytes(size)) + sealer.finish(b"x" * last))
    assert b"".join(found) == bytes(size) + b"x" * last
    assert all(0 < len(one) <= 16_384 for one in found[:-1]) and len(found[-1]) <= 16_384


def test_longer_forms_of_a_length_are_read() -> None:
    """They are not authenticated, and name the same bytes."""
    _, header, (first, last) = request_in_chunks(CONFIGURATION, [b"one", b"two"])
    sealed = first[1:]
    assert varint.prefixed(sealed) == first
    for long in (b"\x40", b"\x80\x00\x00", b"\xc0" + bytes(6)):
        stream = header + long + bytes([len(sealed)]) + sealed + long + b"\x00" + last[1:]
        assert opened(KEYS, stream) == [b"one", b"two"]
