"""The line between a ClientApp and the seat of its silo: a Unix socket, over which each end knows the other's user.

The ClientApp brings one message of the SuperLink, as it came, and gets the reply, sealed. In between the seat may have
the app train or evaluate. There is no other question: what an app's code can ask of a seat is what whoever carries
messages can, and what it answers is what it could have trained. docs/flower.md specifies it.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil import errors
from quatrefoil.errors import CallerError, HostError, MessageRefused, PeerUnreachable, QuatrefoilError
from quatrefoil.federation import parts
from quatrefoil.federation.vectors import Arrays, Layout, decode_arrays, encode_arrays, layout_of
from quatrefoil.flower.contents import ForSilo, Values, decode_values, encode_values
from quatrefoil.flower.node import App, AppOf
from quatrefoil.wire import WireObject

PATIENCE = 60.0
"""Seconds in which a frame that has begun must have come, or be taken."""

LARGEST = 1 << 34
"""Bytes of a frame that a ClientApp takes from its silo's seat. What a seat takes, its job says."""

LARGEST_METRICS = 1 << 20
"""Bytes of an app's metrics, and of what it says of a failure."""

MOST_PARTS = 8
_LONGEST_TEXT = 2000
_VERSIONS = "Check that the seat and the SuperNode run the same version of Quatrefoil"
_START = "Start it: quatrefoil flower seat SILO.toml"
_CREDENTIALS = struct.Struct("3i")
"""struct ucred of unix(7): process, user, group."""


@dataclass(frozen=True)
class Brought(WireObject):
    """What a ClientApp brings: for the silo with this state, a hello or message ``number`` of the session that began
    with the hello of this digest, of this kind, at this node of this run of Flower."""

    TYPE: ClassVar[str] = "urn:quatrefoil:flower-brought"

    state: str
    hello: bool
    session: bytes
    number: int
    kind: str
    run: int
    node: int


class Line:
    """Frames of parts over a connected socket, either end: the length as u64, big-endian, then the parts, joined."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._process: int | None = None

    def send(self, *content: bytes) -> None:
        """A frame, or ``PeerUnreachable`` where the other end has gone or does not read."""
        frame = parts.join(content)
        try:
            self._connection.settimeout(PATIENCE)
            self._connection.sendall(len(frame).to_bytes(8, "big") + frame)
        except OSError as error:
            raise _gone(error) from None

    def receive(self, *, begins: float | None, longest: int = LARGEST) -> list[bytes]:
        """The next frame, of at most ``longest`` bytes. ``begins``: seconds in which it must have begun; None: whenever
        it does. It is whole ``PATIENCE`` after that, or not heard."""
        first = self._exactly(1, None if begins is None else time.monotonic() + begins)
        whole = time.monotonic() + PATIENCE
        length = int.from_bytes(first + self._exactly(7, whole), "big")
        if length > longest:
            raise MessageRefused(
                f"a frame of {length} bytes is none of a seat's line: here it has at most {longest}", hint=_VERSIONS
            )
        return parts.split_list(self._exactly(length, whole), MOST_PARTS)

    def watch(self) -> None:
        """Be gone from now on when the process that connected is, whoever else it left its end of the line to.
        ``PeerUnreachable`` if it is already. Where this system does not tell of another's end, nothing changes."""
        process = self._credentials()[0]
        if process <= 0 or not hasattr(os, "pidfd_open"):  # of another namespace, or no Linux
            return
        try:
            self._process = os.pidfd_open(process)
        except ProcessLookupError as error:
            raise _gone(error) from None
        except OSError:
            return

    def user(self) -> int:
        """Whose process is at the other end, as the kernel says."""
        return int(self._credentials()[1])

    def close(self) -> None:
        self._connection.close()
        if self._process is not None:
            os.close(self._process)
            self._process = None

    def _credentials(self) -> tuple[int, ...]:
        if not hasattr(socket, "SO_PEERCRED"):
            raise HostError("this system does not say whose process is at a socket", hint="Run a seat on Linux")
        found = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return _CREDENTIALS.unpack(found)

    def _exactly(self, count: int, end: float | None) -> bytes:
        """Until the monotonic time ``end``. Nothing is allocated for what has only been announced."""
        found = bytearray()
        try:
            while len(found) < count:
                self._await(end)
                piece = self._connection.recv(min(count - len(found), 1 << 20))
                if not piece:
                    raise ConnectionResetError("closed")
                found += piece
        except OSError as error:
            raise _gone(error) from None
        return bytes(found)

    def _await(self, end: float | None) -> None:
        """Until something can be read. What was written before its process ended is read all the same."""
        waiting = select.poll()
        waiting.register(self._connection, select.POLLIN)
        if self._process is not None:
            waiting.register(self._process, select.POLLIN)
        ready = waiting.poll(None if end is None else max(1.0, (end - time.monotonic()) * 1000))
        if not ready:
            raise TimeoutError
        if all(one != self._connection.fileno() for one, _ in ready):
            raise ConnectionResetError("the process that connected has ended")
        self._connection.settimeout(None)


def _gone(error: OSError) -> PeerUnreachable:
    said = "fell silent" if isinstance(error, TimeoutError) else "is gone"
    return PeerUnreachable(f"the other end of the seat's line {said}", hint="See what it printed")


# ------------------------------------------------------------------------------------------------------ the seat's end


