"""An oblivious relay (RFC 9458 section 6): carries encapsulated requests between clients and one server; reads none.

The server sees the relay ask, and not who asks it; the relay sees who asks, how much and when, and not what. Of a
request it passes on path, media type and bytes, of an answer status, media type and bytes: nothing else that either end
says crosses. docs/relay.md is the specification.
"""

from __future__ import annotations

import asyncio
import http
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quatrefoil.errors import CallerError, PeerError
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import chunked, encapsulation
from quatrefoil.web.client import Content, Incoming, WebClient
from quatrefoil.web.guard import CutOff, Receive, Scope, Send

_ATTESTATION = protocol.ATTESTATION_TYPE.encode()
_KEYS = protocol.KEYS_TYPE.encode()
_PROBLEM = b"application/problem+json"
_REQUESTS = frozenset({encapsulation.REQUEST_TYPE.encode(), chunked.REQUEST_TYPE.encode()})
_ANSWERS = frozenset({encapsulation.RESPONSE_TYPE.encode(), chunked.RESPONSE_TYPE.encode()})

_ROUTES: Mapping[tuple[str, str], tuple[frozenset[bytes], frozenset[bytes]]] = {
    ("POST", protocol.ATTESTATION_PATH): (frozenset({_ATTESTATION}), frozenset({_ATTESTATION})),
    ("GET", protocol.GATEWAY_PATH): (frozenset(), frozenset({_KEYS})),
    ("POST", protocol.GATEWAY_PATH): (_REQUESTS, _ANSWERS),
}
"""What is carried: media types of requests (none: they have no content), and of answers."""

_PAUSE = (b"retry-after", b"1")
_LONGEST_PAUSE = 4
"""Digits of ``Retry-After`` that are passed on."""


@dataclass(frozen=True)
class RelayLimits:
    """``requests``: carried at once. ``per_client``: of one certified party, so that none keeps the others out."""

    requests: int = 512
    per_client: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.per_client <= self.requests:
            raise CallerError(
                f"{self.per_client} requests of a client and {self.requests} of all are no limits",
                hint="Give at least 1 to each client, and no more than to all",
            )


class Relay:
    """The ASGI application. ``origin``: ``https://HOST:PORT`` of the server that ``client`` asks.

    ``report`` is told when the server cannot be asked, and when it can again: of clients, nothing.
    """

    def __init__(
        self, client: WebClient, origin: str, *, limits: RelayLimits | None = None, report: Callable[[str], None]
    ) -> None:
        self._client = client
        self._origin = origin
        self._limits = limits or RelayLimits()
        self._report = report
        self._trouble = ""
        self._carried: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _ROUTES.get((scope["method"], scope["path"]))
        if found is None or scope["query_string"] or scope["raw_path"] != scope["path"].encode():
            known = any(scope["path"] == path for _, path in _ROUTES) and not scope["query_string"]
            await _problem(send, 405 if known else 404)
            return
        headers = _only_once(scope["headers"])
        if found[0] and headers.get(b"content-type") not in found[0]:
            await _problem(send, 415)
            return
        peer = scope["extensions"].get("quatrefoil.peer")
        client = peer["party"].name if peer else ""
        if self._carried.total() >= self._limits.requests:
            await _problem(send, 503, _PAUSE)
            return
        if self._carried[client] >= self._limits.per_client:
            await _problem(send, 429, _PAUSE)
            return
        self._carried[client] += 1
        try:
            await self._carry(scope, headers, found[1], receive, send)
        finally:
            self._carried[client] -= 1
            if not self._carried[client]:
                del self._carried[client]  # who asked is not remembered

    async def _carry(
        self, scope: Scope, headers: dict[bytes, bytes], types: frozenset[bytes], receive: Receive, send: Send
    ) -> None:
        upload = _Upload(receive)
        fields = [(name, headers[name]) for name in (b"content-type",) if scope["method"] == "POST"]
        content: Content = b""
        if scope["method"] == "POST":
            content = upload.pieces()
            if headers.get(b"incremental") == b"?1":
                fields.append((b"incremental", b"?1"))
            if b"content-length" in headers:
                fields.append((b"content-length", headers[b"content-length"]))
        else:
            upload.over.set()
        work = asyncio.ensure_future(self._exchange(scope["method"], scope["path"], fields, content, types, send))
        gone = asyncio.ensure_future(upload.left())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return  # whoever asked has left: so do we
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        work.result()

    async def _exchange(
        self,
        method: str,
        path: str,
        fields: list[tuple[bytes, bytes]],
        content: Content,
        types: frozenset[bytes],
        send: Send,
    ) -> None:
        begun = False
        try:
            async with self._client.stream(method, self._origin + path, fields, content) as incoming:
                self._recovered()
                if (head := _passed(incoming, types)) is None:
                    await _problem(send, 502)
                    return
                begun = True
                await send({"type": "http.response.start", "status": incoming.status, "headers": head})
                async for piece in incoming.pieces():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body"})
        except _Left:
            return
        except PeerError as error:
            if begun:
                raise CutOff from None
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._report(f"the server was not asked: {error}")
            await _problem(send, 502, _PAUSE)

    def _recovered(self) -> None:
        if self._trouble:
            self._trouble = ""
            self._report("the server answers again")


class _Left(Exception):
    """The client has."""


class _Upload:
    """A request's content as it comes, and afterwards whether its sender is still there."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.over = asyncio.Event()

    async def pieces(self) -> AsyncIterator[bytes]:
        while True:
            event = await self._receive()
            if event["type"] != "http.request":
                raise _Left
            if event["body"]:
                yield event["body"]
            if not event["more_body"]:
                self.over.set()
                return

    async def left(self) -> None:
        await self.over.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _passed(incoming: Incoming, types: frozenset[bytes]) -> list[tuple[bytes, bytes]] | None:
    """The header fields of an answer that go on to the client, or None where the answer is not one of a gateway."""
    kind = incoming.header(b"content-type")
    whole = incoming.status == 200 and kind in types
    if kind is None or not (whole or (400 <= incoming.status < 600 and kind == _PROBLEM)):
        return None
    head = [(b"content-type", kind), (b"cache-control", b"no-store")]
    if (length := incoming.header(b"content-length")) is not None:
        head.append((b"content-length", length))
    if incoming.header(b"incremental") == b"?1":
        head.append((b"incremental", b"?1"))
    pause = incoming.header(b"retry-after")
    if pause is not None and pause.isdigit() and len(pause) <= _LONGEST_PAUSE:
        head.append((b"retry-after", pause))
    return head


def _only_once(headers: Any) -> dict[bytes, bytes]:
    """The header fields whose names come once: of others, no value counts."""
    names = Counter(name for name, _ in headers)
    return {name: value for name, value in headers if names[name] == 1}


async def _problem(send: Send, status: int, *more: tuple[bytes, bytes]) -> None:
    """Problem details (RFC 9457) of our own: they say nothing of the request."""
    title = http.HTTPStatus(status).phrase
    content = json.dumps({"type": "about:blank", "title": title, "status": status}).encode()
    head = [(b"content-type", _PROBLEM), (b"cache-control", b"no-store"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": [*head, *more]})
    await send({"type": "http.response.body", "body": content})


__all__ = ["Relay", "RelayLimits"]
