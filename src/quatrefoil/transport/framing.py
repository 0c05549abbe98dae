"""Messages on a channel: an 8-byte big-endian length, then that many bytes. Without I/O."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

from quatrefoil.errors import MessageRefused, PeerUnreachable

HEADER_BYTES = 8

_LENGTH = struct.Struct(">Q")

WELCOME = b""
"""The first frame on a channel, sent by the accepting side once it has verified its peer.

In TLS 1.3 a client is done before the server has seen its certificate; without this frame it would learn of a refusal
only from its first answer.
"""

SLOWEST = 16 << 10
"""Bytes a second that a message must keep to once its first ``timeout`` seconds are over."""

SHORT = (16 << 10) - HEADER_BYTES
"""Bytes of a frame that goes into one record with its header: most are shorter, and what they cost is calls."""

_SMALL = 16 << 10
"""Frames up to this size, header and all, are put together in one buffer that stays."""

_FIRST = 256 << 10
"""Room that a larger frame is given at first, and doubled whenever it is full."""


def header(length: int) -> bytes:
    """What precedes a frame of ``length`` bytes."""
    return _LENGTH.pack(length)


class FrameReader:
    """Frames out of a stream. Memory grows only with what has arrived, whatever length was announced.

    A large frame is received into the very bytes that :meth:`take` hands out.
    """

    def __init__(self) -> None:
        self._small = memoryview(bytearray(_SMALL))
        self._start = self._end = 0
        self._large: io.BytesIO | None = None
        self._length = self._filled = self._room = 0

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return self.arrived > 0

    @property
    def arrived(self) -> int:
        """Bytes here that :meth:`take` has not handed out."""
        return self._end - self._start + (0 if self._large is None else self._filled + HEADER_BYTES)

    def fill(self, read: Callable[[memoryview], int | None]) -> int | None:
        """Let ``read`` put the next bytes where they belong; it returns how many. Passes its answer on."""
        if self._large is None:
            if self._end == _SMALL:
                self._small[: self._end - self._start] = bytes(self._small[self._start :])  # they overlap
                self._start, self._end = 0, self._end - self._start
            if count := read(self._small[self._end :] if self._end else self._small):
                self._end += count
            return count
        if self._filled == self._room:
            self._room = min(self._length, max(_FIRST, 2 * self._room))
            self._large.seek(self._room - 1)
            self._large.write(b"\0")
        count = read(self._large.getbuffer()[self._filled : self._room])
        self._filled += count or 0
        return count

    def take(self, limit: int) -> bytes | None:
        """The next frame, or None until it is complete; ``MessageRefused`` if it announces more than ``limit``.

        After each :meth:`fill`, it is to be called until it returns None.
        """
        if self._large is not None:
            if self._filled < self._length:
                return None
            frame, self._large = self._large.getvalue(), None
            return frame
        begin, end = self._start + HEADER_BYTES, self._end
        if end < begin:
            return None
        (length,) = _LENGTH.unpack_from(self._small, self._start)
        if length > limit:
            raise MessageRefused(
                f"a message of {length} bytes is announced where at most {limit} are allowed",
                hint="Check that both sides run the same job and version",
            )
        if (after := begin + length) <= end:
            if after == end:
                self._start = self._end = 0
            else:
                self._start = after
            return bytes(self._small[begin:after])
        if HEADER_BYTES + length > _SMALL:
            self._large = io.BytesIO(self._small[begin : self._end])
            self._length, self._filled = length, self._end - begin
            self._room = self._filled
            self._start = self._end = 0
        return None

    def truncated(self, who: str) -> MessageRefused:
        """The refusal of a stream that ended inside a frame."""
        return MessageRefused(
            f"{who} ended the connection after {self.arrived} bytes of an incomplete message",
            hint="Connect again, and send it again",
        )


class Pace:
    """How long one message may take: it begins within ``wait`` seconds; ``timeout`` seconds after it began it must have
    come at :data:`SLOWEST` or faster. Without it a peer that trickles would hold a channel for ever."""

    def __init__(self, wait: float, timeout: float, now: float) -> None:
        self._begin_by = now + wait
        self._timeout = timeout
        self._began: float | None = None

    def left(self, moved: int, now: float) -> float:
        """Seconds that remain, when ``moved`` bytes of the message have been moved."""
        if not moved:
            return self._begin_by - now
        if self._began is None:
            self._began = now
        return self._began + self._timeout + moved / SLOWEST - now


def too_slow(who: str, moved: int) -> PeerUnreachable:
    """The end of a peer whose time is over."""
    what = f"sent {moved} bytes of a message and no more in time" if moved else "sent nothing for too long"
    return PeerUnreachable(f"{who} {what}", hint="Try again, or allow more time")


__all__ = ["HEADER_BYTES", "SHORT", "SLOWEST", "WELCOME", "FrameReader", "Pace", "header", "too_slow"]
