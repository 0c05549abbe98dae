"""What is not HTTP/1.1, or could be read in two ways, is refused; nothing that is sent disturbs the server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web_service import Left, Running, respond, serving, whole

HOST = b"Host: x\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


class Heard:
    """Applications are told of these requests."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        with contextlib.suppress(Left):
            await whole(receive)
            await respond(send)


def said_to(text: bytes) -> tuple[bytes, list[str]]:
    """What comes back, and the paths that the application was asked for."""

    async def run() -> tuple[bytes, list[str]]:
        heard = Heard()
        async with serving(heard, header_seconds=0.2, body_seconds=0.2, idle_seconds=0.2) as running:
            said = await running.say(text)
            await running.until(lambda: running.server.connections == 0)
            assert running.faults == []
            return said, heard.paths

    return asyncio.run(run())


REFUSED = {
    "no request line": (b"GARBAGE\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "unknown version": (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 505),
    "version of before": (b"GET / HTTP/1.0\r\n" + HOST + b"\r\n", 505),
    "a second space": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a control character": (b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a TLS handshake": (b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + bytes(50) + b"\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "a space before the colon": (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "a null in a value": (b"GET / HTTP/1.1\r\n" + HOST + b"A: b\x00c\r\n\r\n", 400),
    "a tunnel": (b"CONNECT x:1 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "a signed length": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "a list of lengths": (POST + b"Content-Length: 3, 4\r\n\r\nabcd", 400),
    "length and chunks": (POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
    "chunks and length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 35\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
    "an unknown coding": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    "two codings": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "a disguised coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
    "a folded coding": (POST + b"Transfer-Encoding:\r\n identity, chunked\r\n\r\n", 501),
    "lines that end with LF alone": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "one line that ends with LF alone": (POST + b"A: b\nContent-Length: 35\r\n\r\n", 400),
    "an end of LF alone": (POST + b"Content-Length: 35\r\n\n", 400),
    "a folded field": (POST + b"A: b\r\n Content-Length: 35\r\n\r\n", 400),
    "a list of one length": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "one length twice": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "no chunk size": (POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "a chunk size over 20 digits": (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 21 + b"\r\n", 400),
    "a chunk without its end": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_malformed_is_refused_and_what_follows_is_never_read(case):
    text, expected = REFUSED[case]
    said, paths = said_to(text + SMUGGLED)
    assert said.startswith(b"HTTP/1.1 %d " % expected) and said.count(b"HTTP/1.1 ") == 1
    assert b"connection: close\r\n" in said.lower() and b"server:" not in said.lower()
    assert "/smuggled" not in paths


def test_a_request_inside_a_body_is_a_body():
    said, paths = said_to(POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED)
    assert said.count(b"HTTP/1.1 200") == 1 and paths == ["/"]


def test_requests_on_each_others_heels_are_answered_in_order():
    texts = [b"GET /%d HTTP/1.1\r\n" % number + HOST + b"\r\n" for number in range(20)]
    said, paths = said_to(b"".join(texts))
    assert said.count(b"HTTP/1.1 200") == 20 and paths == [f"/{number}" for number in range(20)]


def test_an_upgrade_is_not_made():
    said, paths = said_to(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200") and paths == ["/"]


@pytest.mark.parametrize("whole_request", [True, False], ids=["after a request", "within one"])
def test_a_client_that_stops_sending_has_left(whole_request):
    ends = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (event := await receive())["type"] != "http.disconnect":
            pass
        ends.append(event["type"])

    async def run() -> None:
        async with serving(app) as running:
            reader, writer = await running.dial()
            writer.write(POST + b"Content-Length: 3\r\n\r\n" + (b"abc" if whole_request else b"a"))
            await running.until(lambda: running.server.requests == 1)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await running.until(lambda: ends == ["http.disconnect"] and running.server.connections == 0)

    asyncio.run(run())


PARTS = [b"GET / HTTP/1.1\r\n", POST, HOST, b"\r\n", b"Content-Length: 3\r\n", b"abc", b"Connection: close\r\n", b"\0"]


@settings(max_examples=60)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                [*PARTS, b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"Expect: 100-continue\r\n"]
            ),
            max_size=12,
        ).map(b"".join),
    )
)
def test_whatever_is_sent_the_server_goes_on(text):
    async def run() -> None:
        async with serving(Heard(), header_seconds=0.01, body_seconds=0.02, idle_seconds=0.01) as running:
            await running.say(text)
            assert (await running.say(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")).startswith(b"HTTP/1.1 200")
            await running.until(lambda: running.server.connections == 0 and running.server.requests == 0)
            assert running.faults == []

    asyncio.run(run())


def test_running_is_what_the_tests_think(consortium):
    """The helper says everything that comes back, and no more."""

    async def run() -> None:
        async with serving(idle_seconds=0.05) as running:
            assert isinstance(running, Running)
            assert (await running.say(SMUGGLED)).endswith(b"GET /smuggled ")

    asyncio.run(run())
