"""The network's end of a channel under asyncio: bytes go from the socket into OpenSSL's buffer and nowhere between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

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
        self._session: TlsSession
        self._space: Any
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._unread = 0
        self._fresh = self._ended = self._full = False
        self._error: BaseException | None = None
        self._reader: asyncio.Future[None] | None = None
        self._deadline = self._looks = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._writable, self._lost = asyncio.Event(), asyncio.Event()
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
        """Wait for bytes from the network, once those before are decrypted: False at its end; or ``TimeoutError``."""
        if not self.ready:
            await self.arrival(timeout)
        return self.taken()

    @property
    def ready(self) -> bool:
        """Whether bytes, or the end, have come since :meth:`taken` was called last."""
        return self._fresh or self._ended

    def arrival(self, timeout: float) -> asyncio.Future[None]:
        """What to wait for, once everything is decrypted and nothing is :attr:`ready`; ``TimeoutError`` in time."""
        self._unread = 0
        if self._full:
            self._full = False
            self._transport.resume_reading()
        reader = self._reader = self._loop.create_future()
        self._expect(self._loop.time() + timeout)
        return reader

    def taken(self) -> bool:
        """Whether bytes have come since the last call. False at the end; ``PeerUnreachable`` if that was an error."""
        fresh, self._fresh = self._fresh, False
        if self._error is not None and not fresh:
            raise PeerUnreachable(f"the connection was dropped ({self._error})", hint="Connect again")
        return fresh

    async def flush(self, timeout: float) -> None:
        """Send what the session has for the network; ``TimeoutError`` if the peer does not take it in time."""
        if not self.push():
            async with asyncio.timeout(timeout):
                await self._writable.wait()
            self._require_there()

    def push(self) -> bool:
        """Hand what the session has to the network; whether it takes more at once."""
        while len(piece := self._session.outgoing()):
            self._transport.write(bytes(piece))
            self.bytes_sent += len(piece)
        if takes := self._writable.is_set():
            self._require_there()
        return takes

    def _require_there(self) -> None:
        if self._lost.is_set() and not self._fresh:  # what the peer said last may tell why
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
        self._space = self._session.landing(_BUFFER)

    def get_buffer(self, _hint: int) -> Any:
        return self._space

    def buffer_updated(self, count: int) -> None:
        self._session.landed(count)
        self.bytes_received += count
        self._unread += count
        if self._unread >= _MOST_UNREAD and not self._full:
            self._full = True
            self._transport.pause_reading()
        self._fresh = True
        if (reader := self._reader) is not None and not reader.done():
            reader.set_result(None)

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return True  # what is still to be said can be

    def connection_lost(self, error: Exception | None) -> None:
        self._ended, self._error = True, error
        self._wake()
        self._writable.set()
        self._lost.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -------------------------------------------------------------------------------------------------------- waiting

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _expect(self, deadline: float) -> None:
        """Let the reader wait until ``deadline``. One timer serves many waits: it looks again when it is early."""
        self._deadline = deadline
        if self._timer is None or self._looks > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._looks = deadline
            self._timer = self._loop.call_at(deadline, self._late)

    def _late(self) -> None:
        self._timer = None
        if self._reader is None or self._reader.done():
            return
        if self._loop.time() < self._deadline:
            self._expect(self._deadline)
        else:
            self._reader.set_exception(TimeoutError())


__all__ = ["Wire"]
