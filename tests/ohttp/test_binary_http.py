"""Binary HTTP: what is written is read again, in whatever pieces; what is no message is refused, and not shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import oblivious

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.ohttp import (
    Buckets,
    Content,
    Limits,
    NoPadding,
    Padme,
    PowerOfTwo,
    Request,
    RequestDecoder,
    RequestHead,
    Response,
    ResponseDecoder,
    ResponseHead,
    StreamEncoder,
    Trailers,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    varint,
)

HEAD = RequestHead(b"POST", b"https", b"model.example:443", b"/v2/models/m/infer?x=1", ((b"accept", b"*/*"),))
WHOLE = encode_request(Request(HEAD, b"content"), padding=NoPadding())

tokens = st.from_regex(rb"[!#$%&'*+.^_`|~0-9a-z-]{1,12}", fullmatch=True).map(lambda name: b"x-" + name)
values = st.binary(max_size=30).map(lambda value: value.translate(None, b"\x00\r\n").strip(b" \t"))
sections = st.lists(st.tuples(tokens, values), max_size=5).map(tuple)
heads = st.builds(
    RequestHead,
    method=st.sampled_from([b"GET", b"POST", b"PATCH"]),
    scheme=st.sampled_from([b"https", b"http"]),
    authority=st.sampled_from([b"", b"a.example", b"[::1]:8443"]),
    path=st.from_regex(rb"/[!-\"$-~]{0,30}", fullmatch=True),
    fields=sections,
)
requests = st.builds(Request, head=heads, content=st.binary(max_size=300), trailers=sections)
interim = st.builds(ResponseHead, status=st.sampled_from([100, 102, 103, 199]), fields=sections)
responses = st.builds(
    Response,
    head=st.builds(ResponseHead, status=st.integers(200, 599), fields=sections),
    content=st.binary(max_size=300),
    trailers=sections,
    informational=st.lists(interim, max_size=3).map(tuple),
)
paddings = st.sampled_from([NoPadding(), PowerOfTwo(1), PowerOfTwo(), Padme(1), Padme(), Buckets((100, 1000))])


@given(requests, paddings)
def test_a_request_is_read_as_it_was_written(request: Request, padding) -> None:
    encoded = encode_request(request, padding=padding)
    assert decode_request(encoded) == request
    theirs = oblivious.parse(encoded)
    assert (theirs["content"], tuple(theirs["fields"])) == (request.content, request.head.fields)
    assert len(encoded) == padding.padded(len(encode_request(request, padding=NoPadding())))


@given(responses, paddings)
def test_a_response_is_read_as_it_was_written(response: Response, padding) -> None:
    encoded = encode_response(response, padding=padding)
    assert decode_response(encoded) == response
    theirs = oblivious.parse(encoded)
    assert (theirs["control"], theirs["content"]) == (response.head.status, response.content)


def streamed(response: Response, parts: list[bytes], padding) -> bytes:
    encoder = StreamEncoder(response.head)
    out = b"".join(encoder.informational(one) for one in response.informational) + encoder.head()
    out += b"".join(encoder.content(part) for part in parts)
    return out + encoder.end(response.trailers, padding=padding, sent=len(out))


@given(responses, st.lists(st.binary(max_size=40), max_size=6), paddings, st.integers(1, 50))
def test_a_stream_is_read_in_whatever_pieces_it_arrives(response: Response, parts, padding, step: int) -> None:
    encoded = streamed(response, parts, padding)
    decoder, events = ResponseDecoder(), []
    for at in range(0, len(encoded), step):
        events += decoder.feed(encoded[at : at + step])
    events += decoder.finish()
    assert tuple(one for one in events if isinstance(one, ResponseHead)) == (*response.informational, response.head)
    assert b"".join(one.data for one in events if isinstance(one, Content)) == b"".join(parts)
    assert events[-1] == Trailers(response.trailers)
    assert decode_response(encoded).content == oblivious.parse(encoded)["content"] == b"".join(parts)
    assert len(encoded) == padding.padded(len(streamed(response, parts, NoPadding())))


def test_content_is_given_out_as_it_comes() -> None:
    encoder, decoder = StreamEncoder(ResponseHead(200)), ResponseDecoder()
    assert decoder.feed(encoder.head()) == [ResponseHead(200)]
    for part in (b"a", b"token", b"x" * 9000):
        assert decoder.feed(encoder.content(part)) == [Content(part)]
    assert encoder.content(b"") == b""
    assert decoder.feed(encoder.end(padding=NoPadding())) == [Trailers(())] and decoder.finish() == []


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_give_a_message_or_a_refusal_however_they_arrive(data: bytes, step: int) -> None:
    def outcome(cut: int) -> object:
        decoder = RequestDecoder(Limits(content=100, section=100, padding=50))
        try:
            events = [one for at in range(0, len(data), cut) for one in decoder.feed(data[at : at + cut])]
            events += decoder.finish()
        except MessageRefused as refused:
            return str(refused)
        return [one for one in events if not isinstance(one, Content)]

    assert outcome(step) == outcome(max(1, len(data)))


@st.composite
def altered(draw: st.DrawFn, encoded: st.SearchStrategy[bytes]) -> bytes:
    """A message with some bytes replaced, or cut, or with others after it."""
    data = bytearray(draw(encoded))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(1, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))] if draw(st.booleans()) else data + draw(st.binary(max_size=4)))


TIGHT = Limits(control=20, section=60, fields=3, content=100, padding=50, informational=1)


def outcome(read) -> object:
    try:
        return read()
    except MessageRefused as refusal:
        return refusal.problem


@given(
    altered(st.builds(encode_request, requests, padding=paddings))
    | altered(st.builds(encode_response, responses, padding=paddings))
    | st.binary(min_size=1, max_size=60).map(lambda data: bytes([data[0] % 2]) + data[1:]),
    st.sampled_from([Limits(), TIGHT]),
)
def test_a_message_that_is_there_is_read_as_one_that_arrives(data: bytes, limits: Limits) -> None:
    reads, decoder = (
        (decode_request, RequestDecoder(limits)) if data[0] == 0 else (decode_response, ResponseDecoder(limits))
    )

    def arrived() -> object:
        events = decoder.feed(data) + decoder.finish()
        heads = tuple(one for one in events if isinstance(one, RequestHead | ResponseHead))
        content = b"".join(one.data for one in events if isinstance(one, Content))
        (trailers,) = [one.fields for one in events if isinstance(one, Trailers)]
        return heads, content, trailers

    def there() -> object:
        found = reads(data, limits)
        return (*getattr(found, "informational", ()), found.head), found.content, found.trailers

    assert outcome(there) == outcome(arrived)


@given(requests, st.data())
def test_a_message_that_is_cut_is_refused_or_lacks_only_what_is_empty(request: Request, data) -> None:
    encoded = encode_request(request, padding=NoPadding())
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    try:
        assert decode_request(cut) == request or (
            cut.endswith(request.head.path) or request.content or request.trailers
        )
    except MessageRefused:
        return


# ------------------------------------------------------------------------------------------------- what is no message


def known(fields: bytes = b"", content: bytes = b"", trailers: bytes = b"", *, rest: bytes = b"") -> bytes:
    """A request of known length whose sections are given as bytes."""
    start = b"\x00" + b"".join(map(varint.prefixed, (b"GET", b"https", b"a", b"/")))
    return start + b"".join(map(varint.prefixed, (fields, content, trailers))) + rest


def line(name: bytes, value: bytes = b"v") -> bytes:
    return varint.prefixed(name) + varint.prefixed(value)


def control(*parts: bytes) -> bytes:
    return b"\x00" + b"".join(map(varint.prefixed, parts)) + bytes(3)


REFUSED = {
    "nothing at all": (b"", "ends inside"),
    "a response": (b"\x01\x40\xc8", "framing indicator"),
    "an unknown indicator": (b"\x04", "framing indicator"),
    "a huge indicator": (b"\xff" * 8, "framing indicator"),
    "no method": (control(b"", b"https", b"a", b"/"), "method"),
    "a method with a space": (control(b"GET /", b"https", b"a", b"/"), "method"),
    "CONNECT": (control(b"CONNECT", b"https", b"a", b"/"), "method"),
    "no scheme": (control(b"GET", b"", b"a", b"/"), "scheme"),
    "a scheme with a colon": (control(b"GET", b"http:", b"a", b"/"), "scheme"),
    "user information": (control(b"GET", b"https", b"u@a", b"/"), "authority"),
    "an authority with a path": (control(b"GET", b"https", b"a/b", b"/"), "authority"),
    "no path": (control(b"GET", b"https", b"a", b""), "path"),
    "a path without a slash": (control(b"GET", b"https", b"a", b"x"), "path"),
    "a path with a line break": (control(b"GET", b"https", b"a", b"/ HTTP/1.1\r\nx: y"), "path"),
    "a path with a fragment": (control(b"GET", b"https", b"a", b"/#x"), "path"),
    "an asterisk": (control(b"GET", b"https", b"a", b"*"), "path"),
    "control data over the limit": (control(b"GET", b"https", b"a", b"/" * 9000), "over the limit"),
    "a field without a name": (known(line(b"")), "no name"),
    "a field name with a space": (known(line(b"a b")), "no token"),
    "a field name with a colon": (known(line(b":path")), "no token"),
    "an unknown pseudo-field": (known(line(b":protocol")), "no token"),
    "a value with a line break": (known(line(b"a", b"b\r\nc: d")), "NUL, CR or LF"),
    "a value with a line feed": (known(line(b"a", b"b\nc")), "NUL, CR or LF"),
    "a value with NUL": (known(line(b"a", b"\x00")), "NUL, CR or LF"),
    "a value that begins with a space": (known(line(b"a", b" b")), "either end"),
    "a value that ends with a tab": (known(line(b"a", b"b\t")), "either end"),
    "a value with a line feed at its end": (known(line(b"a", b"b\n")), "NUL, CR or LF"),
    "transfer coding": (known(line(b"transfer-encoding", b"chunked")), "connection"),
    "a connection field in capitals": (known(line(b"Connection", b"close")), "connection"),
    "two lengths": (known(line(b"content-length", b"0") * 2), "twice"),
    "two lengths, spelt apart": (known(line(b"content-length", b"0") + line(b"Content-Length", b"0")), "twice"),
    "two hosts": (known(line(b"host", b"a") + line(b"host", b"a")), "twice"),
    "two dates": (known(line(b"date") * 2), "twice"),
    "another host than the authority": (known(line(b"host", b"b")), "another authority"),
    "a length that is no number": (known(line(b"content-length", b"+1"), b"x"), "no number"),
    "a length that is none of ASCII": (known(line(b"content-length", "\u0661".encode()), b"x"), "no number"),
    "a length that is too small": (known(line(b"content-length", b"0"), b"x"), "size of the content"),
    "a length that is too large": (known(line(b"content-length", b"2"), b"x"), "size of the content"),
    "a length among the trailers": (known(b"", b"", line(b"content-length", b"0")), "trailers"),
    "a section that ends inside a name": (known(b"\x05ab"), "over what holds it"),
    "a section that ends before a value": (known(b"\x01a"), "over what holds it"),
    "a section that is cut off": (known()[:-3] + b"\x05\x01a", "ends inside"),
    "a section over the limit": (known()[:-3] + varint.encode(1 << 40), "over the limit"),
    "content over the limit": (known()[:-2] + varint.encode((64 << 20) + 1), "over the limit"),
    "content that is cut off": (known()[:-2] + b"\x05abcd", "ends inside"),
    "too many fields": (known(line(b"a") * 257), "too many fields"),
    "padding that is not zeros": (known(rest=bytes(99) + b"\x01"), "not padding"),
    "a second message": (known(rest=known(line(b"a"))), "not padding"),
    "a stream without an end": (b"\x02" + known()[1:-3] + b"\x00\x03abc", "ends inside"),
    "a stream that ends inside a chunk": (b"\x02" + known()[1:-3] + b"\x00\x03ab", "ends inside"),
    "a stream whose section does not end": (b"\x02" + known()[1:-3] + line(b"a"), "ends inside"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_request_is_refused(name: str) -> None:
    data, why = REFUSED[name]
    with pytest.raises(MessageRefused, match=why):
        decode_request(data)
    assert decode_request(known()) == Request(RequestHead(b"GET", b"https", b"a", b"/"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x01", "ends inside"),
        (b"\x01\x40\x63\x00\x00\x00", "100 to 599"),
        (b"\x01\x42\x58\x00\x00\x00", "100 to 599"),
        (b"\x01\x40\x65\x00\x40\xc8", "101"),
        (b"\x01\x40\x64\x00", "ends inside"),
        (b"\x01\x40\x64", "ends inside"),
        (b"\x01" + b"\x40\x66\x00" * 17 + b"\x40\xc8", "too many informational"),
        (b"\x00\x03GET", "framing indicator"),
        (b"\x01\x40\xc8" + varint.prefixed(line(b"content-length", b"3")) + b"\x02ab", "size of the content"),
    ],
)
def test_what_is_no_response_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MessageRefused, match=why):
        decode_response(data)


def test_a_length_without_content_may_answer_a_head_request() -> None:
    head = ResponseHead(200, ((b"content-length", b"3"),))
    assert decode_response(encode_response(Response(head), padding=NoPadding())) == Response(head)


def test_longer_forms_of_integers_are_read() -> None:
    """RFC 9292 section 3 allows them, and other writers make them."""
    long = b"\x40\x00" + b"".join(b"\x80\x00\x00" + bytes([len(one)]) + one for one in (b"GET", b"https", b"a", b"/"))
    assert decode_request(long) == decode_request(known())


@pytest.mark.parametrize("marker", [b"SECRETmarker"])
def test_no_refusal_shows_anything_of_the_message(marker: bytes) -> None:
    for data in (
        control(marker + b" ", b"https", b"a", b"/"),
        control(b"GET", b"https", b"a", b"/ " + marker),
        known(line(marker + b":")),
        known(line(b"a", marker + b"\n")),
        known(line(b"content-length", marker)),
        known(rest=marker),
    ):
        with pytest.raises(MessageRefused) as refused:
            decode_request(data)
        assert marker.decode() not in f"{refused.value} {refused.value.__cause__} {refused.value.__context__}"


def test_memory_is_bounded_by_what_has_arrived() -> None:
    decoder = RequestDecoder()
    decoder.feed(known()[:-2] + varint.encode(64 << 20))
    assert len(decoder._held) == 0
    for _ in range(50):
        assert sum(len(one.data) for one in decoder.feed(bytes(1000))) == 1000
    assert len(decoder._held) == 0


def test_many_small_chunks_make_one_event_and_are_counted() -> None:
    decoder = RequestDecoder(Limits(chunks=1000))
    decoder.feed(b"\x02" + known()[1:-3] + b"\x00")
    assert decoder.feed(b"\x01x" * 1000) == [Content(b"x" * 1000)]
    with pytest.raises(MessageRefused, match="too many chunks"):
        decoder.feed(b"\x01x")


def test_a_decoder_that_has_refused_or_ended_takes_nothing() -> None:
    decoder = RequestDecoder()
    with pytest.raises(MessageRefused):
        decoder.feed(b"\x09")
    ended = RequestDecoder()
    ended.feed(known())
    ended.finish()
    for one in (decoder, ended):
        with pytest.raises(CallerError):
            one.feed(b"")
        with pytest.raises(CallerError):
            one.finish()
