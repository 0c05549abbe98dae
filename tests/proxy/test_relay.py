"""The relay: what it carries, what it strips, and that it sees nothing of what it carries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from relay_world import CHALLENGE, CHUNKED, LIMIT, MARKER, WHOLE, World, visiting

from quatrefoil.exchange import protocol
from quatrefoil.ohttp import RequestSealer, ResponseOpener, encode_list, open_response, seal_request

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
