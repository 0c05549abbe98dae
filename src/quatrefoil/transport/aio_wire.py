"""The network's end of a channel under asyncio: bytes go from the socket into OpenSSL's buffer and nowhere between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quatrefoil.errors import PeerUnreachable
from quatrefoil.transport.tls_session import TlsSession

_BUFFER = 256 << 10
"""Bytes that are taken from the network at a time."""

_MOST_UNREAD = 2 * _BUFFER
"""Bytes that may wait to be decrypted before the peer is left to wait."""


class Wire(asyncio.BufferedProtocol):
    """One connection. ``start`` is called with it once it is there, and gives the session that it feeds."""

    def __init__(self, start: Callable[[Wire], TlsSession]) -> None:
        self._start = start
        self._space = memoryview(bytearray(_BUFFER))
        self._session: TlsSession
        self._transport: asyncio.Transport
        self._unread = 0
        self._ended = False
        self._error: BaseException | None = None
        self._readable, self._writable, self._lost = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._writable.set()
        self.bytes_sent = 0
        self.bytes_received = 0

    @property
    def address(self) -> str:
        """Where the peer is."""
        name = self._transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if name else "a peer that is gone"

    @property
    def unsent(self) -> int:
        """Bytes that the network has not taken yet."""
        return self._transport.get_write_buffer_size()

    async def more(self, timeout: float) -> bool:
        """Wait for bytes from the network, once all that came are decrypted: False at its end; or ``TimeoutError``."""
        self._unread = 0
        self._readable.clear()
        if not self._ended:
            self._transport.resume_reading()
            async with asyncio.timeout(timeout):
                await self._readable.wait()
        if self._error is not None and not self._unread:
            raise PeerUnreachable(f"the connection was dropped ({self._error})", hint="Connect again")
        return self._unread > 0

    async def flush(self, timeout: float) -> None:
        """Send what the session has for the network; ``TimeoutError`` if the peer does not take it in time."""
        while data := self._session.drain():
            self._transport.write(data)
            self.bytes_sent += len(data)
        if not self._writable.is_set():
            async with asyncio.timeout(timeout):
                await self._writable.wait()
        if self._error is not None or self._lost.is_set():
            raise PeerUnreachable(f"the connection was dropped ({self._error or 'closed'})", hint="Connect again")

    def write_eof(self) -> None:
        """Say that nothing more comes."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    async def close(self, timeout: float) -> None:
        """Close once everything is sent, or after ``timeout`` seconds: a peer that reads nothing would keep it open."""
        self._transport.close()
        try:
            async with asyncio.timeout(timeout):
                await self._lost.wait()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # --------------------------------------------------------------------------------------- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_BUFFER)
        self._session = self._start(self)

    def get_buffer(self, _hint: int) -> memoryview:
        return self._space

    def buffer_updated(self, count: int) -> None:
        self._session.feed(self._space[:count])
        self.bytes_received += count
        self._unread += count
        if self._unread >= _MOST_UNREAD:
            self._transport.pause_reading()
        self._readable.set()

    def eof_received(self) -> bool:
        self._ended = True
        self._readable.set()
        return True  # what is still to be said can be

    def connection_lost(self, error: Exception | None) -> None:
        self._ended, self._error = True, error
        for event in (self._readable, self._writable, self._lost):
            event.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()


__all__ = ["Wire"]
