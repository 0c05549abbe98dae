"""Channels to one place, made again and again: at a handshake's full price once, and resumed within limits after that.

Whoever sends small requests, or makes a channel anew because it has served its time, pays a key exchange instead of a
handshake with certificates. What resuming costs is in docs/transport.md.
"""

from __future__ import annotations

import contextlib

from quatrefoil.transport.aio import AsyncChannel, dial_async
from quatrefoil.transport.channel import Channel, dial
from quatrefoil.transport.credentials import Credentials
from quatrefoil.transport.identity import Clock
from quatrefoil.transport.policies import HYBRID_768, ChannelPolicy
from quatrefoil.transport.profile import check_role, parse_host
from quatrefoil.transport.tls_context import ContextCache, Ticket, TlsContext
from quatrefoil.transport.tls_session import PeerCheck, TlsSession


class Dialer:
    """Makes channels to the party in ``expect_role`` at ``host``:``port``; arguments as of :func:`channel.connect`.

    ``credentials`` are asked at each channel. When they change, sessions made under the former ones are forgotten. Each
    session is offered once, and its server's certificate is judged as in a full handshake. Threads may share a dialer.

    ``resume``: False for a full handshake each time, so that both ends show each time that they hold their keys.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        credentials: Credentials,
        expect_role: str,
        timeout: float,
        clock: Clock,
        server_name: str | None = None,
        policy: ChannelPolicy = HYBRID_768,
        resume: bool = True,
    ) -> None:
        self._host, self._port = host, port
        self._roles = frozenset({check_role(expect_role)})
        self._name = parse_host(server_name or host)
        self._timeout = timeout
        self._clock = clock
        self._resume = resume
        self._contexts = ContextCache(credentials, policy=policy, clock=clock)

    def connect(self) -> Channel:
        """A blocking channel; errors as of :func:`channel.connect`."""
        context, session = self._session()
        channel = dial(self._host, self._port, session, self._timeout)
        self._keep(context, session)
        return channel

    async def open(self) -> AsyncChannel:
        """A channel under asyncio; errors as of :func:`channel.connect`."""
        context, session = self._session()
        channel = await dial_async(self._host, self._port, session, self._timeout)
        self._keep(context, session)
        return channel

    def _session(self) -> tuple[TlsContext, TlsSession]:
        context = self._contexts.current()
        check = PeerCheck(context.standing.trust, self._clock, self._roles, self._name)
        address = f"{self._host}:{self._port}"
        return context, TlsSession(context, check, server_side=False, address=address, ticket=_take(context))

    def _keep(self, context: TlsContext, session: TlsSession) -> None:
        if self._resume and context.policy.resume_seconds and (ticket := session.ticket()) is not None:
            context.tickets.append(ticket)


def _take(context: TlsContext) -> Ticket | None:
    with contextlib.suppress(IndexError):  # there is none, or another thread was quicker
        while (ticket := context.tickets.pop()).broken:
            pass
        return ticket
    return None


__all__ = ["Dialer"]
