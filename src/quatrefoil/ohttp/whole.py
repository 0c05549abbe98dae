"""Binary HTTP messages of known length (RFC 9292 section 3.1) that are all there: read in one pass.

``decoder.py`` reads the same messages as they arrive, and waits between any two bytes; for a message that has arrived,
to wait costs more than to read. Both accept the same bytes and refuse the others in the same words: tests hold the one
to the other. Content is copied once.
"""

from __future__ import annotations

from quatrefoil.ohttp.decoder import Limits, hold, refuse
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
from quatrefoil.ohttp.varint import value_of

REQUEST, RESPONSE = 0, 1
"""The framing indicator in its shortest form, which is the first byte (section 3.3)."""


def read_request(data: bytes, limits: Limits) -> Request:
    """The request in ``data``, which begins with :data:`REQUEST`; or ``MessageRefused``."""
    method, at = _prefixed(data, 1, limits.control)
    scheme, at = _prefixed(data, at, limits.control)
    authority, at = _prefixed(data, at, limits.control)
    path, at = _prefixed(data, at, limits.control)
    fields, at = _section(data, at, limits, optional=True)
    head = RequestHead(method, scheme, authority, path, fields)
    hold(problem_of_request(head))
    return Request(head, *_body(data, at, head, limits))


def read_response(data: bytes, limits: Limits) -> Response:
    """The response in ``data``, which begins with :data:`RESPONSE`; or ``MessageRefused``."""
    at, informational = 1, list[ResponseHead]()
    while len(informational) <= limits.informational:
        status, at = _integer(data, at)
        fields, at = _section(data, at, limits, optional=status >= 200)
        head = ResponseHead(status, fields)
        hold(problem_of_response(head))
        if status >= 200:
            return Response(head, *_body(data, at, head, limits), informational=tuple(informational))
        informational.append(head)
    refuse("too many informational responses come before it")


def _body(data: bytes, at: int, head: RequestHead | ResponseHead, limits: Limits) -> tuple[bytes, Fields]:
    content = b""
    if at < len(data):
        size, at = _integer(data, at)
        if size > limits.content:
            refuse("its content is over the limit")
        content, at = _bytes(data, at, size)
    hold(problem_of_length(head, len(content)))
    trailers, at = _section(data, at, limits, optional=True)
    hold(problem_of_fields(trailers, trailers=True))
    padding = len(data) - at
    if padding > limits.padding or data.count(0, at) != padding:
        refuse("what follows it is not padding, or is over the limit")
    return content, trailers


def _section(data: bytes, at: int, limits: Limits, *, optional: bool) -> tuple[Fields, int]:
    """A field section; one that is ``optional`` may be left out where the message ends (section 3.8)."""
    if optional and at == len(data):
        return (), at
    left, at = _integer(data, at)
    if left > limits.section:
        refuse("a field section is over the limit")
    end = at + left
    found: list[tuple[bytes, bytes]] = []
    while at < end:
        name, at = _prefixed(data, at, end - at)
        if not name:
            refuse("a field has no name")
        value, at = _prefixed(data, at, end - at)
        found.append((name, value))
        if len(found) > limits.fields:
            refuse("a section has too many fields")
    return tuple(found), at


def _prefixed(data: bytes, at: int, left: int) -> tuple[bytes, int]:
    """Bytes after their length, both in the next ``left`` bytes; and where they end."""
    size, start = _integer(data, at)
    if start - at + size > left:
        refuse("a length is over what holds it, or over the limit")
    return _bytes(data, start, size)


def _integer(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        refuse("it ends inside one of its parts")
    first = data[at]
    if first < 0x40:
        return first, at + 1
    encoded, at = _bytes(data, at, 1 << (first >> 6))
    return value_of(encoded), at


def _bytes(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    end = at + size
    if end > len(data):
        refuse("it ends inside one of its parts")
    return data[at:end], end
