"""The end of an event stream, held back until its receipt holds.

Readers of OpenAI's streams stop at the event ``[DONE]``: one that has it does not look whether the connection was cut
off after it. So it goes on last, when the stream is known to be whole. Nothing else is held back.
"""

from __future__ import annotations

import re

from quatrefoil.errors import MessageRefused

LARGEST_END = 1 << 20
"""Bytes from ``[DONE]`` on: padding is there, and nothing else is expected."""

_LINES = (b"data: [DONE]", b"data:[DONE]")
_DONE = re.compile(rb"(?:\A|(?<=[\r\n]))data: ?\[DONE\]")


class HeldEnd:
    """Gives back the pieces of a stream as they come, but for what begins with ``data: [DONE]``."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._within_line = False
        """What was passed on ends in the middle of a line."""
        self._done = False

    def passed(self, piece: bytes) -> bytes:
        """What may go on now; ``MessageRefused`` where more than 1 MiB follows the end."""
        self._held += piece
        if not self._done:
            return self._up_to_the_end()
        if len(self._held) > LARGEST_END:
            raise MessageRefused(
                "the stream goes on after the event that ends it", hint="Tell the server's operator: it must not"
            )
        return b""

    def rest(self) -> bytes:
        """What was held back, once the stream is known to be whole."""
        held, self._held = bytes(self._held), bytearray()
        return held

    def _up_to_the_end(self) -> bytes:
        text = (b"." if self._within_line else b"") + bytes(self._held)  # in the middle of a line nothing begins
        last = text[max(text.rfind(b"\n"), text.rfind(b"\r")) + 1 :]
        if found := _DONE.search(text):
            self._done = True
            keep = len(text) - found.start()
        elif any(line.startswith(last) for line in _LINES):
            keep = len(last)
        else:
            keep = 0
        now = bytes(self._held[: len(self._held) - keep])
        del self._held[: len(now)]
        self._within_line = bool(last) and not keep
        return now


__all__ = ["LARGEST_END", "HeldEnd"]
