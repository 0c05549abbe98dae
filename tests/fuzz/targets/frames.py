"""Frames of a channel, in whatever pieces they arrive."""

from __future__ import annotations

from tests.fuzz.held import refused_or

from quatrefoil.transport import framing

LIMIT = 4096


def seeds() -> list[bytes]:
    return [b"\7" + framing.header(5) + b"hello" + framing.header(0), b"\1" + framing.header(1 << 40), b"\3\0\0"]


def frames(stream: bytes, step: int) -> tuple[list[bytes], bool]:
    """The frames that come out when ``step`` bytes arrive at a time, and whether the stream was refused."""
    reader, out = framing.FrameReader(), []
    for at in range(0, len(stream), step):
        left = stream[at : at + step]
        while left:
            left = left[some_of(reader, left) :]
            while True:
                taken = refused_or(lambda: (reader.take(LIMIT),))
                if taken is None:
                    return out, True
                if taken[0] is None:
                    break
                out.append(taken[0])
    return out, False


def some_of(reader: framing.FrameReader, piece: bytes) -> int:
    """As much of a piece as the reader has room for."""

    def read(room: memoryview) -> int:
        count = min(len(room), len(piece))
        room[:count] = piece[:count]
        return count

    count = reader.fill(read)
    assert count
    return count


def one(data: bytes) -> None:
    """The first byte says how many arrive at a time."""
    step, stream = max(1, data[0] if data else 1), data[1:]
    found, refused = frames(stream, step)
    assert (found, refused) == frames(stream, max(1, len(stream)))
    assert stream.startswith(b"".join(framing.header(len(frame)) + frame for frame in found))
