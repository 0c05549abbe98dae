"""HTTP messages as values, and the rules that they keep to: the same for what we write and for what we read.

From RFC 9110 sections 5 and 8, RFC 9113 sections 8.2 and 8.3, RFC 9292 section 3. In four points we are stricter than
RFC 9292, because what one reader drops and the next one obeys is how requests are smuggled: no pseudo-fields at all, no
fields that belong to a connection, no CONNECT, and one value each for fields that have one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Fields = tuple[tuple[bytes, bytes], ...]
"""Names and values, in order. Names are compared without regard to case."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"(?:[^\x00\r\n\t ](?:[^\x00\r\n]*[^\x00\r\n\t ])?)?")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")
_AUTHORITY = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=:%\[\]]*")
_PATH = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_DIGITS = re.compile(rb"[0-9]{1,18}")

_OF_A_CONNECTION = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade")
)
_ONCE = frozenset(
    b"authorization content-length content-type date host inference-header-content-length"
    b" location range retry-after".split()
)
_NOT_IN_TRAILERS = (_ONCE - {b"date"}) | {b"content-encoding", b"cookie", b"set-cookie"}


@dataclass(frozen=True)
class RequestHead:
    """Control data and header section of a request. ``authority`` may be empty, where a Host field is there."""

    method: bytes
    scheme: bytes
    authority: bytes
    path: bytes
    fields: Fields = ()


@dataclass(frozen=True)
class ResponseHead:
    """Status 100 to 599 and header section: below 200 an informational response, after which another head comes."""

    status: int
    fields: Fields = ()


@dataclass(frozen=True)
class Request:
    """A whole request."""

    head: RequestHead
    content: bytes = b""
    trailers: Fields = ()


@dataclass(frozen=True)
class Response:
    """A whole response. ``informational``: what came before ``head``, each with a status of 100 to 199."""

    head: ResponseHead
    content: bytes = b""
    trailers: Fields = ()
    informational: tuple[ResponseHead, ...] = ()


def values_of(fields: Fields, name: bytes) -> list[bytes]:
    """Every value of a field, in order."""
    name = name.lower()
    return [value for one, value in fields if one.lower() == name]


def problem_of_request(head: RequestHead) -> str:
    """What is wrong with a request's head; empty if nothing is. No text of the message is in it."""
    if not _TOKEN.fullmatch(head.method) or head.method.upper() == b"CONNECT":
        return "the method is no token, or CONNECT"
    if not _SCHEME.fullmatch(head.scheme):
        return "the scheme is not one of a URI"
    if not _AUTHORITY.fullmatch(head.authority):
        return "the authority is not a host with or without a port"
    if not (_PATH.fullmatch(head.path) or (head.path == b"*" and head.method == b"OPTIONS")):
        return "the path does not begin with a slash, or has bytes that are not of a path"
    if head.authority and any(host.lower() != head.authority.lower() for host in values_of(head.fields, b"host")):
        return "the Host field names another authority"
    return problem_of_fields(head.fields)


def problem_of_response(head: ResponseHead) -> str:
    """What is wrong with a response's head; empty if nothing is."""
    if not 100 <= head.status <= 599:
        return "the status is not from 100 to 599"
    if head.status == 101:
        return "status 101 belongs to a connection, not to a message"
    return problem_of_fields(head.fields)


def problem_of_fields(fields: Fields, *, trailers: bool = False) -> str:
    """What is wrong with a field section; empty if nothing is."""
    if not fields:
        return ""
    names = [name.lower() for name, _ in fields]
    different = frozenset(names)
    if not all(map(_TOKEN.fullmatch, names)):
        return "a field name is no token"
    if not all(map(_VALUE.fullmatch, [value for _, value in fields])):
        return "a field value has NUL, CR or LF, or a space at either end"
    if not _OF_A_CONNECTION.isdisjoint(different):
        return "a field belongs to a connection, not to a message"
    if len(different) < len(names) and any(names.count(name) > 1 for name in _ONCE & different):
        return "a field that has one value is there twice"
    if b"content-length" in different and not all(map(_DIGITS.fullmatch, values_of(fields, b"content-length"))):
        return "Content-Length is no number"
    if trailers and not _NOT_IN_TRAILERS.isdisjoint(different):
        return "a field is among the trailers that says how to read the message"
    return ""


def problem_of_length(head: RequestHead | ResponseHead, size: int) -> str:
    """Whether Content-Length is the size of the content (RFC 9113 section 8.1.1).

    A response may have one and no content: the answer to HEAD, or 304.
    """
    if isinstance(head, ResponseHead) and size == 0:
        return ""
    wrong = any(int(value) != size for value in values_of(head.fields, b"content-length"))
    return "Content-Length is not the size of the content" if wrong else ""
