"""Channels under asyncio: the same handshake, frames and refusals as the blocking ones. server.py accepts them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from quatrefoil.errors import ChannelRefused, PeerError, PeerUnreachable
from quatrefoil.transport import framing
from quatrefoil.transport.framing import FrameReader
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor
from quatrefoil.transport.profile import Party, check_role, parse_host
from quatrefoil.transport.tls_context import HYBRID, ChannelPolicy, TlsContext
from quatrefoil.transport.tls_session import CHUNK, PeerCheck, TlsSession

_LINGER = 1.0
_ASK = "Check that a Quatrefoil service answers there; its log names what it refused"


async def open_channel(
    host: str,
    port: int,
    *,
    identity: Identity,
    trust: TrustAnchor,
    expect_role: str,
    timeout: float,
    clock: Clock,
    server_name: str | None = None,
    policy: ChannelPolicy = HYBRID,
) -> AsyncChannel:
    """As :func:`channel.connect`, for asyncio."""
    address = f"{host}:{port}"
    check = PeerCheck(trust, clock, frozenset({check_role(expect_role)}), parse_host(server_name or host))
    session = TlsSession(TlsContext(identity, trust, policy=policy), check, server_side=False, address=address)
    try:
        async with asyncio.timeout(timeout):
            try:
                reader, writer = await asyncio.open_connection(host, port, limit=CHUNK)
            except OSError as error:
                raise PeerUnreachable(
                    f"{address} cannot be reached ({error.strerror or error})",
                    hint="Check the address, and that it runs",
                ) from None
            channel = AsyncChannel(reader, writer, session, timeout)
            await channel.establish(server_side=False)
            return channel
    except TimeoutError:
        raise PeerUnreachable(f"{address} did not complete a handshake within {timeout:g} s", hint=_ASK) from None


class AsyncChannel:
    """An established channel under asyncio. ``async with`` closes it; any error ends it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: TlsSession, timeout: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._session = session
        self._timeout = timeout
        self._frames = FrameReader()
        self._sending = asyncio.Lock()
        self._open = True
        self._closed_by_peer = False
        self.bytes_sent = 0
        self.bytes_received = 0

    @property
    def group(self) -> str:
        """The negotiated key-exchange group."""
        return self._session.group

    @property
    def peer(self) -> Party:
        """Who the other end is, as certified."""
        return self._session.peer

    @property
    def closed_by_peer(self) -> bool:
        """Whether the peer has said goodbye between two messages, which is how every channel should end."""
        return self._closed_by_peer

    async def send(self, frame: bytes | bytearray | memoryview) -> None:
        """Send one message. Several tasks may send; each message stays whole."""
        async with self._sending, self._ending_on_error():
            with memoryview(frame).cast("B") as view:
                self._session.encrypt(framing.header(len(view)) + bytes(view[: CHUNK - framing.HEADER_BYTES]))
                await self._flush()
                for start in range(CHUNK - framing.HEADER_BYTES, len(view), CHUNK):
                    self._session.encrypt(view[start : start + CHUNK])
                    await self._flush()

    async def receive(self, limit: int, *, wait: float | None = None) -> bytes:
        """The next message of at most ``limit`` bytes. ``wait``: seconds it may take to begin (default: the timeout).

        ``PeerUnreachable`` when the peer has closed or stays silent; ``MessageRefused`` when the message is too long
        or breaks off. One task at a time.
        """
        async with self._ending_on_error():
            while (frame := self._frames.take(limit)) is None:
                await self._read_more(self._timeout if wait is None or self._frames.inside else wait)
            return frame

    def exporter(self, label: bytes, context: bytes, length: int) -> bytes:
        """Key material that only the two ends can compute (RFC 8446 section 7.5)."""
        return self._session.exporter(label, context, length)

    async def close(self) -> None:
        """Say goodbye, let what was sent arrive, and close. Does nothing the second time."""
        if not self._open:
            return
        self._open = False
        self._session.close()
        with contextlib.suppress(OSError, PeerError, TimeoutError):
            async with asyncio.timeout(_LINGER):
                await self._flush()
                self._writer.write_eof()
                while await self._reader.read(CHUNK):
                    pass
        await self._drop()

    async def establish(self, *, server_side: bool) -> None:
        """The handshake and the welcome; ``ChannelRefused`` when either end refuses the other, ``PeerUnreachable`` when
        the connection ends. Neither leaves anything open, nor does cancellation."""
        try:
            while not self._session.handshake():
                await self._flush()
                await self._feed()
            await self._flush()
            if server_side:
                await self.send(framing.WELCOME)
            else:
                await self.receive(0)
        except ChannelRefused:
            with contextlib.suppress(PeerUnreachable):
                await self._flush()  # the alert that tells the peer
            await self._drop()
            raise
        except PeerUnreachable as error:
            await self._drop()
            raise PeerUnreachable(f"no channel was made: {error.problem}", hint=_ASK) from None
        except BaseException:
            self._writer.transport.abort()
            raise

    async def _read_more(self, timeout: float) -> None:
        while (data := self._session.decrypt()) is None:
            await self._flush()  # what decrypting may have to answer
            try:
                async with asyncio.timeout(timeout):
                    await self._feed()
            except TimeoutError:
                raise PeerUnreachable(
                    f"{self._session.address} sent nothing for too long", hint="Try again, or allow more time"
                ) from None
        if not data:
            self._closed_by_peer = not self._frames.inside
            raise self._ended()
        self._frames.add(data)

    async def _feed(self) -> None:
        try:
            received = await self._reader.read(CHUNK)
        except OSError as error:
            raise PeerUnreachable(
                f"{self._session.address} dropped the connection ({error.strerror})", hint="Connect again"
            ) from None
        self.bytes_received += len(received)
        if not received:
            raise self._ended()
        self._session.feed(received)

    def _ended(self) -> PeerError:
        if self._frames.inside:
            return self._frames.truncated(self._session.address)
        return PeerUnreachable(f"{self._session.address} closed the connection", hint="Connect again")

    async def _flush(self) -> None:
        data = self._session.drain()
        if not data:
            return
        self._writer.write(data)
        self.bytes_sent += len(data)
        try:
            async with asyncio.timeout(self._timeout):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise PeerUnreachable(f"{self._session.address} takes no data ({error})", hint="Connect again") from None

    @contextlib.asynccontextmanager
    async def _ending_on_error(self) -> AsyncIterator[None]:
        if not self._open:
            raise PeerUnreachable(f"the channel with {self._session.address} is closed", hint="Connect again")
        try:
            yield
        except BaseException:
            self._open = False
            self._writer.transport.abort()
            raise

    async def _drop(self) -> None:
        self._open = False
        self._writer.close()
        try:
            async with asyncio.timeout(_LINGER):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()  # a peer that reads nothing would keep it open for ever

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncChannel({self._session.address}, {'open' if self._open else 'closed'})"


__all__ = ["AsyncChannel", "open_channel"]
