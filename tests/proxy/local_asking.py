"""Requests to the proxy's application without a network: a client that answers from a script, and an ASGI caller."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

from quatrefoil.proxy.access import Access
from quatrefoil.proxy.app import ProxyApp
from quatrefoil.web.guard import CutOff

PORT = 8123
HOST = (b"host", b"127.0.0.1:8123")
RECEIPT = b"receipt of nobody"


@dataclass
class ScriptedClient:
    """In the place of ``AsyncClient``: notes what it is asked, and answers or raises what it was given."""

    status: int = 200
    headers: list = field(default_factory=lambda: [(b"content-type", b"application/json")])
    pieces: list = field(default_factory=lambda: [b"{}"])
    """Bytes; an exception is raised in its place, ``asyncio.Event``s are waited for."""
    error: BaseException | None = None
    asked: list = field(default_factory=list)
    closed: int = 0

    async def request(self, method, path, *, headers, content):
        self.asked.append(SimpleNamespace(method=method, path=path, headers=headers, content=content, streamed=False))
        if self.error:
            raise self.error
        content = b"".join([piece async for piece in self._given()])
        return SimpleNamespace(status=self.status, headers=_headers(self), content=content, receipt=_receipt())

    @asynccontextmanager
    async def stream(self, method, path, *, headers, content):
        self.asked.append(SimpleNamespace(method=method, path=path, headers=headers, content=content, streamed=True))
        if self.error:
            raise self.error
        try:
            yield SimpleNamespace(
                status=self.status, headers=_headers(self), iter_bytes=self._given, receipt=_receipt()
            )
        finally:
            self.closed += 1

    async def _given(self):
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                yield piece


def _headers(client):
    return SimpleNamespace(raw=tuple(client.headers))


def _receipt():
    return SimpleNamespace(encoded=RECEIPT)


@dataclass
class Answered:
    """``complete``: its end was sent."""

    status: int = 0
    headers: list = field(default_factory=list)
    pieces: list = field(default_factory=list)
    complete: bool = False

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)

    def header(self, name: bytes) -> bytes | None:
        (*_, value) = [None, *(value for one, value in self.headers if one == name)]
        return value


def made(client=None, *, token=None, user=7, seen_user=7, **more) -> ProxyApp:
    access = Access("127.0.0.1", token=token, user=user, user_of=lambda *_: seen_user)
    return ProxyApp(client or ScriptedClient(), access, **({"request_bytes": 1000, "seconds": 60} | more))


def ask(app, method="POST", path="/v2/models/m/infer", headers=(), body=b"{}", **more) -> Answered:
    return asyncio.run(asked(app, method, path, headers, body, **more))


async def asked(app, method="POST", path="/v2/models/m/infer", headers=(), body=b"{}", **more) -> Answered:
    """``body``: bytes, or a list of parts. ``leaves``: the client closes its connection when this event is set.
    ``on_piece``: told of each piece as it comes."""
    headers = list(headers)
    if not any(name == b"host" for name, _ in headers):
        headers.insert(0, HOST)
    raw, _, query = path.encode().partition(b"?")
    scope = {
        "type": "http",
        "method": method,
        "raw_path": raw,
        "query_string": query,
        "headers": headers,
        "http_version": more.get("version", "1.1"),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", PORT),
    }
    parts = [body] if isinstance(body, bytes) else list(body)
    answered = Answered()
    leaves = more.get("leaves", asyncio.Event())

    async def receive():
        if parts:
            part = parts.pop(0)
            if part is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": part, "more_body": bool(parts)}
        await leaves.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            assert not answered.status
            answered.status, answered.headers = message["status"], list(message["headers"])
            return
        assert answered.status and not answered.complete
        if message["body"]:
            answered.pieces.append(message["body"])
            more.get("on_piece", lambda _: None)(message["body"])
        answered.complete = not message["more_body"]

    with contextlib.suppress(CutOff):
        await app(scope, receive, send)
    return answered
