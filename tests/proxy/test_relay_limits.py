"""The relay's limits, and how a request ends when somebody leaves or breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from relay_world import CHUNKED, LIMIT, WHOLE, World, visiting

from quatrefoil.errors import CallerError, MessageRefused, PeerUnreachable
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import RequestSealer, ResponseOpener, open_response, seal_request
from quatrefoil.proxy.relay import RelayLimits


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
