"""One end of a channel in rustls, by way of ``rtls``: docs/transport.md spoken by a library that is none of ours.

Driven between buffers and not by its own sockets: rtls 2026.9 takes 4 KiB of a flight at a time, and keeps the last one
back until something is written.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

import rtls

from support import Consortium

PIECE = 4096


def context(
    consortium: Consortium, name: str, role: str, *, server: bool, trusts: Consortium | None = None, alpn: str
) -> Any:
    """The settings of a party: its identity, the root of ``trusts`` (by default its own), mutual, one protocol."""
    settings = rtls.SSLContext(rtls.PROTOCOL_TLS_SERVER if server else rtls.PROTOCOL_TLS_CLIENT)
    consortium.identity(name, role)
    folder = consortium.folder(name, role)
    settings.load_cert_chain(str(folder / "certificate.pem"), str(folder / "key.pem"))
    settings.load_verify_locations(str((trusts or consortium).directory / "root.pem"))
    settings.verify_mode = rtls.CERT_REQUIRED
    settings.set_alpn_protocols([alpn])
    return settings


class RustlsEnd:
    """A handshake on ``stream``, and then messages: a length of eight bytes, and the content."""

    def __init__(self, stream: socket.socket, settings: Any, *, host: str | None = None) -> None:
        self._stream = stream
        self._incoming, self._outgoing = rtls.MemoryBIO(), rtls.MemoryBIO()
        self.tls = settings.wrap_bio(self._incoming, self._outgoing, server_side=host is None, server_hostname=host)
        self._held = b""
        self._until_done(self.tls.do_handshake)

    def close(self) -> None:
        """Say goodbye; what the peer still says is not read."""
        with contextlib.suppress(rtls.SSLError, OSError):
            self.tls.unwrap()
        with contextlib.suppress(OSError):
            self._flush()

    def send(self, message: bytes) -> None:
        data = len(message).to_bytes(8, "big") + message
        while data:
            written = self._until_done(self.tls.write, data[:PIECE])
            data = data[written:]

    def receive(self) -> bytes:
        size = int.from_bytes(self._read(8), "big")
        return self._read(size)

    def _read(self, size: int) -> bytes:
        while len(self._held) < size:
            data = self._until_done(self.tls.read, PIECE)
            if not data:
                raise EOFError("the peer closed the channel")
            self._held += data
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def _until_done(self, step: Callable[..., Any], *arguments: Any) -> Any:
        while True:
            try:
                return step(*arguments)
            except rtls.SSLWantReadError:
                self._flush()
                if data := self._stream.recv(PIECE):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            finally:
                self._flush()

    def _flush(self) -> None:
        while data := self._outgoing.read():
            self._stream.sendall(data)
