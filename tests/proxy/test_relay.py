"""The relay: what it carries, what it strips, and that it sees nothing of what it carries.

The gateway behind it is one of this file over the real encryption; with the real server it is tested in tests/client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from quatrefoil.errors import CallerError, MessageRefused, PeerUnreachable
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import (
    GatewayKeys,
    HybridKey,
    KeyConfiguration,
    RequestOpener,
    RequestSealer,
    ResponseOpener,
    ResponseSealer,
    encode_list,
    open_request,
    open_response,
    seal_request,
    seal_response,
)
from quatrefoil.proxy.relay import Relay, RelayLimits
from quatrefoil.web.client import WebClient
from web_service import Running, client_context, context, respond, server_context, serving, whole

MARKER = b"2c41e8-marker"
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


# ------------------------------------------------------------------------------------------------------ what it carries


def test_a_whole_request_and_its_answer(consortium):
    async def visit(made: World) -> None:
        for size in (0, 1, 300_000):
            content = MARKER + bytes(size)
            sealed, response = seal_request(made.gateway.configuration, content)
            answer = await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=sealed)
            assert (answer.status, answer.header(b"content-type")) == (200, b"message/ohttp-res")
            assert open_response(response, answer.content) == b"answer to " + content

    visiting(consortium, visit)


def test_the_list_of_keys_and_an_attestation(consortium):
    async def visit(made: World) -> None:
        keys = await made.ask(method="GET", path=protocol.GATEWAY_PATH)
        assert keys.content == encode_list(made.gateway.keys.configurations)
        evidence = await made.ask(CHALLENGE, path=protocol.ATTESTATION_PATH, content=b"nonce")
        assert evidence.content == b"evidence for nonce"

    visiting(consortium, visit)


def test_streams_both_ways_at_once(consortium):
    async def visit(made: World) -> None:
        sealer = RequestSealer(made.gateway.configuration)
        turn: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def content() -> AsyncIterator[bytes]:
            while (piece := await turn.get()) is not None:
                yield piece

        opener = ResponseOpener(sealer.response, limit=LIMIT)
        await turn.put(sealer.seal(b"one"))
        url = made.front.url + protocol.GATEWAY_PATH
        async with made.client.stream("POST", url, [CHUNKED, (b"incremental", b"?1")], content()) as incoming:
            assert incoming.header(b"incremental") == b"?1"
            parts: list[bytes] = []
            pieces = incoming.pieces()
            while not parts:
                parts += opener.feed(await anext(pieces))
            assert parts == [b"re one"]  # before the second was sent
            await turn.put(sealer.finish(b"two"))
            await turn.put(None)
            async for piece in pieces:
                parts += opener.feed(piece)
            assert b"".join([*parts, opener.finish()]) == b"re onere two"
        assert (b"incremental", b"?1") in made.gateway.scopes[0]["headers"]

    visiting(consortium, visit)


# -------------------------------------------------------------------------------------------- what it sees, and strips


def test_it_sees_nothing_of_a_sealed_request_or_its_answer(consortium):
    async def visit(made: World) -> None:
        sealed, response = seal_request(made.gateway.configuration, MARKER * 1000)
        answer = await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=sealed)
        sealer = RequestSealer(made.gateway.configuration)
        stream = sealer.seal(MARKER) + sealer.finish(MARKER)
        await made.ask(CHUNKED, path=protocol.GATEWAY_PATH, content=stream)
        assert MARKER in open_response(response, answer.content) and made.gateway.opened[-1].endswith(MARKER)
        assert MARKER not in made.seen
        for carried in (sealed, answer.content, stream):
            assert carried in made.seen  # it is what was recorded

    visiting(consortium, visit)


IDENTIFYING = [
    (b"cookie", MARKER),
    (b"authorization", b"Bearer " + MARKER),
    (b"forwarded", b"for=" + MARKER),
    (b"x-forwarded-for", MARKER),
    (b"via", b"1.1 " + MARKER),
    (b"user-agent", MARKER),
    (b"accept-language", MARKER),
    (b"accept", MARKER),
    (b"from", MARKER),
    (b"referer", MARKER),
    (b"origin", MARKER),
    (b"if-none-match", MARKER),
    (b"x-request-id", MARKER),
    (b"traceparent", MARKER),
    (b"date", MARKER),
    (b"incremental", MARKER),
    (b"te", MARKER),
    (b"expect", MARKER),
    (MARKER, MARKER),
]


@pytest.mark.parametrize("field", IDENTIFYING, ids=lambda field: field[0].decode())
def test_nothing_that_identifies_the_client_reaches_the_server(consortium, field):
    async def visit(made: World) -> None:
        sealed, _ = seal_request(made.gateway.configuration, b"request")
        answer = await made.ask(WHOLE, field, path=protocol.GATEWAY_PATH, content=sealed)
        assert answer.status == 200
        (scope,) = made.gateway.scopes
        assert {name for name, _ in scope["headers"]} == {b"host", b"content-type", b"content-length"}
        assert scope["extensions"]["quatrefoil.peer"]["party"].name == "relay"
        assert MARKER not in repr(scope).encode() and b"cleveland" not in repr(scope).encode()

    visiting(consortium, visit)


ANSWERED = [
    (b"set-cookie", MARKER),
    (b"server", MARKER),
    (b"etag", MARKER),
    (b"location", MARKER),
    (b"alt-svc", MARKER),
    (b"retry-after", MARKER),
    (b"retry-after", b"12345"),
    (b"incremental", MARKER),
    (b"cache-control", MARKER),
    (MARKER, MARKER),
]


@pytest.mark.parametrize("field", ANSWERED, ids=lambda field: field[0].decode())
def test_nothing_else_that_the_server_says_reaches_the_client(consortium, field):
    async def visit(made: World) -> None:
        made.gateway.instead = 200, [(b"content-type", b"message/ohttp-res"), field], b"sealed"
        answer = await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=b"sealed")
        assert (answer.status, answer.content) == (200, b"sealed")
        assert {name for name, _ in answer.headers} == {b"date", b"content-type", b"content-length", b"cache-control"}
        assert MARKER not in repr(answer.headers).encode()

    visiting(consortium, visit)


# ------------------------------------------------------------------------------------------------- what it carries not


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/v2/models/m/infer", 404),
        ("POST", "/v1/chat/completions", 404),
        ("GET", protocol.METRICS_PATH, 404),
        ("GET", protocol.LIVE_PATH, 404),
        ("GET", protocol.READY_PATH, 404),
        ("POST", protocol.GATEWAY_PATH + "/", 404),
        ("POST", protocol.GATEWAY_PATH + "?who=cleveland", 404),
        ("GET", protocol.GATEWAY_PATH + "?who=cleveland", 404),
        ("POST", "/.well-known/./ohttp-gateway", 404),
        ("POST", "/.well-known/%6fhttp-gateway", 405),
        ("POST", "//evil.example" + protocol.GATEWAY_PATH, 404),
        ("PUT", protocol.GATEWAY_PATH, 405),
        ("DELETE", protocol.GATEWAY_PATH, 405),
        ("HEAD", protocol.GATEWAY_PATH, 405),
        ("OPTIONS", protocol.GATEWAY_PATH, 405),
        ("GET", protocol.ATTESTATION_PATH, 405),
    ],
)
def test_other_paths_and_methods_reach_nobody(consortium, method, path, status):
    async def visit(made: World) -> None:
        answer = await made.ask(WHOLE, method=method, path=path, content=b"x" if method == "POST" else b"")
        assert answer.status == status
        assert answer.header(b"content-type") == b"application/problem+json"
        if method != "HEAD":
            assert json.loads(answer.content)["status"] == status
        assert made.gateway.scopes == []

    visiting(consortium, visit)


@pytest.mark.parametrize("path", [protocol.GATEWAY_PATH, protocol.ATTESTATION_PATH])
@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b"content-type", b"application/json")],
        [(b"content-type", b"message/ohttp-res")],
        [(b"content-type", b"message/ohttp-req; who=cleveland")],
        [WHOLE, WHOLE],
        [WHOLE, CHALLENGE],
    ],
    ids=["none", "JSON", "an answer's", "with a parameter", "twice", "two"],
)
def test_other_media_types_reach_nobody(consortium, path, fields):
    async def visit(made: World) -> None:
        assert (await made.ask(*fields, path=path, content=b"x")).status == 415
        assert made.gateway.scopes == []

    visiting(consortium, visit)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, b"text/html"),
        (201, b"message/ohttp-res"),
        (302, b"message/ohttp-res"),
        (404, b"text/plain"),
        (200, b"application/ohttp-keys"),
        (200, b"application/problem+json"),
        (500, b"message/ohttp-res"),
    ],
)
def test_an_answer_that_is_no_gateways_is_not_passed_on(consortium, status, kind):
    async def visit(made: World) -> None:
        made.gateway.instead = status, [(b"content-type", kind)], MARKER
        answer = await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=b"x")
        assert answer.status == 502 and MARKER not in answer.content

    visiting(consortium, visit)


@pytest.mark.parametrize("status", [400, 413, 415, 429, 503])
def test_a_gateways_refusal_is(consortium, status):
    async def visit(made: World) -> None:
        kind = (b"content-type", b"application/problem+json")
        made.gateway.instead = status, [kind, (b"retry-after", b"7")], b'{"type":"about:blank"}'
        answer = await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=b"x")
        assert (answer.status, answer.content) == (status, b'{"type":"about:blank"}')
        assert answer.header(b"retry-after") == b"7"

    visiting(consortium, visit)


# --------------------------------------------------------------------------------------------------- limits, and ends


def test_too_many_of_one_client_and_of_all_are_told_to_wait(consortium):
    async def visit(made: World) -> None:
        made.gateway.go.clear()
        sealed = [seal_request(made.gateway.configuration, b"x")[0] for _ in range(4)]
        asked = [asyncio.create_task(made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=one)) for one in sealed[:2]]
        await made.front.until(lambda: len(made.gateway.opened) == 2)
        refused = await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=sealed[2])
        assert (refused.status, refused.header(b"retry-after")) == (429, b"1")
        made.gateway.go.set()
        assert [answer.status for answer in await asyncio.gather(*asked)] == [200, 200]
        assert (await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=sealed[3])).status == 200

    visiting(consortium, visit, limits=RelayLimits(3, 2))


def test_too_many_of_all_are_told_to_wait(consortium):
    async def visit(made: World) -> None:
        made.gateway.go.clear()
        sealed = [seal_request(made.gateway.configuration, b"x")[0] for _ in range(2)]
        asked = asyncio.create_task(made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=sealed[0]))
        await made.front.until(lambda: len(made.gateway.opened) == 1)
        refused = await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=sealed[1])
        assert (refused.status, refused.header(b"retry-after")) == (503, b"1")
        made.gateway.go.set()
        assert (await asked).status == 200

    visiting(consortium, visit, limits=RelayLimits(1, 1))


@pytest.mark.parametrize(("requests", "per_client"), [(0, 0), (1, 0), (1, 2), (-1, -1)])
def test_limits_that_are_none_are_refused(requests, per_client):
    with pytest.raises(CallerError, match="are no limits"):
        RelayLimits(requests, per_client)


def test_a_client_that_leaves_takes_its_request_along(consortium):
    async def visit(made: World) -> None:
        made.gateway.go.clear()
        sealed, _ = seal_request(made.gateway.configuration, b"x")
        asked = asyncio.create_task(made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=sealed))
        await made.front.until(lambda: len(made.gateway.opened) == 1)
        asked.cancel()
        await made.front.until(lambda: made.gateway.left == 1 and made.front.server.requests == 0)
        made.gateway.go.set()

    visiting(consortium, visit)


def test_a_client_that_leaves_in_the_middle_of_its_request_does_too(consortium):
    async def visit(made: World) -> None:
        sealer = RequestSealer(made.gateway.configuration)

        async def content() -> AsyncIterator[bytes]:
            yield sealer.seal(b"one")
            await asyncio.Event().wait()

        url = made.front.url + protocol.GATEWAY_PATH
        async with made.client.stream("POST", url, [CHUNKED], content()) as incoming:
            await anext(incoming.pieces())
        await made.front.until(lambda: made.gateway.left == 1 and made.front.server.requests == 0)

    visiting(consortium, visit)


def test_an_answer_that_breaks_off_behind_it_breaks_off_before_it(consortium):
    async def visit(made: World) -> None:
        sealer = RequestSealer(made.gateway.configuration)

        async def content() -> AsyncIterator[bytes]:
            yield sealer.seal(b"one")
            await asyncio.Event().wait()

        url = made.front.url + protocol.GATEWAY_PATH
        async with made.client.stream("POST", url, [CHUNKED], content()) as incoming:
            pieces = incoming.pieces()
            await anext(pieces)
            await made.behind.server.close()
            with pytest.raises(PeerUnreachable):
                async for _ in pieces:
                    pass

    visiting(consortium, visit)


def test_a_stream_that_was_cut_is_refused_whoever_cut_it(consortium):
    """HTTP's own end is not believed: the last chunk is missing."""

    async def visit(made: World) -> None:
        sealer = RequestSealer(made.gateway.configuration)
        answer = await made.ask(CHUNKED, path=protocol.GATEWAY_PATH, content=sealer.finish(b"one"))
        opener = ResponseOpener(sealer.response, limit=LIMIT)
        with pytest.raises(MessageRefused):
            opener.feed(answer.content[:-20])
            opener.finish()

    visiting(consortium, visit)


def test_a_server_that_is_away_is_a_502_and_reported_once(consortium):
    async def visit(made: World) -> None:
        await made.behind.server.close()
        for _ in range(3):
            answer = await made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=b"x")
            assert (answer.status, answer.header(b"retry-after")) == (502, b"1")
        (said,) = made.reports
        assert "cannot be reached" in said and "cleveland" not in said

    visiting(consortium, visit)


def test_it_drains(consortium):
    async def visit(made: World) -> None:
        made.gateway.go.clear()
        sealed, response = seal_request(made.gateway.configuration, b"x")
        asked = asyncio.create_task(made.ask(WHOLE, path=protocol.GATEWAY_PATH, content=sealed))
        await made.front.until(lambda: len(made.gateway.opened) == 1)
        drained = asyncio.create_task(made.front.server.drain(30))
        await made.front.until(lambda: made.front.server._serving.draining)
        made.gateway.go.set()
        assert open_response(response, (await asked).content) == b"answer to x"
        await drained

    visiting(consortium, visit)
