"""A model served without any of the layers: what demo and bench put beside ``quatrefoil serve``.

The same web server, protocol handler, engine and limits, over HTTP on loopback, unattested, without receipts. As a
program, ``python -m quatrefoil.demo.plain_server MODEL POLICY``, it prints its port once it answers; ends by SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from quatrefoil.demo.processes import HOST
from quatrefoil.exchange import ServingPolicy
from quatrefoil.inference import OnnxEngine
from quatrefoil.ohttp import Request, RequestHead
from quatrefoil.serving import asgi
from quatrefoil.serving.handler import Caller, Streamed
from quatrefoil.serving.oip import OipHandler
from quatrefoil.web import WebLimits
from quatrefoil.web.server import WebServer


async def serve_plain(
    model: bytes, policy: ServingPolicy, *, threads: int, stop: asyncio.Event, tell: Callable[[int], None]
) -> None:
    """Serve an ONNX file until ``stop``, under the name and limits of ``policy`` and nothing else of it. ``tell`` is
    given the port."""
    handler = OipHandler(OnnxEngine(model, name=policy.model.name, threads=threads), policy)
    limits = WebLimits(connections=policy.limits.connections)
    async with WebServer(_Plain(handler, policy), host=HOST, port=0, tls=None, limits=limits) as server:
        tell(server.port)
        await stop.wait()
    await handler.close()


class _Plain:
    def __init__(self, handler: OipHandler, policy: ServingPolicy) -> None:
        self._handler, self._policy = handler, policy

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        limits, headers = self._policy.limits, tuple(scope["headers"])
        announced = dict(headers).get(b"content-length", b"")
        content = await asgi.body(receive, limits.request_bytes, announced, limits.seconds)
        head = RequestHead(scope["method"].encode(), b"http", b"", scope["path"].encode(), headers)
        answer = await self._handler.answer(Request(head, content), Caller("", "", 0.0))
        assert not isinstance(answer, Streamed)
        fields = [*answer.head.fields, (b"content-length", b"%d" % len(answer.content))]
        await send({"type": "http.response.start", "status": answer.head.status, "headers": fields})
        await send({"type": "http.response.body", "body": answer.content, "more_body": False})


def stopping() -> asyncio.Event:
    """Set by SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop


def tell_port(port: int) -> None:
    print(port, flush=True)


async def _main(model: Path, policy: Path) -> None:
    held_to = ServingPolicy.decode(policy.read_bytes())
    await serve_plain(model.read_bytes(), held_to, threads=1, stop=stopping(), tell=tell_port)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), Path(sys.argv[2])))
