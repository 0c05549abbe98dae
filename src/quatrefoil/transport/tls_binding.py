"""The calls of OpenSSL that pyOpenSSL has no public way to: each looked up by name, and missed with a ``HostError``.

:class:`Records` moves bytes between a connection and buffers of the caller with no object in between, and asks why a
call did not go through before it builds an exception: pyOpenSSL's own methods copy each record twice and raise to say
"more, please", which halves the speed of a long message.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL

from quatrefoil.errors import HostError

NEEDS = "Install the versions of cryptography and pyOpenSSL that pyproject.toml names"

MORE, CLOSED = -1, -2
"""Answers of :meth:`Records.read_into` beside a number of bytes: the network must bring more; the peer said goodbye."""

NO_AUTO_CHAIN = 0x8
"""SSL_MODE_NO_AUTO_CHAIN: send the leaf alone. Every party holds the root, and it is 7 kB."""


def function(name: str) -> Any:
    """The call ``name`` of OpenSSL."""
    call = getattr(_library(), name, None)
    if call is None:
        raise HostError(f"this pyOpenSSL has no {name}", hint=NEEDS)
    return call


def attribute(holder: object, name: str) -> Any:
    """A private attribute of one of pyOpenSSL's objects."""
    value = getattr(holder, name, None)
    if value is None:
        raise HostError(f"this pyOpenSSL has no {name}", hint=NEEDS)
    return value


class Records:
    """The memory buffers of one connection."""

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection
        self._ssl = attribute(connection, "_ssl")
        self._incoming, self._outgoing = attribute(connection, "_into_ssl"), attribute(connection, "_from_ssl")
        self._raise = attribute(connection, "_raise_ssl_error")
        self._pointer = attribute(attribute(SSL, "_ffi"), "from_buffer")
        self._read, self._write = function("SSL_read"), function("SSL_write")
        self._bio_read, self._bio_write = function("BIO_read"), function("BIO_write")
        self._why, self._forget = function("SSL_get_error"), function("ERR_clear_error")
        self._want, self._closed = function("SSL_ERROR_WANT_READ"), function("SSL_ERROR_ZERO_RETURN")
        self._reused = function("SSL_session_reused")
        self.sent = self.received = 0
        """Records in each direction, those of the handshake left out."""

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed an earlier session."""
        return bool(self._reused(self._ssl))

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Bytes from the network."""
        with self._pointer(data) as pointer:
            taken = self._bio_write(self._incoming, pointer, len(data)) if len(data) else 0
        if taken != len(data):
            raise HostError("OpenSSL has no memory left", hint="Take fewer connections at a time")

    def drain_into(self, space: bytearray | memoryview) -> int:
        """Bytes for the network, as many as there are and fit; 0 when there are none."""
        with self._pointer(space, require_writable=True) as pointer:
            return max(0, int(self._bio_read(self._outgoing, pointer, len(space))))

    def read_into(self, space: memoryview) -> int:
        """Fill ``space`` with what the peer has said so far: bytes, or ``MORE``, or ``CLOSED``; or ``SSL.Error``."""
        filled = 0
        with self._pointer(space, require_writable=True) as pointer:
            while filled < len(space):
                self._forget()
                count = self._read(self._ssl, pointer + filled, len(space) - filled)
                if count <= 0:
                    if filled:
                        break  # the next call says why
                    why = self._why(self._ssl, count)
                    if why == self._want:
                        return MORE
                    if why == self._closed:
                        return CLOSED
                    self._raise(self._ssl, count)
                self.received += 1
                filled += count
        return filled

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Protect all of ``data``; or ``SSL.Error``."""
        written = 0
        with self._pointer(data) as pointer:
            while written < len(data):
                self._forget()
                count = self._write(self._ssl, pointer + written, len(data) - written)
                if count <= 0:
                    self._raise(self._ssl, count)
                self.sent += 1  # pyOpenSSL lets one call write one record
                written += count


def _library() -> object:
    return getattr(SSL, "_lib", None)


__all__ = ["CLOSED", "MORE", "NEEDS", "NO_AUTO_CHAIN", "Records", "attribute", "function"]
