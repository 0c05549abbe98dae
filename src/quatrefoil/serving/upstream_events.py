"""Events of a streamed answer as an upstream sends them (WHATWG HTML section 9.2.6), read as strictly as meant.

An upstream of OpenAI's API writes one kind of event: a single line ``data:`` with a JSON object, and at the end
``data: [DONE]``. That is all that is read, and comments, which are dropped. What a reader of event streams may also
write is refused: an ``event``, ``id`` or ``retry`` field, a second ``data`` line, anything after the end. A stream of
which one reader sees the end and another does not would be whole for one of them.
"""

from __future__ import annotations

import json
from typing import Any

from quatrefoil import strict_json
from quatrefoil.errors import EngineFailed

LARGEST_EVENT = 1 << 20
"""Bytes of one event: with log probabilities of many alternatives a token takes some kilobytes."""

_DATA, _DONE = b"data:", b"[DONE]"
_ENDS_FOR_SOME = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
"""Unicode's ends of lines, at which some readers of event streams split. In JSON they are within strings only."""


class EventReader:
    """Bytes in whatever pieces to whole events. After a refusal nothing more is to be fed."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._ended = False

    def feed(self, piece: bytes) -> bytes:
        """The events that end in ``piece``, each as ``data: ...`` and an empty line, or nothing.

        ``EngineFailed`` where something is no such event, or says that the upstream failed. No text of it is in there.
        """
        searched = max(0, len(self._held) - 2)
        if b"\r" in piece or self._held.endswith(b"\r"):
            piece = self._ended_by_lf(piece)
        self._held += piece
        if self._held.find(b"\n\n", searched) < 0:
            blocks, rest = [], self._held
        else:
            *blocks, rest = self._held.split(b"\n\n")
        whole = [self._event(block) for block in blocks]
        self._held = rest
        if len(rest) > LARGEST_EVENT:
            raise failed("an event is over the limit")
        if self._ended and rest.strip(b"\r\n"):
            raise failed("something follows the end of the stream")
        return b"".join(whole)

    @property
    def ended(self) -> bool:
        """Whether the upstream has said that the stream is whole."""
        return self._ended

    def _event(self, block: bytearray) -> bytes:
        lines = [line for line in block.split(b"\n") if line and not line.startswith(b":")]
        if not lines:
            return b""
        if self._ended:
            raise failed("something follows the end of the stream")
        if len(lines) > 1 or not lines[0].startswith(_DATA) or len(lines[0]) > LARGEST_EVENT:
            raise failed("an event is not one line of data, or over the limit")
        data = bytes(lines[0][len(_DATA) :]).strip(b" ")
        if data == _DONE:
            self._ended = True
        else:
            document(data, limit=LARGEST_EVENT)
            if b"\xc2\x85" in data or b"\xe2\x80" in data:
                for character, escaped in _ENDS_FOR_SOME:
                    data = data.replace(character, escaped)
        return b"data: " + data + b"\n\n"

    def _ended_by_lf(self, piece: bytes) -> bytes:
        """``piece`` with LF for CR and LF. CR by itself is refused, but at the very end, where its LF may follow."""
        if self._held.endswith(b"\r"):
            del self._held[-1:]
            piece = b"\r" + piece
        piece = piece.replace(b"\r\n", b"\n")
        if b"\r" in piece[:-1]:
            raise failed("a line ends with CR")
        return piece


def document(data: bytes, *, limit: int) -> dict[str, Any]:
    """The JSON object that an upstream answers, or ``EngineFailed``: also where it is an error of the upstream's."""
    found = _parsed(data, limit)
    if type(found) is not dict:
        raise failed("something is no JSON object, or over the limit")
    if found.get("error") is not None:
        raise failed("it says that it failed")
    return found


def failed(problem: str) -> EngineFailed:
    """The error of an upstream that does not do what it should."""
    return EngineFailed(f"the upstream failed: {problem}", hint="Try again, or look into the upstream's own log")


def _parsed(data: bytes, limit: int) -> Any:
    """``None`` for what is no JSON: an error raised in here would carry, as its context, one that quotes the data.

    Not ``strict_json.parse``: looking for brackets beforehand costs four times what reading does, for each token, and
    the upstream is measured code. Nesting ends where the reader's recursion does.
    """
    if len(data) > limit:
        return None
    try:
        return _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


# Made once: json.loads makes one for every call that is not plain.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=strict_json.no_number)
