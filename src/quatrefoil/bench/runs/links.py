"""One message between two processes, through this project's channels and through a bare TCP connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from quatrefoil.bench.transport_far import HOST, TIMEOUT, far_end, serve_channels
from quatrefoil.bench.transport_near import Channels, Link, write_identities
from quatrefoil.transport import policy_named

_HEAD = 8


class BareLink:
    """A length, a message, and one byte when it has arrived."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, message: bytes) -> bytes:
        self._socket.sendall(len(message).to_bytes(_HEAD, "big") + message)
        return self._socket.recv(1)

    def __enter__(self) -> BareLink:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@dataclass(frozen=True)
class Links:
    """Both far ends answer while :func:`linked` is entered."""

    channels: Channels
    bare_port: int

    def protected(self) -> Link:
        """A channel, by a full handshake."""
        return self.channels.connect()

    def bare(self) -> BareLink:
        return BareLink(self.bare_port)

    def handshake_bytes(self) -> int:
        return self.channels.handshake_bytes()


@contextmanager
def linked(folder: Path, channel_policy: str) -> Iterator[Links]:
    """``folder``: new, for identities."""
    folder.mkdir()
    write_identities(folder)
    with ExitStack() as ends:
        far = ends.enter_context(far_end(serve_channels, folder, channel_policy))
        bare = ends.enter_context(far_end(serve_bare))
        yield Links(Channels(folder, far.port, policy_named(channel_policy)), bare.port)


def serve_bare(pipe: Connection) -> None:
    """In a process of its own: answers each message with a byte."""
    listening = socket.create_server((HOST, 0))
    pipe.send(listening.getsockname()[1])
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as reader:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while head := reader.read(_HEAD):
            reader.read(int.from_bytes(head, "big"))
            connection.sendall(b"!")
