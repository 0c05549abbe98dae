"""Channels on blocking sockets: connect, send and receive frames, close. One thread at a time."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from types import TracebackType
from typing import Any, Self

from quatrefoil.errors import ChannelRefused, PeerUnreachable, QuatrefoilError
from quatrefoil.transport import framing
from quatrefoil.transport.credentials import Standing
from quatrefoil.transport.framing import FrameReader, Pace, too_slow
from quatrefoil.transport.identity import Clock, Identity, TrustAnchor
from quatrefoil.transport.policies import HYBRID_768, ChannelPolicy
from quatrefoil.transport.profile import Party, check_role, parse_host
from quatrefoil.transport.tls_context import TlsContext
from quatrefoil.transport.tls_session import CHUNK, PeerCheck, TlsSession

_ASK = "Check that a Quatrefoil service answers there; its log names what it refused"

_LINGER = 1.0
"""Seconds to let the peer read what is on its way before the socket goes."""


def connect(
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
) -> Channel:
    """A channel to the party in ``expect_role`` at ``host``:``port``, once both ends have accepted each other.

    ``server_name`` (default: ``host``) must be in the server's certificate. ``timeout``: seconds for the connection
    and the handshake together, and afterwards the longest silence that :meth:`Channel.receive` takes.
    Raises ``ChannelRefused`` when either side refuses the other, ``PeerUnreachable`` when nobody answers, or the
    connection ends or falls silent before that is known. A :class:`Dialer` makes several to one place, for less.
    """
    check = PeerCheck(trust, clock, frozenset({check_role(expect_role)}), parse_host(server_name or host))
    context = TlsContext(Standing(identity, trust), policy=policy)
    session = TlsSession(context, check, server_side=False, address=f"{host}:{port}")
    return dial(host, port, session, timeout)


def dial(host: str, port: int, session: TlsSession, timeout: float) -> Channel:
    """A channel of ``session`` with whoever answers at ``host``:``port``."""
    address = session.address
    deadline = time.monotonic() + timeout
    try:
        stream = socket.create_connection((host, port), timeout=timeout)
    except OSError as error:
        raise PeerUnreachable(
            f"{address} cannot be reached ({error.strerror or error})", hint="Check the address, and that it runs"
        ) from None
    try:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _establish(stream, session, deadline, timeout)
    except BaseException:
        stream.close()
        raise


class Channel:
    """An established channel. ``with`` closes it; any error ends it."""

    def __init__(self, stream: socket.socket, session: TlsSession, timeout: float) -> None:
        self._stream = stream
        self._session = session
        self._timeout = timeout
        self._frames = FrameReader()
        self._buffer = session.landing(CHUNK)
        self._set_timeout = -1.0
        self._open = True
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

    def send(self, frame: bytes | bytearray | memoryview) -> None:
        """Send one message. Returns once the operating system has it all."""
        self._require_open()
        try:
            if isinstance(frame, bytes) and len(frame) <= framing.SHORT:
                self._session.encrypt(framing.header(len(frame)) + frame)
                self._flush(self._timeout)
                return
            with memoryview(frame).cast("B") as view:
                first = CHUNK - framing.HEADER_BYTES
                self._session.encrypt(framing.header(len(view)) + bytes(view[:first]))
                self._flush(self._timeout)
                if len(view) > first:
                    pace = Pace(self._timeout, self._timeout, time.monotonic())
                    for start in range(first, len(view), CHUNK):
                        self._session.encrypt(view[start : start + CHUNK])
                        self._flush(pace.left(start, time.monotonic()))
        except BaseException:
            self._abandon()
            raise

    def receive(self, limit: int, *, wait: float | None = None) -> bytes:
        """The next message of at most ``limit`` bytes. ``wait``: seconds it may take to begin (default: the timeout).

        ``PeerUnreachable`` when the peer has closed or stays silent; ``MessageRefused`` when the message is too long
        or breaks off.
        """
        self._require_open()
        try:
            pace = Pace(self._timeout if wait is None else wait, self._timeout, time.monotonic())
            frames, session = self._frames, self._session
            while (frame := frames.take(limit)) is None:
                if session.dry or (count := frames.fill(session.decrypt_into)) is None:
                    if not session.silent:
                        self._flush(self._timeout)  # what decrypting may have to answer
                    self._feed(pace.left(frames.arrived, time.monotonic()))
                elif not count:
                    raise self._ended()
            return frame
        except BaseException:
            self._abandon()
            raise

    def exporter(self, label: bytes, context: bytes, length: int) -> bytes:
        """Key material that only the two ends can compute (RFC 8446 section 7.5)."""
        self._require_open()
        return self._session.exporter(label, context, length)

    def close(self) -> None:
        """Say goodbye, let what was sent arrive, and close. Does nothing the second time."""
        if not self._open:
            return
        self._open = False
        self._session.close()
        deadline = time.monotonic() + _LINGER
        with contextlib.suppress(OSError, QuatrefoilError):
            self._flush(_LINGER)
            self._stream.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                self._stream.settimeout(left)
                if not self._stream.recv_into(self._buffer):
                    break
        self._stream.close()

    def abort(self) -> None:
        """From another thread: whatever waits in this channel ends with ``PeerUnreachable``. Nothing is said of it."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)

    def _feed(self, timeout: float) -> None:
        """Bytes from the network, within ``timeout`` seconds."""
        try:
            self._within(timeout)
            count = self._stream.recv_into(self._buffer)
        except TimeoutError:
            raise too_slow(self._session.address, self._frames.arrived) from None
        except OSError as error:
            raise PeerUnreachable(
                f"{self._session.address} dropped the connection ({error.strerror})", hint="Connect again"
            ) from None
        if not count:
            raise self._ended()
        self.bytes_received += count
        self._session.landed(count)

    def _ended(self) -> QuatrefoilError:
        if self._frames.inside:
            return self._frames.truncated(self._session.address)
        return PeerUnreachable(f"{self._session.address} closed the connection", hint="Connect again")

    def _flush(self, timeout: float) -> None:
        try:
            while len(piece := self._session.outgoing()):
                self._within(timeout)
                self._send(piece)
                self.bytes_sent += len(piece)
        except OSError as error:
            raise PeerUnreachable(
                f"{self._session.address} takes no data ({error.strerror or error})", hint="Connect again"
            ) from None

    def _send(self, piece: Any) -> None:
        """Send ``piece``: at first without a system call that asks whether there is room, because there nearly always
        is, which a socket with a timeout does before each of its own."""
        try:
            sent = os.write(self._stream.fileno(), piece)
        except BlockingIOError:
            sent = 0
        if sent < len(piece):
            self._stream.sendall(piece[sent:])

    def _within(self, timeout: float) -> None:
        """Give the next call on the socket ``timeout`` seconds, to a hundredth: each change is a system call."""
        if timeout <= 0:
            raise TimeoutError("too slow")
        if not 0.99 * timeout <= self._set_timeout <= 1.01 * timeout:
            self._set_timeout = timeout
            self._stream.settimeout(timeout)

    def _require_open(self) -> None:
        if not self._open:
            raise PeerUnreachable(f"the channel with {self._session.address} is closed", hint="Connect again")

    def _abandon(self) -> None:
        self._open = False
        self._session.abandon()
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Channel({self.peer.name!r}, {self.peer.role}, {self.group}, {'open' if self._open else 'closed'})"


def _establish(stream: socket.socket, session: TlsSession, deadline: float, timeout: float) -> Channel:
    channel = Channel(stream, session, timeout)
    try:
        while not session.handshake():
            channel._flush(deadline - time.monotonic())
            channel._feed(deadline - time.monotonic())
        channel._flush(deadline - time.monotonic())
        channel.receive(0, wait=deadline - time.monotonic())  # the welcome
    except ChannelRefused:
        with contextlib.suppress(PeerUnreachable):
            channel._flush(_LINGER)  # the alert that tells the peer
        raise
    except PeerUnreachable as error:
        raise PeerUnreachable(f"no channel was made: {error.problem}", hint=_ASK) from None
    return channel


__all__ = ["Channel", "connect", "dial"]
