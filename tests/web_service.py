"""Servers of tests, on loopback: an application that gives back what it was sent, and raw connections to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from quatrefoil.errors import PeerError
from quatrefoil.transport import Credentials, FixedCredentials, HybridContext
from quatrefoil.web import WebLimits
from quatrefoil.web.guard import Fault
from quatrefoil.web.server import WebServer
from support import Consortium

PROTOCOL = b"http/1.1"


def context(
    consortium: Consortium,
    name: str,
    role: str,
    *,
    allow: list[str],
    credentials: Credentials | None = None,
    on_refused: Callable[[PeerError], None] = lambda _refusal: None,
) -> HybridContext:
    return HybridContext(
        credentials or FixedCredentials(consortium.identity(name, role), consortium.trust),
        allow_roles=allow,
        clock=consortium.clock,
        protocol=PROTOCOL,
        on_refused=on_refused,
    )


def server_context(consortium: Consortium, **named: Any) -> HybridContext:
    return context(consortium, "model", "workload", **({"allow": ["silo"]} | named))


def client_context(consortium: Consortium, **named: Any) -> HybridContext:
    return context(consortium, "cleveland", "silo", allow=["workload"], **named)


class Left(Exception):
    """The client has."""


async def whole(receive: Any) -> bytes:
    """The body, or ``Left``."""
    body = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Left
        body += event["body"]
        if not event["more_body"]:
            return body


async def respond(send: Any, status: int = 200, body: bytes = b"", headers: Any = ()) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Method, path and body of a request, given back."""
    with contextlib.suppress(Left):
        body = await whole(receive)
        await respond(send, body=f"{scope['method']} {scope['path']} ".encode() + body)


@dataclass
class Running:
    """A server, what it told of faults, and raw connections to it."""

    server: WebServer
    faults: list[Fault] = field(default_factory=list)

    @property
    def url(self) -> str:
        scheme = "http" if self.server._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.server.port}"

    async def dial(self, tls: HybridContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port, ssl=tls)

    async def say(self, text: bytes) -> bytes:
        """Everything that comes back for ``text`` until the server closes."""
        reader, writer = await self.dial()
        try:
            writer.write(text)
            return await reader.read()
        finally:
            writer.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    app: Any = echo, *, tls: HybridContext | None = None, host: str = "127.0.0.1", **limits: Any
) -> AsyncIterator[Running]:
    faults: list[Fault] = []
    server = WebServer(app, host=host, port=0, tls=tls, limits=WebLimits(**limits), on_fault=faults.append)
    async with server, asyncio.timeout(60):
        yield Running(server, faults)
