"""A server that drains finishes what it has accepted, takes nothing new, and cuts what is not over in time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from quatrefoil.errors import PeerUnreachable
from quatrefoil.web.client import WebClient
from web_service import Running, client_context, respond, server_context, serving

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
FAR = 30.0


class Held:
    """An application that answers when it is let; ``stream``: its answer begins at once."""

    def __init__(self, *, stream: bool = False) -> None:
        self.go = asyncio.Event()
        self.began = 0
        self.cancelled = 0
        self._stream = stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.began += 1
        try:
            if not self._stream:
                await self.go.wait()
                await respond(send, body=b"done")
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await self.go.wait()
            await send({"type": "http.response.body", "body": b"last"})
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def draining(visit: Any, consortium: Any = None, *, stream: bool = False, **limits: Any) -> None:
    async def run() -> None:
        app = Held(stream=stream)
        tls = (server_context(consortium), client_context(consortium)) if consortium else (None, None)
        async with serving(app, tls=tls[0], **limits) as running, WebClient(tls=tls[1]) as client:
            await visit(running, client, app)
            assert running.server.connections == 0 and running.server.requests == 0
            assert running.faults == []

    asyncio.run(run())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_what_was_accepted_is_answered_and_nothing_new_is(consortium, tls):
    async def visit(running: Running, client: WebClient, app: Held) -> None:
        asked = [asyncio.create_task(client.request("GET", running.url + "/")) for _ in range(5)]
        await running.until(lambda: app.began == 5)
        drained = asyncio.create_task(running.server.drain(FAR))
        await running.until(lambda: running.server._serving.draining)
        async with WebClient(tls=client_context(consortium) if tls else None) as late:
            with pytest.raises(PeerUnreachable, match="cannot be reached"):
                await late.request("GET", running.url + "/")
        assert not drained.done()
        app.go.set()
        for answer in await asyncio.gather(*asked):
            assert (answer.status, answer.content, answer.header(b"connection")) == (200, b"done", b"close")
        await drained

    draining(visit, consortium if tls else None)


def test_who_waits_in_the_systems_queue_was_accepted():
    async def visit(running: Running, client: WebClient, app: Held) -> None:
        app.go.set()
        running.server._accepting[0].cancel()  # nobody accepts: the kernel does
        dialled = [await running.dial() for _ in range(5)]
        for _, writer in dialled:
            writer.write(GET)
        await running.server.drain(FAR)
        for reader, writer in dialled:
            assert (await reader.read()).endswith(b"done")
            writer.close()

    draining(visit)


def test_a_connection_that_has_not_asked_yet_is_answered():
    async def visit(running: Running, client: WebClient, app: Held) -> None:
        app.go.set()
        reader, writer = await running.dial()
        await running.until(lambda: running.server.connections == 1)
        drained = asyncio.create_task(running.server.drain(FAR))
        writer.write(GET[:10])
        await asyncio.sleep(0.05)
        writer.write(GET[10:])
        said = await reader.read()
        assert said.endswith(b"done") and b"connection: close" in said.lower()
        await drained
        writer.close()

    draining(visit, drain_idle_seconds=0.01)


def test_a_request_on_its_way_over_an_idle_connection_is_answered():
    async def visit(running: Running, client: WebClient, app: Held) -> None:
        app.go.set()
        for _ in range(2):
            assert (await client.request("GET", running.url + "/")).header(b"connection") is None
        drained = asyncio.create_task(running.server.drain(FAR))
        await running.until(lambda: running.server._serving.draining)
        assert (await client.request("GET", running.url + "/")).header(b"connection") == b"close"
        await drained

    draining(visit, drain_idle_seconds=FAR)


def test_idle_connections_do_not_hold_it_up():
    async def visit(running: Running, client: WebClient, app: Held) -> None:
        app.go.set()
        await client.request("GET", running.url + "/")
        assert running.server.connections == 1
        await running.server.drain(FAR)

    draining(visit, drain_idle_seconds=0.01)


def test_a_stream_ends_before_the_deadline(consortium):
    async def visit(running: Running, client: WebClient, app: Held) -> None:
        async with client.stream("GET", running.url + "/") as incoming:
            pieces = incoming.pieces()
            assert await anext(pieces) == b"first"
            drained = asyncio.create_task(running.server.drain(FAR))
            await asyncio.sleep(0.05)
            assert not drained.done()
            app.go.set()
            assert [piece async for piece in pieces] == [b"last"]
        await drained

    draining(visit, consortium, stream=True)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_or_is_cut_at_it_and_its_reader_knows(consortium, tls):
    async def visit(running: Running, client: WebClient, app: Held) -> None:
        async with client.stream("GET", running.url + "/") as incoming:
            pieces = incoming.pieces()
            assert await anext(pieces) == b"first"
            await running.server.drain(0.05)
            assert app.cancelled == 1
            with pytest.raises(PeerUnreachable):
                await anext(pieces)

    draining(visit, consortium if tls else None, stream=True)


def test_an_answer_that_has_not_begun_by_then_is_a_503(consortium):
    async def visit(running: Running, client: WebClient, app: Held) -> None:
        asked = asyncio.create_task(client.request("GET", running.url + "/"))
        await running.until(lambda: app.began == 1)
        await running.server.drain(0.05)
        answer = await asked
        assert (answer.status, answer.content) == (503, b"the server is going away\n")
        assert app.cancelled == 1

    draining(visit, consortium)


def test_handshakes_and_silent_connections_do_not_outlive_the_deadline(consortium):
    async def visit(running: Running, client: WebClient, app: Held) -> None:
        dialled = [await running.dial() for _ in range(3)]
        await running.until(lambda: running.server.connections == 3)
        await running.server.drain(0.05)
        for reader, writer in dialled:
            assert await reader.read() == b""
            writer.close()

    draining(visit, consortium)


def test_draining_twice_is_nothing():
    async def visit(running: Running, client: WebClient, app: Held) -> None:
        await running.server.drain(0)
        await running.server.drain(0)  # once more is nothing

    draining(visit)
