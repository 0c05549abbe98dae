"""Binary HTTP messages, requests and responses, in whatever pieces they arrive."""

from __future__ import annotations

from tests.fuzz.held import refused_or

from quatrefoil.ohttp import (
    Content,
    Limits,
    NoPadding,
    Request,
    RequestDecoder,
    RequestHead,
    Response,
    ResponseDecoder,
    ResponseHead,
    StreamEncoder,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)

LIMITS = Limits(control=512, section=2048, fields=32, content=4096, padding=4096, informational=4)
HEAD = RequestHead(b"POST", b"https", b"a.example", b"/x", ((b"content-type", b"text/plain"),))


def seeds() -> list[bytes]:
    encoder = StreamEncoder(ResponseHead(200, ((b"a", b"b"),)))
    stream = encoder.informational(ResponseHead(103)) + encoder.head() + encoder.content(b"abc")
    stream += encoder.end(((b"t", b"u"),), padding=NoPadding())
    request = encode_request(Request(HEAD, b"content", ((b"t", b"u"),)), padding=NoPadding())
    response = Response(ResponseHead(404), b"no", informational=(ResponseHead(102, ((b"a", b"b"),)),))
    return [
        b"\x00\x03" + request,
        b"\x00\x01\x02" + request[1:],
        b"\x01\x05" + stream,
        b"\x01\x40" + encode_response(response, padding=NoPadding()),
    ]


def events(kind: type[RequestDecoder | ResponseDecoder], data: bytes, step: int) -> object:
    """All events, content joined; ``None`` where it is refused."""

    def run() -> list[object]:
        decoder = kind(LIMITS)
        found = [one for at in range(0, len(data), step) for one in decoder.feed(data[at : at + step])]
        found += decoder.finish()
        content = b"".join(one.data for one in found if isinstance(one, Content))
        return [*(one for one in found if not isinstance(one, Content)), content]

    return refused_or(run)


def one(data: bytes) -> None:
    """The first byte says which kind, the second how many bytes arrive at a time."""
    if len(data) < 2:
        return
    kind, step, message = data[0] % 2, max(1, data[1]), data[2:]
    decoder = ResponseDecoder if kind else RequestDecoder
    assert events(decoder, message, step) == events(decoder, message, max(1, len(message)))
    if kind:
        response = refused_or(lambda: decode_response(message, LIMITS))
        if response is not None:
            written = encode_response(response, padding=NoPadding())
            assert decode_response(written, LIMITS) == lower_response(response)
    else:
        request = refused_or(lambda: decode_request(message, LIMITS))
        if request is not None:
            written = encode_request(request, padding=NoPadding())
            again = decode_request(written, LIMITS)
            assert (again.content, again.head.path) == (request.content, request.head.path)


def lower_response(response: Response) -> Response:
    """Names are written in small letters."""

    def lower(fields: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((name.lower(), value) for name, value in fields)

    heads = [ResponseHead(one.status, lower(one.fields)) for one in (*response.informational, response.head)]
    return Response(heads[-1], response.content, lower(response.trailers), tuple(heads[:-1]))
