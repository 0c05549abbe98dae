"""A server of channels under asyncio. What one peer does wrong ends that peer's channel and is reported, no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from types import TracebackType
from typing import Self, TypeAlias

from quatrefoil.errors import CallerError, ChannelRefused, HostError, PeerError, PeerUnreachable
from quatrefoil.transport.aio import AsyncChannel
from quatrefoil.transport.aio_wire import Wire
from quatrefoil.transport.credentials import Credentials
from quatrefoil.transport.identity import Clock
from quatrefoil.transport.policies import HYBRID_768, ChannelPolicy
from quatrefoil.transport.profile import check_role
from quatrefoil.transport.tls_context import ContextCache
from quatrefoil.transport.tls_session import PeerCheck, TlsSession

Handler: TypeAlias = Callable[[AsyncChannel], Awaitable[None]]
"""What a server runs for each channel; the channel is closed when it returns."""

OnRefused: TypeAlias = Callable[[str, PeerError], None]
"""Told the address of a peer and why it was refused, at the handshake or in the handler: for the log.

A handler that runs into the peer's goodbye (``PeerUnreachable``) has simply ended; that is not reported.
"""


async def serve(
    host: str,
    port: int,
    *,
    credentials: Credentials,
    allow_roles: Collection[str],
    handler: Handler,
    on_refused: OnRefused,
    timeout: float,
    clock: Clock,
    policy: ChannelPolicy = HYBRID_768,
    limit: int = 4096,
) -> Server:
    """Listen, and run ``handler`` for every peer whose role is in ``allow_roles``. Port 0 takes a free one.

    ``timeout``: seconds for a handshake, and the longest silence in a channel. ``limit``: connections at a time.
    A peer that is refused never disturbs the others: it is reported to ``on_refused``. ``credentials`` are asked at
    each handshake: when they change, channels go on, and new ones are made under what they have become.
    """
    if not allow_roles:
        raise CallerError("a server that allows no role answers nobody", hint="Name the roles that may connect")
    contexts = ContextCache(credentials, policy=policy, clock=clock)
    contexts.current()  # what is wrong with them is said now
    roles = frozenset(map(check_role, allow_roles))
    server = Server(contexts, roles, clock, handler, on_refused, timeout, limit)
    await server._listen(host, port)
    return server


class Server:
    """A listening server. ``async with``, or :meth:`close`, ends its channels."""

    def __init__(
        self,
        contexts: ContextCache,
        roles: frozenset[str],
        clock: Clock,
        handler: Handler,
        on_refused: OnRefused,
        timeout: float,
        limit: int,
    ) -> None:
        self._contexts = contexts
        self._roles = roles
        self._clock = clock
        self._handler = handler
        self._on_refused = on_refused
        self._timeout = timeout
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._listener is not None
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def channels(self) -> int:
        """Connections at this moment, those in a handshake among them."""
        return len(self._tasks)

    async def serve_forever(self) -> None:
        """Run until cancelled."""
        assert self._listener is not None
        await self._listener.serve_forever()

    async def close(self) -> None:
        """Stop listening, cancel the handlers, and wait until they are gone."""
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            await self._listener.wait_closed()

    async def _listen(self, host: str, port: int) -> None:
        try:
            self._listener = await asyncio.get_running_loop().create_server(lambda: Wire(self._accept), host, port)
        except OSError as error:
            raise HostError(
                f"{host}:{port} cannot be listened on ({error.strerror or error})",
                hint="Name a free address of this host",
            ) from None

    def _accept(self, wire: Wire) -> TlsSession:
        context = self._contexts.current()
        check = PeerCheck(context.standing.trust, self._clock, self._roles, None)
        session = TlsSession(context, check, server_side=True, address=wire.address)
        # The task is ours: its failures are reported, and close() can end it.
        task = asyncio.get_running_loop().create_task(self._run(wire, session))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return session

    async def _run(self, wire: Wire, session: TlsSession) -> None:
        channel: AsyncChannel | None = None
        try:
            channel = await self._handshake(wire, session)
            async with channel:
                await self._handler(channel)
        except PeerError as error:
            if not (channel and channel.closed_by_peer and isinstance(error, PeerUnreachable)):
                self._on_refused(session.address, error)
        finally:
            wire.abort()  # does nothing to a channel that has been closed

    async def _handshake(self, wire: Wire, session: TlsSession) -> AsyncChannel:
        if len(self._tasks) > self._limit:
            raise ChannelRefused(
                f"{session.address} is one connection more than the limit of {self._limit}",
                hint="Raise the limit, or wait",
            )
        channel = AsyncChannel(wire, session, self._timeout)
        try:
            async with asyncio.timeout(self._timeout):
                await channel.establish(server_side=True)
        except TimeoutError:
            raise ChannelRefused(
                f"{session.address} did not complete a handshake within {self._timeout:g} s", hint="Have it try again"
            ) from None
        return channel

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a channel's handler failed", "exception": error, "task": task}
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


__all__ = ["Handler", "OnRefused", "Server", "serve"]
