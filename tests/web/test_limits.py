"""Each limit of the server is provoked over a real socket, and whoever keeps to them is served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import Any

import pytest

from quatrefoil.errors import CallerError
from quatrefoil.web import ClientLimits, WebLimits
from quatrefoil.web.client import WebClient
from web_service import Left, Running, client_context, echo, respond, server_context, serving, whole

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
FAR = 60.0


def visiting(visit: Any, app: Any = echo, **limits: Any) -> None:
    async def run() -> None:
        async with serving(app, **limits) as running:
            await visit(running)
            await running.until(lambda: running.server.connections == 0)
            assert running.faults == []

    asyncio.run(run())


def status(said: bytes) -> int:
    return int(said.split(b" ", 2)[1])


async def trickle(writer: asyncio.StreamWriter, text: bytes, pause: float = 0.01) -> None:
    """Byte by byte, until it is sent or nobody wants it."""
    for byte in text:
        if writer.is_closing():
            return
        writer.write(bytes([byte]))
        await asyncio.sleep(pause)


# -------------------------------------------------------------------------------------------------------- slow senders


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_header_fields_that_do_not_come_are_a_time_out(begun):
    async def visit(running: Running) -> None:
        assert status(await running.say(begun)) == 408

    visiting(visit, header_seconds=0.05)


def test_header_fields_that_trickle_are_a_time_out(consortium):
    async def visit(running: Running) -> None:
        reader, writer = await running.dial()
        sending = asyncio.create_task(trickle(writer, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 1000))
        assert status(await reader.read()) == 408
        writer.close()
        await sending

    visiting(visit, header_seconds=0.1)


def test_who_still_sends_header_fields_can_read_the_answer():
    """A connection that is closed on bytes that come is reset, and the answer may be lost with it."""

    async def visit(running: Running) -> None:
        reader, writer = await running.dial()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert status(await reader.readuntil(b"\r\n\r\n")) == 408
        for _ in range(20):
            writer.write(b"a: b\r\n")
            await asyncio.sleep(0)
        assert not writer.is_closing()
        assert await reader.read() == b""
        writer.close()

    visiting(visit, header_seconds=0.05)


def test_those_of_a_second_request_are_too():
    async def visit(running: Running) -> None:
        said = await running.say(GET + GET[:-2])
        first, second = said.split(b"GET / ")  # the answer to the first ends with what it echoes
        assert (status(first), status(second)) == (200, 408)

    visiting(visit, header_seconds=0.05)


@pytest.mark.parametrize("sent", [b"", b"x", b"x" * 9])
def test_a_body_that_does_not_come_is_a_time_out_and_the_application_is_told(sent):
    ends = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await whole(receive)
        except Left:
            ends.append("left")
            await respond(send)  # goes nowhere

    async def visit(running: Running) -> None:
        said = await running.say(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n" + sent)
        assert status(said) == 408 and said.count(b"HTTP/1.1") == 1
        await running.until(lambda: ends == ["left"])

    visiting(visit, app, header_seconds=0.05, body_seconds=0.1)


def test_a_body_below_the_minimum_rate_is_a_time_out():
    async def visit(running: Running) -> None:
        reader, writer = await running.dial()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        sending = asyncio.create_task(trickle(writer, b"x" * 100_000))
        assert status(await reader.read()) == 408
        writer.close()
        await sending

    visiting(visit, header_seconds=0.1, body_seconds=FAR, body_rate=1_000_000)


def test_a_body_that_the_application_leaves_waiting_is_not():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.5)
        await respond(send, body=b"%d" % len(await whole(receive)))

    async def visit(running: Running) -> None:
        async with WebClient(tls=None) as client:
            answer = await client.request("POST", running.url + "/", content=bytes(8_000_000))
            assert (answer.status, answer.content) == (200, b"8000000")

    visiting(visit, app, header_seconds=0.2, body_seconds=0.2)


def test_a_client_that_awaits_permission_to_send_is_not_slow():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1.2)  # longer than either limit, which a loaded machine keeps to
        await respond(send, body=await whole(receive))

    async def visit(running: Running) -> None:
        reader, writer = await running.dial()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.close()

    visiting(visit, app, header_seconds=1.0, body_seconds=1.0)


def test_an_idle_connection_is_closed_without_a_word():
    async def visit(running: Running) -> None:
        said = await running.say(GET)
        assert status(said) == 200 and said.count(b"HTTP/1.1") == 1

    visiting(visit, idle_seconds=0.05, header_seconds=FAR)


# -------------------------------------------------------------------------------------------------------- slow readers


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_reader_that_takes_nothing_is_cut_off_and_the_application_goes_on(consortium, tls):
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        leaving = asyncio.create_task(receive_all(receive))
        while not leaving.done():
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
            sent.append("piece")
        sent.append("over")

    async def receive_all(receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def run() -> None:
        async with serving(
            app, tls=server_context(consortium) if tls else None, write_seconds=0.1, write_bytes=100_000
        ) as running:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", running.server.port, ssl=client_context(consortium) if tls else None, limit=1000
            )
            writer.write(GET)
            await running.until(lambda: running.server.connections == 0)
            await running.until(lambda: sent[-1] == "over")
            assert len(sent) < 100  # what waited was bounded: the system's own buffers take a few
            assert running.faults == []
            writer.close()

    asyncio.run(run())


def test_one_that_takes_nothing_of_a_short_answer_does_not_keep_its_connection(consortium):
    """What is in our buffer when the connection ends: too little to hold the application back."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, body=bytes(8_000_000))

    async def run() -> None:
        async with serving(app, write_seconds=0.1, write_bytes=16_000_000, idle_seconds=0.05) as running:
            _, writer = await asyncio.open_connection("127.0.0.1", running.server.port, limit=1000)
            writer.write(GET)
            await running.until(lambda: running.server.connections == 1)
            await running.until(lambda: running.server.connections == 0)
            writer.close()

    asyncio.run(run())


