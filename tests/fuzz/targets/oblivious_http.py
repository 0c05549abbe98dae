"""What a gateway and a client get from a relay: keys, whole messages, and streams in whatever pieces they arrive."""

from __future__ import annotations

from functools import cache

from tests.fuzz.held import refused_or

from quatrefoil.ohttp import (
    GatewayKeys,
    HybridKey,
    RequestOpener,
    RequestSealer,
    ResponseKeys,
    ResponseOpener,
    ResponseSealer,
    decode_list,
    encode_list,
    open_request,
    open_response,
    seal_request,
    seal_response,
)

CONTENT = [b"one", b"two", b"three"]


@cache
def keys() -> GatewayKeys:
    return GatewayKeys({1: HybridKey.generate()})


@cache
def exchanges() -> tuple[bytes, bytes, bytes, bytes]:
    """A whole request and its response, a chunked request and its response."""
    whole, _ = seal_request(keys().configurations[0], b"whole")
    answer = seal_response(open_request(whole, keys()).response, b"answer")
    sealer = RequestSealer(keys().configurations[0])
    chunked = sealer.seal(CONTENT[0]) + sealer.seal(CONTENT[1]) + sealer.finish(CONTENT[2])
    reply = ResponseSealer(answering(chunked))
    return whole, answer, chunked, reply.seal(CONTENT[0]) + reply.seal(CONTENT[1]) + reply.finish(CONTENT[2])


def answering(chunked: bytes) -> ResponseKeys:
    """The keys of the response, as both ends have them."""
    opener = RequestOpener(keys(), limit=100)
    opener.feed(chunked)
    opener.finish()
    return opener.response


def seeds() -> list[bytes]:
    whole, answer, chunked, reply = exchanges()
    return [
        b"\x00" + encode_list(keys().configurations),
        b"\x01" + whole,
        b"\x02" + answer,
        b"\x03\x07" + chunked,
        b"\x04\x09" + reply,
    ]


def one(data: bytes) -> None:
    """By the first byte: keys, a whole request or response, a stream (the next byte is its pace) of either kind."""
    how, content = data[0] % 5 if data else 0, data[1:]
    if how == 0:
        found = refused_or(lambda: decode_list(content))
        assert found is None or decode_list(encode_list(found)) == found
    elif how == 1:
        opened = refused_or(lambda: open_request(content, keys()))
        assert opened is None or (opened.content == b"whole" and content == exchanges()[0])
    elif how == 2:
        response = open_request(exchanges()[0], keys()).response
        answer = refused_or(lambda: open_response(response, content))
        assert answer is None or (answer == b"answer" and content == exchanges()[1])
    else:
        step, stream = max(1, content[0] if content else 1), content[1:]
        assert chunks(how, stream, step) in (None, CONTENT)
        assert chunks(how, stream, step) == chunks(how, stream, max(1, len(stream)))


def chunks(how: int, stream: bytes, step: int) -> list[bytes] | None:
    def run() -> list[bytes]:
        made = RequestOpener(keys(), limit=100) if how == 3 else ResponseOpener(answering(exchanges()[2]), limit=100)
        found = [one for at in range(0, len(stream), step) for one in made.feed(stream[at : at + step])]
        return [*found, made.finish()]

    return refused_or(run)
