"""A client, a relay and a gateway over the real encryption, for tests of the relay.

With the real server behind it, it is in tests/processes; one that lies is in tests/client/test_dishonest_relay.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from quatrefoil.exchange import protocol
from quatrefoil.ohttp import (
    GatewayKeys,
    HybridKey,
    KeyConfiguration,
    RequestOpener,
    ResponseSealer,
    encode_list,
    open_request,
    seal_response,
)
from quatrefoil.proxy.relay import Relay, RelayLimits
from quatrefoil.web.client import WebClient
from web_service import Running, client_context, context, respond, server_context, serving, whole

MARKER = b"2c41e8-marker"
"""Of what is sealed: looked for where it must not be."""
WHOLE = (b"content-type", b"message/ohttp-req")
CHUNKED = (b"content-type", b"message/ohttp-chunked-req")
CHUNKED_ANSWER = (b"content-type", b"message/ohttp-chunked-res")
CHALLENGE = (b"content-type", b"application/cbor")
LIMIT = 1 << 20


class Gateway:
    """Opens what it is sent and answers in kind; keeps everything that reached it outside of the encryption."""

    def __init__(self) -> None:
        key = HybridKey.generate()
        self.key_id = protocol.key_id(key.public)
        self.keys = GatewayKeys({self.key_id: key})
        self.scopes: list[Any] = []
        self.opened: list[bytes] = []
        self.instead: tuple[int, list[tuple[bytes, bytes]], bytes] | None = None
        self.go = asyncio.Event()
        self.go.set()
        self.left = 0

    @property
    def configuration(self) -> KeyConfiguration:
        return self.keys.configurations[0]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if self.instead is not None:
            status, headers, body = self.instead
            await respond(send, status, body, headers)
        elif scope["method"] == "GET":
            await respond(
                send, 200, encode_list(self.keys.configurations), [(b"content-type", b"application/ohttp-keys")]
            )
        elif scope["path"] == protocol.ATTESTATION_PATH:
            await respond(send, 200, b"evidence for " + await whole(receive), [CHALLENGE])
        elif CHUNKED in scope["headers"]:
            await self._stream(receive, send)
        else:
            opened = open_request(await whole(receive), self.keys)
            self.opened.append(opened.content)
            leaving = asyncio.create_task(self._watch(receive))
            await self.go.wait()
            leaving.cancel()
            kind = [(b"content-type", b"message/ohttp-res")]
            await respond(send, 200, seal_response(opened.response, b"answer to " + opened.content), kind)

    async def _watch(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left += 1

    async def _stream(self, receive: Any, send: Any) -> None:
        opener = RequestOpener(self.keys, limit=LIMIT)
        sealer = None
        more = True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                self.left += 1
                return
            more = event["more_body"]
            for part in opener.feed(event["body"]):
                self.opened.append(part)
                if sealer is None:
                    sealer = ResponseSealer(opener.response)
                    headers = [CHUNKED_ANSWER, (b"incremental", b"?1")]
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": sealer.seal(b"re " + part), "more_body": True})
        last = opener.finish()
        self.opened.append(last)
        if sealer is None:
            sealer = ResponseSealer(opener.response)
            await send({"type": "http.response.start", "status": 200, "headers": [CHUNKED_ANSWER]})
        await send({"type": "http.response.body", "body": sealer.finish(b"re " + last)})


class World:
    """A client, a relay and a gateway, all over the post-quantum channel. ``seen``: every byte that the relay had."""

    def __init__(self, gateway: Gateway, behind: Running, front: Running, client: WebClient, seen: bytearray) -> None:
        self.gateway, self.behind, self.front, self.client, self.seen = gateway, behind, front, client, seen
        self.reports: list[str] = []

    async def ask(self, *headers: tuple[bytes, bytes], method: str = "POST", path: str, content: Any = b"") -> Any:
        return await self.client.request(method, self.front.url + path, headers, content)


@contextlib.asynccontextmanager
async def world(consortium: Any, *, limits: RelayLimits | None = None, **web: Any) -> AsyncIterator[World]:
    gateway, seen, reports = Gateway(), bytearray(), []
    async with (
        serving(gateway, tls=server_context(consortium, allow=["workload"])) as behind,
        WebClient(tls=context(consortium, "relay", "workload", allow=["workload"])) as forward,
    ):
        relay = Relay(_Recorded(forward, seen), behind.url, limits=limits, report=reports.append)

        async def recorded(scope: Any, receive: Any, send: Any) -> None:
            seen.extend(repr({name: value for name, value in scope.items() if name != "extensions"}).encode())

            async def received() -> Any:
                event = await receive()
                seen.extend(event.get("body", b""))
                return event

            async def sent(event: Any) -> None:
                seen.extend(repr(event.get("headers")).encode() + event.get("body", b""))
                await send(event)

            await relay(scope, received, sent)

        async with (
            serving(recorded, tls=context(consortium, "relay", "workload", allow=["silo"]), **web) as front,
            WebClient(tls=client_context(consortium)) as client,
        ):
            made = World(gateway, behind, front, client, seen)
            made.reports = reports
            yield made
            assert front.faults == []


class _Recorded:
    def __init__(self, inner: WebClient, seen: bytearray) -> None:
        self._inner, self._seen = inner, seen

    @contextlib.asynccontextmanager
    async def stream(self, method: str, url: str, headers: Any, content: Any) -> AsyncIterator[Any]:
        self._seen.extend(repr((method, url, headers)).encode())
        async with self._inner.stream(method, url, headers, content) as incoming:
            self._seen.extend(repr(incoming.headers).encode())
            yield incoming


def visiting(consortium: Any, visit: Any, **named: Any) -> None:
    async def run() -> None:
        async with world(consortium, **named) as made:
            await visit(made)

    asyncio.run(run())
