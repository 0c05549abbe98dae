"""An HTTP/1.1 server for applications after ASGI, over our channels, in the event loop that it is started in.

It sets no signal handlers and logs no requests. uvicorn translates between HTTP and ASGI; listening, admission, limits
and drain are here and in ``connection``. docs/web.md is the specification.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
from types import TracebackType
from typing import Self

from quatrefoil.errors import CallerError, DependencyMissing, HostError, PeerError
from quatrefoil.transport import HybridContext
from quatrefoil.web.allocation import keep_freed_memory
from quatrefoil.web.guard import ASGI, Fault, OnFault, log_fault
from quatrefoil.web.limits import WebLimits

try:
    from uvicorn.config import Config

    from quatrefoil.web.connection import Connection, Serving
except ImportError:
    raise DependencyMissing("uvicorn is not installed", hint="pip install 'quatrefoil[serve]'") from None

_SPARE = 16
"""Connections beyond the limit that are told so; what is beyond these is closed: a handshake costs something too."""

_BACKLOG = 512
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LAST_SECONDS = 1.0
"""After the deadline of a drain, for what was cut to be told so."""


class WebServer:
    """Serves ``app`` on ``host`` and ``port`` (0: a free one) from :meth:`start` to :meth:`drain` or :meth:`close`.

    Under ``tls``, ``scope["extensions"]["quatrefoil.peer"]["party"]`` is the certified ``Party`` that asks. Without it,
    which is for loopback addresses only (``CallerError``), nobody is. ``on_fault`` hears of each exception of ``app``.
    """

    def __init__(
        self,
        app: ASGI,
        *,
        host: str,
        port: int,
        tls: HybridContext | None,
        limits: WebLimits | None = None,
        on_fault: OnFault = log_fault,
    ) -> None:
        self._serving = Serving(app, limits or WebLimits(), on_fault)
        self._config = Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            loop="none",
            log_config=None,
            proxy_headers=False,
            server_header=False,
        )
        self._config.load()
        self._host, self._port, self._tls = host, port, tls
        self._listeners: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._admitting: set[asyncio.Task[None]] = set()
        self._open: set[socket.socket] = set()
        self._changed = asyncio.Event()

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        return self._port

    @property
    def connections(self) -> int:
        """At this moment, those in a handshake among them."""
        return len(self._open)

    @property
    def requests(self) -> int:
        """That the application has in hand."""
        return len(self._serving.tasks)

    async def start(self) -> int:
        """Listen; returns the port. ``HostError`` where that cannot be."""
        keep_freed_memory()
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise self._unlistenable(error) from None
        if self._tls is None and not all(ipaddress.ip_address(str(one[4][0])).is_loopback for one in found):
            raise CallerError(
                f"{self._host} is no loopback address, and there is no TLS",
                hint="Listen on 127.0.0.1, or with an identity",
            )
        problem: OSError | None = None
        for family, _, _, _, address in found:
            where = (str(address[0]), self._port)
            try:
                listener = socket.create_server(where, family=family, backlog=_BACKLOG)
            except OSError as error:  # a host may have a name for an address family that it does not have
                problem = error
                continue
            listener.setblocking(False)
            self._port = listener.getsockname()[1]
            self._listeners.append(listener)
        if not self._listeners:
            assert problem is not None
            raise self._unlistenable(problem)
        self._accepting = [loop.create_task(self._accept(one)) for one in self._listeners]
        return self._port

    async def drain(self, seconds: float) -> None:
        """Accept nothing more, finish what has been accepted, and close; what is left after ``seconds`` is cut off.

        An answer that has not begun by then is a 503. Answers end with their connection; idle connections stay open for
        ``drain_idle_seconds``, so that a request that is on its way is answered.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        await self._stop_accepting()
        self._serving.draining = True
        for connection in self._connections():
            connection.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._until_empty()
        for task in [*self._serving.tasks, *self._admitting]:
            task.cancel()
        for connection in self._connections():
            connection.close_unasked()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._until_empty()
        for connection in self._connections():
            connection.abort()
        await self._until_empty()
        await asyncio.gather(*self._serving.tasks, *self._admitting, return_exceptions=True)

    async def close(self) -> None:
        """:meth:`drain` with no time: what runs is cut off."""
        await self.drain(0)

    def _connections(self) -> list[Connection]:
        return [one for one in self._serving.connections if isinstance(one, Connection)]

    async def _until_empty(self) -> None:
        while self._open or self._serving.tasks:
            self._changed.clear()
            if self._open:
                await self._changed.wait()
            else:
                await asyncio.wait(self._serving.tasks)

    # ------------------------------------------------------------------------------------------------------- admission

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in _FULL:  # no descriptor is left: those who wait in the queue wait a little longer
                    self._serving.on_fault(Fault.of(error))
                    await asyncio.sleep(1)
                continue
            self._admit(accepted)

    async def _stop_accepting(self) -> None:
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for listener in self._listeners:
            with contextlib.suppress(OSError):  # the kernel has accepted them: they count
                while True:
                    accepted, _ = listener.accept()
                    self._admit(accepted)
            listener.close()
        self._accepting, self._listeners = [], []

    def _admit(self, accepted: socket.socket) -> None:
        limit = self._serving.limits.connections
        if len(self._open) >= limit + _SPARE:
            accepted.close()
            return
        accepted.setblocking(False)
        # asyncio does it only for sockets that were made with their protocol's number: head and body of an answer would
        # wait for each other, 40 ms.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(accepted)
        task = asyncio.get_running_loop().create_task(self._shake_hands(accepted, busy=len(self._open) > limit))
        self._admitting.add(task)
        task.add_done_callback(self._admitting.discard)

    async def _shake_hands(self, accepted: socket.socket, *, busy: bool) -> None:
        limits = self._serving.limits
        seconds = {"ssl_handshake_timeout": limits.handshake_seconds, "ssl_shutdown_timeout": limits.write_seconds}
        made: list[Connection] = []

        def connection() -> Connection:
            made.append(Connection(self._config, self._serving, busy=busy, on_lost=lambda: self._gone(accepted)))
            return made[0]

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                connection, accepted, ssl=self._tls, **(seconds if self._tls is not None else {})
            )
        except (OSError, PeerError):  # the context has told whoever is to hear of a refusal
            self._gone(accepted)
        except asyncio.CancelledError:
            self._gone(accepted)
            raise
        except Exception as error:
            self._serving.on_fault(Fault.of(error))
            self._gone(accepted)

    def _gone(self, accepted: socket.socket) -> None:
        self._open.discard(accepted)  # its transport closes it
        self._changed.set()

    def _unlistenable(self, error: OSError) -> HostError:
        return HostError(
            f"{self._host}:{self._port} cannot be listened on ({error.strerror or error})",
            hint="Name a free address of this host",
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


__all__ = ["WebServer"]
