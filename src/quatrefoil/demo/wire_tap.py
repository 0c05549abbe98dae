"""Whoever holds the network between two ends: carries every byte, and keeps a copy."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from quatrefoil.demo.processes import HOST

_PIECE = 64 << 10


class WireTap:
    """Listens on a port of its own, and connects each connection on to ``port`` of this host. ``with`` ends it."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server((HOST, 0))
        self._seen: list[bytes] = []
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def seen(self) -> bytes:
        """All that went by, in both directions."""
        return b"".join(self._seen)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection((HOST, self._target))
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._sockets.append(one)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                self._seen.append(piece)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextlib.contextmanager
def tapped(port: int) -> Iterator[WireTap]:
    tap = WireTap(port)
    try:
        yield tap
    finally:
        tap.close()


__all__ = ["WireTap", "tapped"]
