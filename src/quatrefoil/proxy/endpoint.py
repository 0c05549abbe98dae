"""The local endpoint, listening: from the first attestation to the end of what ran when it was stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from quatrefoil.client import AsyncClient, ReceiptFolder
from quatrefoil.errors import PeerUnreachable
from quatrefoil.exchange import ServingPolicy
from quatrefoil.proxy.access import Access
from quatrefoil.proxy.app import ProxyApp
from quatrefoil.web.limits import WebLimits
from quatrefoil.web.server import WebServer

DRAIN_S = 30.0
LATE_S = 5.0
"""Seconds beyond those that a policy gives the server: the way there and back, and an attestation."""

_SPARE = 64 << 10
"""Bytes beside a request's content: compression may make it longer."""


async def serve(
    client: AsyncClient,
    policy: ServingPolicy,
    *,
    host: str,
    port: int,
    token: bytes | None,
    receipts: ReceiptFolder | None,
    stop: asyncio.Event,
    report: Callable[[str], None],
) -> None:
    """Answer on ``host`` and ``port`` until ``stop`` is set. What keeps the server from being believed is raised before
    anything listens; that it cannot be reached is not: it may come."""
    access = Access(host, token=token)
    tell = Sparing(report)
    try:
        found = await client.attest()
        report(f"the server is attested: {found.measurement}")
    except PeerUnreachable as error:
        report(f"not attested yet, and asked with each request: {error}")
    app = ProxyApp(
        client,
        access,
        request_bytes=policy.limits.request_bytes,
        seconds=policy.limits.seconds + LATE_S,
        receipts=receipts,
        on_refused=lambda line: tell(f"refused: {line}"),
    )
    limits = WebLimits(
        connections=min(policy.limits.connections, WebLimits.connections),
        body_bytes=policy.limits.request_bytes + _SPARE,
    )
    server = WebServer(app, host=host, port=port, tls=None, limits=limits, on_fault=lambda fault: tell(f"{fault}"))
    async with server:
        literal = f"[{host}]" if ":" in host else host
        who = "whoever has the token" if token is not None else "programs of this user"
        report(f"proxy listens on http://{literal}:{server.port}, for {who}")
        await stop.wait()
        await server.drain(DRAIN_S)


class Sparing:
    """Lines for people, of which a flood is counted and not printed: anybody here can have requests refused."""

    MOST_A_MINUTE = 60

    def __init__(self, report: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._report, self._now = report, now
        self._minute = now()
        self._written = self._left_out = 0

    def __call__(self, line: str) -> None:
        if self._now() - self._minute >= 60:
            self._minute, self._written = self._now(), 0
        if self._written >= self.MOST_A_MINUTE:
            self._left_out += 1
            return
        self._written += 1
        more, self._left_out = self._left_out, 0
        self._report(f"{line} ({more} before it not shown)" if more else line)


__all__ = ["DRAIN_S", "LATE_S", "Sparing", "serve"]
