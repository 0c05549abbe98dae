"""Messages on a channel: an 8-byte big-endian length, then that many bytes. Without I/O."""

from __future__ import annotations

from quatrefoil.errors import MessageRefused

HEADER_BYTES = 8

WELCOME = b""
"""The first frame on a channel, sent by the accepting side once it has verified its peer.

In TLS 1.3 a client is done before the server has seen its certificate; without this frame it would learn of a refusal
only from its first answer.
"""


def header(length: int) -> bytes:
    """What precedes a frame of ``length`` bytes."""
    return length.to_bytes(HEADER_BYTES, "big")


class FrameReader:
    """Frames out of a stream. Memory grows only with what has arrived, whatever length was announced."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def inside(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._buffer)

    def add(self, data: bytes) -> None:
        self._buffer += data

    def take(self, limit: int) -> bytes | None:
        """The next frame, or None until it is complete; ``MessageRefused`` if it announces more than ``limit``."""
        if len(self._buffer) < HEADER_BYTES:
            return None
        length = int.from_bytes(self._buffer[:HEADER_BYTES], "big")
        if length > limit:
            raise MessageRefused(
                f"a message of {length} bytes is announced where at most {limit} are allowed",
                hint="Check that both sides run the same job and version",
            )
        end = HEADER_BYTES + length
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as view:
            frame = bytes(view[HEADER_BYTES:end])
        del self._buffer[:end]
        return frame

    def truncated(self, who: str) -> MessageRefused:
        """The refusal of a stream that ended inside a frame."""
        return MessageRefused(
            f"{who} ended the connection after {len(self._buffer)} bytes of an incomplete message",
            hint="Connect again, and send it again",
        )