def test_a_reader_that_is_slow_and_steady_gets_everything(consortium):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, body=bytes(3_000_000))

    async def run() -> None:
        async with (
            serving(app, tls=server_context(consortium), write_seconds=1.0, write_bytes=50_000) as running,
            WebClient(tls=client_context(consortium)) as client,
            client.stream("GET", running.url + "/") as incoming,
        ):
            taken = 0
            async for piece in incoming.pieces():
                taken += len(piece)
                await asyncio.sleep(0.005)
            assert taken == 3_000_000

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------- too many, too large


def test_connections_beyond_the_limit_are_told_so_and_many_more_are_closed():
    async def visit(running: Running) -> None:
        held = [await running.dial() for _ in range(2)]
        await running.until(lambda: running.server.connections == 2)
        said = await running.say(GET)
        assert status(said) == 503 and b"retry-after: 1\r\n" in said
        held += [await running.dial() for _ in range(16)]
        await running.until(lambda: running.server.connections == 18)
        assert await running.say(b"") == b""
        for reader, writer in held[:2]:
            writer.write(GET)
            assert (await reader.readuntil(b"GET / ")).startswith(b"HTTP/1.1 200")
            writer.close()
        for _, writer in held[2:]:
            writer.close()
        await running.until(lambda: running.server.connections == 0)
        assert status(await running.say(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) == 200

    visiting(visit, connections=2)


def test_a_handshake_that_does_not_come_is_ended_and_counts_until_then(consortium):
    async def run() -> None:
        async with (
            serving(tls=server_context(consortium), connections=1, handshake_seconds=0.2) as running,
            WebClient(tls=client_context(consortium)) as client,
        ):
            reader, writer = await running.dial()
            await running.until(lambda: running.server.connections == 1)
            assert (await client.request("GET", running.url + "/")).status == 503
            assert await reader.read() == b""
            writer.close()
            await running.until(lambda: running.server.connections == 0)
            assert (await client.request("GET", running.url + "/")).status == 200
            assert running.faults == []

    asyncio.run(run())


LONG = b"GET / HTTP/1.1\r\nHost: x\r\nLong: " + b"x" * 2000 + b"\r\n\r\n"
MANY = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * 500 + b"\r\n"
SPACES = b"GET / HTTP/1.1\r\nHost: x\r\nLong:" + b" " * 2000 + b"x\r\n\r\n"
PATH = b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
TRAILER = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nLong: " + b"x" * 2000 + b"\r\n\r\n"


@pytest.mark.parametrize(
    "text", [LONG, MANY, SPACES, PATH, TRAILER], ids=["value", "number", "spaces", "path", "trailer"]
)
@pytest.mark.parametrize("cut", [False, True], ids=["at once", "without its end"])
def test_oversized_header_fields_are_refused(text, cut):
    async def visit(running: Running) -> None:
        assert status(await running.say(text[:-4] if cut else text)) == 431

    visiting(visit, header_bytes=1000)


@pytest.mark.parametrize(
    "text",
    [
        b"Content-Length: 1001\r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1001,
    ],
    ids=["announced", "huge", "one chunk", "many chunks"],
)
def test_an_oversized_body_is_refused_and_the_application_never_has_it_whole(text):
    finished = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Left):
            finished.append(await whole(receive))

    async def visit(running: Running) -> None:
        assert status(await running.say(b"POST / HTTP/1.1\r\nHost: x\r\n" + text)) == 413

    async def run() -> None:
        async with serving(app, body_bytes=1000) as running:
            await visit(running)

    asyncio.run(run())
    assert finished == []


def test_a_refusal_reaches_a_client_that_is_still_sending(consortium):
    async def run() -> None:
        async with (
            serving(tls=server_context(consortium), body_bytes=1000) as running,
            WebClient(tls=client_context(consortium)) as client,
        ):
            for size in (1001, 4_000_000):
                assert (await client.request("POST", running.url + "/", content=bytes(size))).status == 413

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------------ both ends


@pytest.mark.parametrize("kind", [WebLimits, ClientLimits])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_what_is_no_limit_is_refused(kind, value):
    for field in dataclasses.fields(kind):
        with pytest.raises(CallerError, match=f"{field.name} is"):
            kind(**{field.name: value})
