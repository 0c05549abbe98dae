"""A gateway that serves: its listener, its keys, its log, and the end of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from quatrefoil.errors import QuatrefoilError
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.services.exposition import CONTENT_TYPE
from quatrefoil.serving import asgi
from quatrefoil.serving.gateway import Gateway
from quatrefoil.serving.handler import Handler
from quatrefoil.serving.keys import ServingKeys
from quatrefoil.serving.metrics import Metrics
from quatrefoil.serving.opening import most_sealed
from quatrefoil.serving.receipt_log import ReceiptLog
from quatrefoil.serving.rotation import first_keys, keep_rotating
from quatrefoil.transport import Clock, HybridContext
from quatrefoil.web.guard import Fault
from quatrefoil.web.limits import WebLimits
from quatrefoil.web.server import WebServer

FLUSH_S = 0.5
"""Seconds between two times that receipts are taken into the log."""


class Serving:
    """One server. ``listen``: host and port. ``metrics``: where counts are read, a loopback address, or ``None``."""

    def __init__(
        self,
        handler: Handler,
        keys: ServingKeys,
        receipt_log: ReceiptLog,
        policy: ServingPolicy,
        *,
        listen: tuple[str, int],
        tls: HybridContext | None,
        metrics: tuple[str, int] | None = None,
        clock: Clock,
        report: Callable[[str], None],
    ) -> None:
        self._handler, self._keys, self._receipt_log, self._policy = handler, keys, receipt_log, policy
        self._report = report
        self._counts = Metrics()
        self.gateway = Gateway(handler, keys, receipt_log, policy, clock=clock, report=report, metrics=self._counts)
        limits = policy.limits
        web = WebLimits(
            connections=limits.connections,
            body_bytes=most_sealed(policy, chunked=True),
            body_seconds=limits.seconds,
        )

        def fault(found: Fault) -> None:
            report(f"a fault: {found}")

        self._web = WebServer(self.gateway, host=listen[0], port=listen[1], tls=tls, limits=web, on_fault=fault)
        self._metrics = (
            WebServer(_metrics_app(self._counts), host=metrics[0], port=metrics[1], tls=None, on_fault=fault)
            if metrics
            else None
        )

    @property
    def port(self) -> int:
        return self._web.port

    @property
    def metrics_port(self) -> int:
        return self._metrics.port if self._metrics else 0

    async def run(
        self,
        stop: asyncio.Event,
        *,
        keeping: Callable[[], Awaitable[None]] | None = None,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve until ``stop``, and drain. ``keeping`` runs beside it, and what it raises ends the server; so does the
        end of the last keys. ``started``: called once requests are answered."""
        running: list[asyncio.Future[Any]] = []
        try:
            await first_keys(self._keys, self._counts)
            await self._web.start()
            if self._metrics:
                await self._metrics.start()
            started()
            running = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._rotating())]
            if keeping is not None:
                running.append(asyncio.ensure_future(keeping()))
            flushing = asyncio.ensure_future(self._flushing())
            running.append(flushing)
            stopping, *others = running
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if not any(task.done() for task in others):
                self.gateway.stop_taking()
                self._report("no more requests are taken: what is being answered is finished")
                # What ends a server that serves ends one that drains too.
                draining = asyncio.ensure_future(self._web.drain(self._policy.limits.stream_seconds))
                running.append(draining)
                await asyncio.wait([draining, *others], return_when=asyncio.FIRST_COMPLETED)
            failed = [task for task in others if task.done()]
            if failed:
                self.gateway.dismiss()
                self._report("nothing more is begun, and what takes long is cut off")
                await self._web.drain(self._policy.limits.seconds)
                failed[0].result()
            assert failed or stopping.done()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._closed()

    async def _rotating(self) -> None:
        await keep_rotating(self._keys, self._counts, self._report)

    async def _flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await asyncio.wrap_future(self._receipt_log.flush())

    async def _closed(self) -> None:
        await self._web.close()
        if self._metrics:
            await self._metrics.close()
        await self._handler.close()
        await asyncio.to_thread(self.gateway.close)
        self._keys.close()
        try:
            await asyncio.to_thread(self._receipt_log.close)
        except QuatrefoilError as error:  # the journal keeps what the log did not take, for the next start
            self._report(f"the log did not take the end: {error}")


def _metrics_app(counts: Metrics) -> Callable[[asgi.Scope, asgi.Receive, asgi.Send], Awaitable[None]]:
    async def app(scope: asgi.Scope, _receive: asgi.Receive, send: asgi.Send) -> None:
        if (scope["method"], scope["path"]) == ("GET", protocol.METRICS_PATH):
            await asgi.reply(send, 200, CONTENT_TYPE.encode(), counts.text())
        else:
            await asgi.reply(send, 404, b"text/plain", b"nothing is here\n")

    return app


__all__ = ["Serving"]
