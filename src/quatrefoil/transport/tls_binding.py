"""The calls of OpenSSL that pyOpenSSL has no public way to: each looked up by name, and missed with a ``HostError``.

:class:`Records` moves bytes between a connection and buffers of the caller with no object in between, and asks why a
call did not go through before it builds an exception: pyOpenSSL's own methods copy each record twice and raise to say
"more, please", which halves the speed of a long message.
"""

from __future__ import annotations

import contextlib
from typing import Any

from OpenSSL import SSL

from quatrefoil.errors import HostError

NEEDS = "Install the versions of cryptography and pyOpenSSL that pyproject.toml names"

MORE, CLOSED = -1, -2
"""Answers of :meth:`Records.read_into` beside a number of bytes: the network must bring more; the peer said goodbye."""

OUT = (64 << 10) + 1024
"""Bytes for the network that are moved at a time: four full records and what protects them."""

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
    """The memory buffers of one connection.

    Each buffer of the caller is let go before a call returns or raises: older interpreters (gh-77894) crash when a
    memoryview that is still lent out is found in a cycle, and the frames of an exception make one.

    A small message is worth a few microseconds of OpenSSL, so that every call beside them counts: bytes go in as they
    are, and whether OpenSSL has something left to read is asked of its buffer, not by reading once more in vain.
    """

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection
        self._ssl = attribute(connection, "_ssl")
        self._incoming, self._outgoing = attribute(connection, "_into_ssl"), attribute(connection, "_from_ssl")
        self._raise = attribute(connection, "_raise_ssl_error")
        foreign = attribute(SSL, "_ffi")
        self._pointer, self._view = attribute(foreign, "from_buffer"), attribute(foreign, "buffer")
        self._nothing = attribute(foreign, "NULL")
        self._room = attribute(foreign, "new_allocator")(should_clear_after_alloc=False)
        self._out, self._landing = self._room("char[]", OUT), self._nothing
        self._read, self._write = function("SSL_read"), function("SSL_write")
        self._bio_read, self._bio_write = function("BIO_read"), function("BIO_write")
        self._bio_holds = function("BIO_get_mem_data")
        self._why, self._forget = function("SSL_get_error"), function("ERR_clear_error")
        self._want, self._closed = function("SSL_ERROR_WANT_READ"), function("SSL_ERROR_ZERO_RETURN")
        self._reused = function("SSL_session_reused")
        self.dry, self.silent = False, False
        """Whether the network must bring more before :meth:`read_into` can, and whether :meth:`drain` has nothing."""
        self._end: tuple[Any, ...] | None = None
        self.sent = self.received = 0
        """Records in each direction, those of the handshake left out."""

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed an earlier session."""
        return bool(self._reused(self._ssl))

    def landing(self, size: int) -> Any:
        """Room for what comes from the network, as a buffer; :meth:`landed` says how much of it there is."""
        self._landing = self._room("char[]", size)
        return self._view(self._landing)

    def landed(self, count: int) -> None:
        """``count`` bytes, at least one, have come to the :meth:`landing`."""
        self.dry = False
        if self._bio_write(self._incoming, self._landing, count) != count:
            raise HostError("OpenSSL has no memory left", hint="Take fewer connections at a time")

    def feed(self, data: bytes) -> None:
        """Bytes from the network that are somewhere else."""
        self.dry = False
        if data and self._bio_write(self._incoming, data, len(data)) != len(data):
            raise HostError("OpenSSL has no memory left", hint="Take fewer connections at a time")

    def drain(self) -> Any:
        """The next bytes for the network, at most :data:`OUT`, as a buffer that is good until the next call; empty when
        there are none."""
        if self.silent:
            return b""
        count = self._bio_read(self._outgoing, self._out, OUT)
        self.silent = count < OUT
        return self._view(self._out, count) if count > 0 else b""

    def spoke(self) -> None:
        """Something else has used the connection: there may be bytes for the network."""
        self.silent = False

    def read_into(self, space: memoryview) -> int:
        """Fill ``space`` with what the peer has said so far: bytes, or ``MORE``, or ``CLOSED``; or ``SSL.Error``."""
        if self.dry:
            return MORE
        if self._end is not None:
            return self._ended(0, 0)
        self.silent = False  # what is read may have to be answered
        size, filled = len(space), 0
        with self._pointer(space, require_writable=True) as pointer:
            while filled < size:
                self._forget()
                count = self._read(self._ssl, pointer + filled, size - filled)
                if count <= 0:
                    why = self._why(self._ssl, count)
                    self.dry = why == self._want
                    if not filled:
                        return MORE if self.dry else self._ended(why, count)
                    if not self.dry:  # said now, for the queue of errors is anybody's, and told at the next call
                        with contextlib.suppress(SSL.Error):
                            self._ended(why, count)
                    break
                self.received += 1
                filled += count
                # One call gives out the rest of a record or as much as there is room for. With room left the record is
                # used up, and without bytes in the buffer there is no whole one behind it.
                if filled < size and self._bio_holds(self._incoming, self._nothing) <= 0:
                    self.dry = True
                    break
        return filled

    def _ended(self, why: int, count: int) -> int:
        """How the peer's side has ended: ``CLOSED``, or the error; the same at each call."""
        if self._end is None:
            try:
                if why == self._closed:
                    self._end = ()
                else:
                    self._raise(self._ssl, count)
            except SSL.Error as error:
                self._end = type(error), error.args  # not the error: with its frames it would hold this object
        if not self._end:
            return CLOSED
        kind, arguments = self._end
        raise kind(*arguments)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Protect all of ``data``; or ``SSL.Error``."""
        self.silent = False
        size, written = len(data), 0
        if isinstance(data, bytes) and size:  # it needs no pointer, and most often one call takes it whole
            self._forget()
            if (written := self._write(self._ssl, data, size)) <= 0:
                self._raise(self._ssl, written)
            self.sent += 1
            if written == size:
                return
        with self._pointer(data) as pointer:
            while written < size:
                self._forget()
                count = self._write(self._ssl, pointer + written, size - written)
                if count <= 0:
                    self._raise(self._ssl, count)
                self.sent += 1  # pyOpenSSL lets one call write one record
                written += count


def _library() -> object:
    return getattr(SSL, "_lib", None)


__all__ = ["CLOSED", "MORE", "NEEDS", "NO_AUTO_CHAIN", "OUT", "Records", "attribute", "function"]
