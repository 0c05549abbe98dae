"""The line between a ClientApp and the seat of its silo: frames from the other end, and the errors in them."""

from __future__ import annotations

import socket
from contextlib import closing

from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil import errors
from quatrefoil.errors import CallerError, MessageRefused, QuatrefoilError
from quatrefoil.federation import parts
from quatrefoil.flower.seat_line import MOST_PARTS, Brought, Line, error_parts, read_error


def seeds() -> list[bytes]:
    def frame(*content: bytes) -> bytes:
        joined = parts.join(content)
        return len(joined).to_bytes(8, "big") + joined

    made = [MessageRefused("late", hint="Send it again"), CallerError("none", hint="Give one")]
    frames = [frame(b"reply", b"sealed"), *(frame(b"refused", *error_parts(one)) for one in made)]
    frames += [frame(b"failed", name.encode(), b"a problem", b"a hint") for name in dir(errors)]
    odd = [[b"annotations", b"a", b"b"], [b"\xff", b"\xff", b""], [b"", b"", b""]]
    frames += [frame(b"failed", *one) for one in odd]
    brought = Brought("state", False, bytes(32), 3, "question", 1, 2).encode()
    return [*frames, frame(*[b""] * 9), frame(), b"\xff" * 8, (1 << 34).to_bytes(8, "big"), frame(brought), brought]


def one(data: bytes) -> None:
    """A frame, and nothing after it. Whatever it says, an error that is read from it can be raised and shown."""
    refused_or_same(lambda: Brought.decode(data), Brought.encode, data)
    near, far = socket.socketpair()
    with closing(near), closing(far):
        far.setblocking(False)
        far.sendall(data[:65536])
        far.shutdown(socket.SHUT_WR)
        content = refused_or(lambda: Line(near).receive(begins=1.0))
    if content is None:
        return
    assert len(content) <= MOST_PARTS
    error = read_error(content[1:])
    assert isinstance(error, QuatrefoilError) and isinstance(error.problem, str)
    assert isinstance(read_error(error_parts(error)), QuatrefoilError)
    for piece in content:
        refused_or_same(lambda piece=piece: Brought.decode(piece), Brought.encode, piece)  # type: ignore[misc]
