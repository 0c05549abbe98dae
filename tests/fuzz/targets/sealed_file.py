"""Sealed files: what anybody can write, and the wrapping of a member who signs whatever it likes."""

from __future__ import annotations

import io
from functools import cache

from tests.fuzz import rooms
from tests.fuzz.held import refused_or

from quatrefoil.transport import sealed, statement, system_clock
from quatrefoil.transport.sealed import HYBRID_768, Judged, RecipientKey, layout
from quatrefoil.transport.sealed.opening import open_early
from quatrefoil.transport.sealed.wrapping import read_front, unwrap, write_front

CONTENT = b"content" * 30


@cache
def key() -> RecipientKey:
    return RecipientKey.generate(HYBRID_768)


@cache
def sealed_once() -> bytes:
    sink = io.BytesIO()
    sealed.seal(
        io.BytesIO(CONTENT),
        sink,
        recipients=[key().recipient],
        sender=rooms.member(),
        context=b"",
        minimum=HYBRID_768,
        clock=system_clock,
    )
    return sink.getvalue()


def seeds() -> list[bytes]:
    wrapping, _ = read_front(io.BytesIO(sealed_once()))
    return [b"\0" + sealed_once(), b"\0" + sealed_once()[:200], b"\1" + statement.Signed.decode(wrapping).body]


def one(data: bytes) -> None:
    """By the first byte: a whole file, or the body of a wrapping for a header that is sound."""
    how, content = data[:1], data[1:]
    if how == b"\1":
        _, header = read_front(io.BytesIO(sealed_once()))
        signed = statement.sign(content, rooms.member())
        refused_or(
            lambda: unwrap(signed, header, key(), rooms.trust(), judged=Judged.AT_CLAIMED_TIME, clock=system_clock)
        )
        return
    front = refused_or(lambda: read_front(io.BytesIO(content)))
    if front is not None:
        again = io.BytesIO()
        write_front(again, *front)
        assert content.startswith(again.getvalue())
    sink = io.BytesIO()
    opened = refused_or(
        lambda: open_early(
            io.BytesIO(content),
            sink,
            key=key(),
            trust=rooms.trust(),
            sender=None,
            context=b"",
            judged=Judged.NOW,
            clock=system_clock,
        )
    )
    if opened is not None:
        assert sink.getvalue() == CONTENT and content == sealed_once()
    assert len(sink.getvalue()) <= len(content) + layout.CHUNK
