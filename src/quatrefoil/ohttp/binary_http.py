"""Binary HTTP messages (RFC 9292): writing them, whole or part by part, and reading them whole.

Whole messages have a known length; a stream has an indeterminate one, of chunks that need not be those of the
encryption. ``decoder.py`` reads both as they arrive, ``whole.py`` a message of known length that is there. What a
message may hold is in ``messages.py``; text is bytes throughout.
"""

from __future__ import annotations

from quatrefoil.errors import CallerError
from quatrefoil.ohttp import varint, whole
from quatrefoil.ohttp.decoder import LIMITS, Content, Event, Limits, RequestDecoder, ResponseDecoder, Trailers
from quatrefoil.ohttp.messages import (
    Fields,
    Request,
    RequestHead,
    Response,
    ResponseHead,
    problem_of_fields,
    problem_of_length,
    problem_of_request,
    problem_of_response,
)
from quatrefoil.ohttp.padding import Padding, padding_for

CONTENT_TYPE = "message/bhttp"

KNOWN_REQUEST, KNOWN_RESPONSE, STREAM_REQUEST, STREAM_RESPONSE = range(4)
"""Framing indicators (section 3.3)."""
_WHOLE_REQUEST, _WHOLE_RESPONSE = bytes([whole.REQUEST]), bytes([whole.RESPONSE])


def encode_request(request: Request, *, padding: Padding) -> bytes:
    """A request of known length (section 3.1), padded. ``CallerError`` where it is no valid message."""
    _check(problem_of_request(request.head) or problem_of_length(request.head, len(request.content)))
    body = _known_body(request.head.fields, request.content, request.trailers)
    return _padded([varint.encode(KNOWN_REQUEST), _control(request.head), *body], padding)


def encode_response(response: Response, *, padding: Padding) -> bytes:
    """A response of known length, padded."""
    _check_final(response.head)
    _check(problem_of_length(response.head, len(response.content)))
    encoded = [varint.encode(KNOWN_RESPONSE)]
    for one in response.informational:
        _check_informational(one)
        encoded += [varint.encode(one.status), varint.prefixed(_lines(one.fields))]
    body = _known_body(response.head.fields, response.content, response.trailers)
    return _padded([*encoded, varint.encode(response.head.status), *body], padding)


def decode_request(data: bytes, limits: Limits = LIMITS) -> Request:
    """The request in ``data``, of known or indeterminate length, or ``MessageRefused``."""
    if data[:1] == _WHOLE_REQUEST:
        return whole.read_request(data, limits)
    decoder = RequestDecoder(limits)
    head, *events = decoder.feed(data) + decoder.finish()
    assert isinstance(head, RequestHead)
    return Request(head, *_body(events))


def decode_response(data: bytes, limits: Limits = LIMITS) -> Response:
    """The response in ``data``, of known or indeterminate length, or ``MessageRefused``."""
    if data[:1] == _WHOLE_RESPONSE:
        return whole.read_response(data, limits)
    decoder = ResponseDecoder(limits)
    events = decoder.feed(data) + decoder.finish()
    heads = [one for one in events if isinstance(one, ResponseHead)]
    return Response(heads[-1], *_body(events), informational=tuple(heads[:-1]))


class StreamEncoder:
    """A message of indeterminate length (section 3.2), part by part. Each method gives the bytes to be sent next.

    Nothing hides the sizes of the parts: padding stands at the end only (section 3.8). See ``batching.py``.
    """

    def __init__(self, head: RequestHead | ResponseHead) -> None:
        """``head``: a request's, or a response's with a final status."""
        if isinstance(head, RequestHead):
            _check(problem_of_request(head))
            self._start = varint.encode(STREAM_REQUEST) + _control(head)
        else:
            _check_final(head)
            self._start = varint.encode(head.status)
        self._head = head
        self._informed = False
        self._begun = self._ended = False
        self._size = 0

    def informational(self, head: ResponseHead) -> bytes:
        """A response with status 100 to 199, before the head."""
        _check_informational(head)
        if isinstance(self._head, RequestHead) or self._begun:
            raise CallerError("an informational response is out of place", hint="Send it before the response's head")
        return self._indicator() + varint.encode(head.status) + _lines(head.fields) + varint.encode(0)

    def head(self) -> bytes:
        """Control data and header section, once, before anything else of the message."""
        if self._begun:
            raise CallerError("the head has been sent", hint="Send content")
        start = self._indicator() + self._start
        self._begun = True
        return start + _lines(self._head.fields) + varint.encode(0)

    def content(self, content: bytes) -> bytes:
        """One chunk of content; nothing for nothing."""
        self._check_open()
        self._size += len(content)
        return varint.prefixed(content) if content else b""

    def end(self, trailers: Fields = (), *, padding: Padding, sent: int = 0) -> bytes:
        """The end of content and the trailers, padded so that the whole has a size of ``padding`` if ``sent`` came
        before.

        ``CallerError`` where Content-Length in the head is not what was sent as content.
        """
        self._check_open()
        _check(problem_of_fields(trailers, trailers=True) or problem_of_length(self._head, self._size))
        self._ended = True
        last = varint.encode(0) + _lines(trailers) + varint.encode(0)
        return last + bytes(padding_for(sent + len(last), padding))

    def _indicator(self) -> bytes:
        """What a response begins with, whatever its first head is; a request's is in its start."""
        if isinstance(self._head, RequestHead) or self._informed:
            return b""
        self._informed = True
        return varint.encode(STREAM_RESPONSE)

    def _check_open(self) -> None:
        if not self._begun or self._ended:
            raise CallerError(
                "there is no head yet, or the message has ended", hint="Send head, content, end, in this order"
            )


def _control(head: RequestHead) -> bytes:
    return b"".join(map(varint.prefixed, (head.method, head.scheme, head.authority, head.path)))


def _lines(fields: Fields) -> bytes:
    return b"".join(varint.prefixed(name.lower()) + varint.prefixed(value) for name, value in fields)


def _known_body(fields: Fields, content: bytes, trailers: Fields) -> list[bytes]:
    _check(problem_of_fields(trailers, trailers=True))
    header, trailer = varint.prefixed(_lines(fields)), varint.prefixed(_lines(trailers))
    return [header, varint.encode(len(content)), content, trailer]


def _padded(parts: list[bytes], padding: Padding) -> bytes:
    """One message of its parts: the content is copied once."""
    return b"".join((*parts, bytes(padding_for(sum(map(len, parts)), padding))))


def _body(events: list[Event]) -> tuple[bytes, Fields]:
    content = b"".join(one.data for one in events if isinstance(one, Content))
    trailers = [one.fields for one in events if isinstance(one, Trailers)]
    return content, trailers[0] if trailers else ()


def _check_final(head: ResponseHead) -> None:
    _check(problem_of_response(head) or ("" if head.status >= 200 else "the status of the response is not final"))


def _check_informational(head: ResponseHead) -> None:
    _check(problem_of_response(head) or ("" if head.status < 200 else "the status is final"))


def _check(problem: str) -> None:
    if problem:
        raise CallerError(f"no binary message can be made: {problem}", hint="Pass a message as docs/ohttp.md has it")
