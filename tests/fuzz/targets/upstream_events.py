"""Streams of an upstream, the length of their first piece in front: whole events go on, however they are cut."""

from __future__ import annotations

from tests.fuzz.held import refused_or

from quatrefoil.ohttp import Padme, pad_events
from quatrefoil.serving.upstream_events import EventReader

ONE, TWO, DONE = b'data: {"choices": []}\n\n', b': a comment\r\ndata: {"a": "\\u00e9"}\r\n\r\n', b"data: [DONE]\n\n"


def seeds() -> list[bytes]:
    whole = ONE + TWO + ONE + DONE
    return [bytes([at]) + whole for at in (0, 7, len(ONE), len(ONE + TWO) - 2, len(whole))]


def one(data: bytes) -> None:
    at, sent = data[:1], data[1:]
    cut = at[0] if at else 0
    apart = refused_or(lambda: _read(sent[:cut], sent[cut:]))
    together = refused_or(lambda: _read(sent))
    assert apart == together
    if apart is None:
        return
    events, ended = apart
    assert pad_events(events, Padme(64)).startswith(events)
    assert events.endswith(DONE) if ended else DONE not in events
    assert _read(events) == (events, ended)


def _read(*pieces: bytes) -> tuple[bytes, bool]:
    reader = EventReader()
    return b"".join([reader.feed(piece) for piece in pieces]), reader.ended
