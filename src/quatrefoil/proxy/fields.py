"""Which header fields pass the proxy: a short list each way, and nothing else.

Whatever identifies the program, its version, its machine or its account stays here, and so does what belongs to a
connection. Of an answer nothing passes that a browser would obey: no cookies, no redirections, no CORS.
"""

from __future__ import annotations

from collections.abc import Iterable

from quatrefoil.errors import MessageRefused, RequestRefused

Fields = list[tuple[bytes, bytes]]

_SENT = frozenset((b"accept", b"content-type", b"inference-header-content-length"))
_RETURNED = frozenset(
    b"content-type inference-header-content-length retry-after retry-after-ms x-request-id x-should-retry".split()
)
_OF_FORMS = frozenset((b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"))


def sent(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """What of a request's fields is sealed and sent: those that say how to read it and what to answer."""
    return [(name.lower(), value) for name, value in fields if name.lower() in _SENT]


def returned(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """What of an answer's fields the client sees. An answer that is compressed is refused: nobody asked for that."""
    kept = []
    for name, value in fields:
        if name.lower() == b"content-encoding" and value.strip().lower() != b"identity":
            raise MessageRefused("the answer is compressed", hint="Tell the server's operator: it was not asked to be")
        if name.lower() in _RETURNED:
            kept.append((name.lower(), value))
    return kept


def one(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of a field; None where it is not there. ``RequestRefused`` where it is there twice."""
    values = [value.strip() for found, value in fields if found.lower() == name]
    if len(values) > 1:
        raise RequestRefused("a field that has one value is there twice", hint="Send it once")
    return values[0] if values else None


def require_no_form(fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse the content types that a web page can send to any server without asking it first."""
    kind = (one(fields, b"content-type") or b"").partition(b";")[0].strip().lower()
    if kind in _OF_FORMS:
        raise RequestRefused(
            "the content type is one of web forms", hint="Send content-type: application/json", status=415
        )


__all__ = ["Fields", "one", "require_no_form", "returned", "sent"]
