"""Channels under asyncio: the same handshake, frames and refusals as the blocking ones. server.py accepts them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

from quatrefoil.errors import ChannelRefused, PeerError, PeerUnreachable
from quatrefoil.transport import framing
from quatrefoil.transport.aio_wire import Wire
from quatrefoil.transport.credentials import Standing
from quatrefoil.transport.framing import FrameReader, Pace, too_slow
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor
from quatrefoil.transport.policies import HYBRID_768, ChannelPolicy
from quatrefoil.transport.profile import Party, check_role, parse_host
from quatrefoil.transport.tls_context import TlsContext
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
    policy: ChannelPolicy = HYBRID_768,
) -> AsyncChannel:
    """As :func:`channel.connect`, for asyncio."""
    check = PeerCheck(trust, clock, frozenset({check_role(expect_role)}), parse_host(server_name or host))
    context = TlsContext(Standing(identity, trust), policy=policy)
    session = TlsSession(context, check, server_side=False, address=f"{host}:{port}")
    return await dial_async(host, port, session, timeout)


async def dial_async(host: str, port: int, session: TlsSession, timeout: float) -> AsyncChannel:
    """A channel of ``session`` with whoever answers at ``host``:``port``."""
    address = session.address
    try:
        async with asyncio.timeout(timeout):
            try:
                _, wire = await asyncio.get_running_loop().create_connection(
                    lambda: Wire(lambda _: session), host, port
                )
            except OSError as error:
                raise PeerUnreachable(
                    f"{address} cannot be reached ({error.strerror or error})",
                    hint="Check the address, and that it runs",
                ) from None
            channel = AsyncChannel(wire, session, timeout)
            await channel.establish(server_side=False)
            return channel
    except TimeoutError:
        raise PeerUnreachable(f"{address} did not complete a handshake within {timeout:g} s", hint=_ASK) from None


class AsyncChannel:
    """An established channel under asyncio. ``async with`` closes it; any error ends it."""

    def __init__(self, wire: Wire, session: TlsSession, timeout: float) -> None:
        self._wire = wire
        self._session = session
        self._timeout = timeout
        self._frames = FrameReader()
        self._sending = asyncio.Lock()
        self._open = True
        self._closed_by_peer = False
        self._accepting = False

    @property
    def group(self) -> str:
        """The negotiated key-exchange group."""
        return self._session.group

    @property
    def peer(self) -> Party:
        """Who the other end is, as certified."""
        return self._session.peer

    @property
    def server_side(self) -> bool:
        """Whether this end accepted the connection, as the server of TLS."""
        return self._session.server_side

    @property
    def resumed(self) -> bool:
        """Whether an earlier session was resumed, under a fresh key exchange."""
        return self._session.resumed

    @property
    def due(self) -> bool:
        """Whether the policy asks for a new channel before the next message: this one has served long enough."""
        return self._session.due

    @property
    def bytes_sent(self) -> int:
        """Bytes on the wire, those of the handshake among them."""
        return self._wire.bytes_sent

    @property
    def bytes_received(self) -> int:
        """Bytes on the wire, those of the handshake among them."""
        return self._wire.bytes_received

    @property
    def closed_by_peer(self) -> bool:
        """Whether the peer has said goodbye between two messages, which is how every channel should end."""
        return self._closed_by_peer

    async def send(self, frame: bytes | bytearray | memoryview) -> None:
        """Send one message. Several tasks may send; each message stays whole."""
        if isinstance(frame, bytes) and len(frame) <= framing.SHORT and not self._sending.locked():
            self._require_open()
            try:
                # Nothing is awaited until the message is with the network: no other task comes between.
                self._session.encrypt(framing.header(len(frame)) + frame)
                if self._wire.push():
                    return
                async with self._sending:  # the others wait as well
                    await self._flush(self._timeout)
                    return
            except BaseException:
                self._abandon()
                raise
        async with self._sending:
            self._require_open()
            try:
                with memoryview(frame).cast("B") as view:
                    first = CHUNK - framing.HEADER_BYTES
                    self._session.encrypt(framing.header(len(view)) + bytes(view[:first]))
                    await self._flush(self._timeout)
                    if len(view) > first:
                        pace = Pace(self._timeout, self._timeout, time.monotonic())
                        for start in range(first, len(view), CHUNK):
                            self._session.encrypt(view[start : start + CHUNK])
                            await self._flush(pace.left(start, time.monotonic()))
            except BaseException:
                self._abandon()
                raise

    async def receive(self, limit: int, *, wait: float | None = None) -> bytes:
        """The next message of at most ``limit`` bytes. ``wait``: seconds it may take to begin (default: the timeout).

        ``PeerUnreachable`` when the peer has closed, stays silent or trickles; ``MessageRefused`` when the message is
        too long or breaks off; ``ChannelRefused`` when the peer has kept this channel for twice as long as the policy
        allows. One task at a time.
        """
        if self._accepting and self._open and self._session.overdue and not self._frames.inside:
            await self.close()
            raise ChannelRefused(
                f"{self.peer.name!r} kept one channel for twice what the policy allows",
                hint="Have it connect again in time",
                party=self.peer.name,
            )
        self._require_open()
        try:
            # One coroutine, because each below it costs a tenth of what a small message does.
            frames, session, wire = self._frames, self._session, self._wire
            pace = Pace(self._timeout if wait is None else wait, self._timeout, time.monotonic())
            while (frame := frames.take(limit)) is None:
                if session.dry or (count := frames.fill(session.decrypt_into)) is None:
                    if not session.silent:
                        await self._flush(self._timeout)  # what decrypting may have to answer
                    if not wire.ready:
                        await wire.arrival(pace.left(frames.arrived, time.monotonic()))
                    if not wire.taken():
                        raise self._ended()
                elif not count:
                    self._closed_by_peer = not frames.inside
                    raise self._ended()
            return frame
        except TimeoutError:
            self._abandon()
            raise too_slow(self._session.address, self._frames.arrived) from None
        except BaseException:
            self._abandon()
            raise

    def exporter(self, label: bytes, context: bytes, length: int) -> bytes:
        """Key material that only the two ends can compute (RFC 8446 section 7.5)."""
        return self._session.exporter(label, context, length)

    async def close(self) -> None:
        """Say goodbye, let what was sent arrive, and close: at once when cancelled. Does nothing the second time."""
        if not self._open:
            return
        self._open = False
        self._session.close()
        try:
            with contextlib.suppress(OSError, PeerError, TimeoutError):
                async with asyncio.timeout(_LINGER):
                    await self._flush(_LINGER)
                    self._wire.write_eof()
                    while await self._wire.more(_LINGER):
                        pass
            await self._drop()
        except BaseException:
            self._wire.abort()
            raise

    async def establish(self, *, server_side: bool) -> None:
        """The handshake and the welcome; ``ChannelRefused`` when either end refuses the other, ``PeerUnreachable`` when
        the connection ends. Neither leaves anything open, nor does cancellation."""
        self._accepting = server_side
        try:
            while not self._session.handshake():
                await self._flush(self._timeout)
                await self._feed()
            if server_side:
                await self.send(framing.WELCOME)  # with the end of the handshake, so that the client wakes once
            else:
                await self._flush(self._timeout)
                await self.receive(0)
        except ChannelRefused:
            with contextlib.suppress(PeerUnreachable):
                await self._flush(_LINGER)  # the alert that tells the peer
            await self._drop()
            raise
        except PeerUnreachable as error:
            await self._drop()
            raise PeerUnreachable(f"no channel was made: {error.problem}", hint=_ASK) from None
        except BaseException:
            self._wire.abort()
            raise

    async def _feed(self) -> None:
        try:
            if not await self._wire.more(self._timeout):
                raise self._ended()
        except TimeoutError:
            raise too_slow(self._session.address, self._frames.arrived) from None

    def _ended(self) -> PeerError:
        if self._frames.inside:
            return self._frames.truncated(self._session.address)
        return PeerUnreachable(f"{self._session.address} closed the connection", hint="Connect again")

    async def _flush(self, timeout: float) -> None:
        try:
            await self._wire.flush(timeout)
        except TimeoutError:
            raise PeerUnreachable(f"{self._session.address} takes no data", hint="Connect again") from None

    def _require_open(self) -> None:
        if not self._open:
            raise PeerUnreachable(f"the channel with {self._session.address} is closed", hint="Connect again")

    def _abandon(self) -> None:
        self._open = False
        self._session.abandon()
        self._wire.abort()

    async def _drop(self) -> None:
        self._open = False
        await self._wire.close(_LINGER)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncChannel({self._session.address}, {'open' if self._open else 'closed'})"


__all__ = ["AsyncChannel", "dial_async", "open_channel"]