class FarApp:
    """The app at the other end of a line, for the seat. ``seconds``: how long a call of it may take."""

    def __init__(self, line: Line, sent: ForSilo, seconds: float) -> None:
        self._line = line
        self._seconds = seconds
        self._told = ForSilo((), sent.names, sent.config).encode()
        self.metrics: Values = {}

    def train(self, model: Arrays) -> Sequence[NDArray[np.floating]]:
        layout, arrays, metrics = self._asked(b"train", model, 3)
        self.metrics |= decode_values(metrics)
        return decode_arrays(arrays, Layout.decode(layout))

    def evaluate(self, model: Arrays) -> None:
        (metrics,) = self._asked(b"evaluate", model, 1)
        self.metrics |= decode_values(metrics)

    def _asked(self, what: bytes, model: Arrays, count: int) -> list[bytes]:
        layout = layout_of(model)
        described = layout.encode()
        self._line.send(what, self._told, described, encode_arrays(model, layout))
        longest = LARGEST_METRICS  # of what is no model
        if what == b"train":  # in whichever of the two types it comes
            longest += 2 * len(described) + 8 * layout.length
        said, *content = self._answer(what, longest)
        if said == b"failed":
            error = read_error(content)
            raise error if isinstance(error, CallerError) else CallerError(error.problem, hint=error.hint)
        if said != what or len(content) != count:
            raise MessageRefused(f"a ClientApp answers {said[:20]!r} to {what!r}", hint=_VERSIONS)
        return content

    def _answer(self, what: bytes, longest: int) -> list[bytes]:
        try:
            return self._line.receive(begins=self._seconds, longest=longest) or [b""]
        except PeerUnreachable as error:
            raise PeerUnreachable(
                f"{error.problem}: it was to {what.decode()}",
                hint=f"Where that takes over {self._seconds:g} s, write more as `app-seconds` into the silo's file",
            ) from None


# ------------------------------------------------------------------------------------------------- the ClientApp's end


def ask_seat(path: Path, brought: Brought, payload: bytes, app_of: AppOf) -> bytes:
    """The silo's reply to what was brought; the app is called as often as the seat wants it.

    What the seat refuses is raised here as it was there. ``HostError``: nobody listens at ``path``, or somebody who
    may not have been started by this silo's operator, and is told nothing.
    """
    line = _connected(path)
    try:
        with contextlib.suppress(PeerUnreachable):  # one that refuses a user reads nothing, and says why
            line.send(brought.encode(), payload)
        while True:
            said, *content = line.receive(begins=None) or [b""]
            if said == b"reply" and len(content) == 1:
                return content[0]
            if said == b"refused":
                raise read_error(content)
            if said not in (b"train", b"evaluate") or len(content) != 3:
                raise MessageRefused(f"the seat at {path} says {said[:20]!r}", hint=_VERSIONS)
            line.send(*_done(said, content, app_of))
    finally:
        line.close()


def _done(what: bytes, content: list[bytes], app_of: AppOf) -> list[bytes]:
    told, layout, arrays = content
    model = decode_arrays(arrays, Layout.decode(layout))
    app: App = app_of(ForSilo.decode(told))
    try:
        if what == b"evaluate":
            app.evaluate(model)
            return [what, encode_values(app.metrics)]
        trained = app.train(model)
        fits = layout_of(trained)
        return [what, fits.encode(), encode_arrays(trained, fits), encode_values(app.metrics)]
    except QuatrefoilError as error:
        return [b"failed", *error_parts(error)]


def _connected(path: Path) -> Line:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except FileNotFoundError:
        connection.close()
        raise HostError(f"no seat of this silo has begun: there is no {path}", hint=_START) from None
    except ConnectionRefusedError:
        connection.close()
        raise HostError(f"no seat listens at {path} any more", hint=_START) from None
    except OSError as error:
        connection.close()
        raise HostError(
            f"the seat at {path} cannot be reached ({error.strerror or error})",
            hint="Run the SuperNode as the user that the seat is for: its own, or the `app-user` of the silo's file",
        ) from None
    line = Line(connection)
    try:
        _require_trusted(path, line.user())
    except BaseException:
        line.close()
        raise
    return line


def _require_trusted(path: Path, user: int) -> None:
    """Whoever listens gets what the app trains: the same user, or one who alone, root aside, can make files on the way
    there. In a folder that everybody writes, anybody could have been first."""
    if user == os.getuid():
        return
    for folder in (there := path.parent.resolve(), *there.parents):
        found = folder.stat()
        if found.st_uid not in (0, user) or found.st_mode & 0o022:
            raise HostError(
                f"user {user} listens at {path}, is not this one, and not the only one who may write in {folder}",
                hint="Give the seat a folder of its own, below folders that only root or its user writes",
            )


# ------------------------------------------------------------------------------------------------------------- errors


def error_parts(error: QuatrefoilError) -> list[bytes]:
    """An error, as a frame has it."""
    return [type(error).__name__.encode(), error.problem[:_LONGEST_TEXT].encode(), error.hint[:_LONGEST_TEXT].encode()]


def read_error(content: list[bytes]) -> QuatrefoilError:
    """The same from the other end; of a class that is there, or ``MessageRefused``."""
    if len(content) != 3:
        return MessageRefused("the other end of the seat's line failed, and does not say how", hint=_VERSIONS)
    name, problem, hint = (text.decode("utf-8", "replace")[:_LONGEST_TEXT] for text in content)
    kind = getattr(errors, name, None)
    if not (inspect.isclass(kind) and issubclass(kind, QuatrefoilError)):
        return MessageRefused(problem, hint=hint)
    return kind(problem, hint=hint)


__all__ = ["LARGEST", "PATIENCE", "Brought", "FarApp", "Line", "ask_seat", "error_parts", "read_error"]
