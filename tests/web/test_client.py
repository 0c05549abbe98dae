"""The client against servers that do what they should not: late, cut off, malformed, endless, and tempting."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from quatrefoil.errors import CallerError, MessageRefused, PeerUnreachable
from quatrefoil.web import ClientLimits
from quatrefoil.web.client import WebClient
from web_service import respond, serving, whole

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def peer(handle: Handle) -> AsyncIterator[str]:
    """A server that says whatever it likes. ``handle`` has the connection; it is closed afterwards."""

    visits: set[asyncio.Task[None]] = set()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        visits.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handle(reader, writer)
            await writer.drain()
        writer.transport.abort() if task.cancelling() else writer.close()

    server = await asyncio.start_server(visit, "127.0.0.1", 0)
    async with server, asyncio.timeout(30):
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        finally:
            for one in visits:
                one.cancel()
            await asyncio.gather(*visits, return_exceptions=True)


def saying(text: bytes, *, then: float = 0.0) -> Handle:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        await writer.drain()
        await asyncio.sleep(then)

    return handle


def asked(handle: Handle, *, method: str = "GET", content: Any = b"", headers: Any = (), **limits: Any) -> Any:
    async def run() -> Any:
        async with peer(handle) as url, WebClient(tls=None, limits=ClientLimits(**limits)) as client:
            return await client.request(method, url, headers, content)

    return asyncio.run(run())


OK = b"HTTP/1.1 200 OK\r\n"


# ------------------------------------------------------------------------------------------- nothing of its own accord


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_it_goes_nowhere_else(status):
    elsewhere: list[bytes] = []

    async def trap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        elsewhere.append(await reader.read(100))

    async def run() -> Any:
        async with peer(trap) as other:
            text = b"HTTP/1.1 %d Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, other.encode())
            async with peer(saying(text)) as url, WebClient(tls=None) as client:
                return await client.request("POST", url, content=b"x")

    assert asyncio.run(run()).status == status
    assert elsewhere == []


def test_it_takes_no_proxy_from_the_environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert asked(saying(OK + b"Content-Length: 2\r\n\r\nhi")).content == b"hi"


def test_it_says_only_what_it_was_given_and_keeps_no_cookie():
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK + b"Set-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")

    async def run() -> None:
        async with peer(handle) as url, WebClient(tls=None) as client:
            for _ in range(2):
                await client.request("GET", url + "%7Ea?b=%2F", [(b"a", b"b")])
            host = url[7:-1].encode()
            said = b"GET /%%7Ea?b=%%2F HTTP/1.1\r\nHost: %s\r\na: b\r\n\r\n" % host
            assert heard == [said] * 2

    asyncio.run(run())


def test_it_leaves_what_is_compressed_as_it_came():
    packed = gzip.compress(bytes(1_000_000))
    text = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    assert asked(saying(text + packed)).content == packed


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("content", [b"", b"x", bytes(200_000)], ids=len)
def test_what_was_sent_is_never_sent_again(method, content):
    """The first answer keeps the connection; the second request on it is met by its end, as where a server restarts."""
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heard) == 1:
            writer.write(OK + b"Content-Length: 0\r\n\r\n")
            heard.append(await reader.readuntil(b"\r\n\r\n"))

    async def run() -> None:
        async with peer(handle) as url, WebClient(tls=None) as client:
            await client.request("GET", url)
            with pytest.raises(PeerUnreachable, match="not sent again by itself"):
                await client.request(method, url, content=content)

    asyncio.run(run())
    assert len(heard) == 2


def test_a_connection_that_is_known_to_be_closed_is_not_used():
    heard: list[bytes] = []
    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK + b"Content-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async def run() -> None:
        async with peer(handle) as url, WebClient(tls=None) as client:
            for _ in range(3):
                assert (await client.request("POST", url, content=b"x")).status == 200
                await closed.wait()
                await asyncio.sleep(0.05)  # for the end to arrive
                closed.clear()

    asyncio.run(run())
    assert len(heard) == 3


# -------------------------------------------------------------------------------------------------------- time and size


def test_a_server_that_does_not_answer():
    with pytest.raises(PeerUnreachable, match=r"did not answer within 0\.05 s"):
        asked(saying(b"", then=20), answer_seconds=0.05, connect_seconds=0.05)


def test_one_that_falls_silent_in_its_answer():
    with pytest.raises(PeerUnreachable, match=r"sent nothing more for 0\.05 s"):
        asked(saying(OK + b"Content-Length: 5\r\n\r\nab", then=20), idle_seconds=0.05)


def test_one_that_never_ends():
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(PeerUnreachable, match=r"took longer than 0\.2 s"):
        asked(handle, total_seconds=0.2)


def test_one_that_takes_nothing_of_a_request():
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(20)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)

    with pytest.raises(PeerUnreachable):
        asked(handle, method="POST", content=endless(), idle_seconds=0.1, connect_seconds=20)


def test_ones_own_content_may_take_its_time_and_its_failure_is_its_own():
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.1)
            yield b"x"

    class Broken(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise Broken

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Exception):
            await respond(send, body=await whole(receive))

    async def run() -> None:
        limits = ClientLimits(answer_seconds=0.05, idle_seconds=0.05, connect_seconds=0.2)
        async with serving(app) as running, WebClient(tls=None, limits=limits) as client:
            assert (await client.request("POST", running.url + "/", content=slow())).content == b"xxx"
            with pytest.raises(Broken):
                await client.request("POST", running.url + "/", content=broken())

    asyncio.run(run())


@pytest.mark.parametrize(
    "text",
    [
        OK + b"Content-Length: 1001\r\n\r\n" + bytes(1001),
        OK + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + bytes(1001),
    ],
    ids=["length", "chunk"],
)
def test_an_answer_over_the_limit(text):
    with pytest.raises(MessageRefused, match="more than 1000 bytes"):
        asked(saying(text, then=1), answer_bytes=1000)


def test_nobody_there():
    async def run() -> None:
        async with WebClient(tls=None) as client:
            await client.request("GET", "http://127.0.0.1:1/")

    with pytest.raises(PeerUnreachable, match=r"127\.0\.0\.1:1 cannot be reached"):
        asyncio.run(run())


def test_no_connection_is_free_in_time():
    async def run() -> None:
        limits = ClientLimits(connections=1, connect_seconds=0.1)
        async with peer(saying(b"", then=20)) as url, WebClient(tls=None, limits=limits) as client:
            first = asyncio.create_task(client.request("GET", url))
            await asyncio.sleep(0.05)
            with pytest.raises(PeerUnreachable, match=r"no connection with .* within 0\.1 s"):
                await client.request("GET", url)
            first.cancel()

    asyncio.run(run())


# ----------------------------------------------------------------------------------------------------------- malformed


REFUSED = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a status that is none": b"HTTP/1.1 abc OK\r\n\r\n",
    "a long field": OK + b"a: " + b"x" * 3000 + b"\r\nContent-Length: 0\r\n\r\n",
    "many fields": OK + b"".join(b"a%d: b\r\n" % number for number in range(200)) + b"\r\n",
    "a long status line": b"HTTP/1.1 200 " + b"x" * 3000 + b"\r\n\r\n",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_answer_is_refused(case):
    with pytest.raises(MessageRefused, match="is not HTTP, or its header fields are over the limit") as refused:
        asked(saying(REFUSED[case], then=0.5), header_bytes=1000)
    assert "xxx" not in str(refused.value) and "SSH" not in str(refused.value)


CUT = {
    "at once": b"",
    "in the status line": b"HTTP/1.1 2",
    "in the header fields": OK + b"Content-Length: 5\r\n",
    "in the content": OK + b"Content-Length: 5\r\n\r\nab",
    "in a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "between chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
}


@pytest.mark.parametrize("case", CUT)
def test_an_answer_that_is_cut_off_is_never_whole(case):
    with pytest.raises(PeerUnreachable, match=r"ended the connection|broke off"):
        asked(saying(CUT[case]), method="POST", content=b"x")


@pytest.mark.parametrize(
    ("method", "headers"),
    [("GET", [(b"a", b"b\r\nc: d")]), ("GET", [(b"a\r\nb", b"c")]), ("GET /x HTTP/1.1\r\nA: b\r\n", [])],
)
def test_a_request_that_would_say_more_than_it_should_is_the_callers_fault(method, headers):
    with pytest.raises(CallerError, match="no HTTP request"):
        asked(saying(OK + b"Content-Length: 0\r\n\r\n"), method=method, headers=headers)


def test_a_closed_client_asks_nobody():
    async def run() -> None:
        client = WebClient(tls=None)
        await client.close()
        await client.request("GET", "http://127.0.0.1:1/")

    with pytest.raises(CallerError, match="closed"):
        asyncio.run(run())


def test_localhost_is_this_host_whatever_a_resolver_says(monkeypatch):
    async def run() -> None:
        async with serving() as running, WebClient(tls=None) as client:
            loop = asyncio.get_running_loop()
            monkeypatch.setattr(loop, "getaddrinfo", None)
            answer = await client.request("GET", running.url.replace("127.0.0.1", "localhost") + "/")
            assert answer.status == 200

    asyncio.run(run())


@pytest.mark.parametrize("size", [1, 100, 64 << 10, (64 << 10) + 1, 700_000])
def test_a_length_that_the_caller_gives_too_is_said_once(size):
    """Codecs give it; said twice, a strict server refuses the request."""

    async def run() -> None:
        async with serving() as running, WebClient(tls=None) as client:
            fields = [(b"content-length", b"%d" % size)]
            answer = await client.request("POST", running.url + "/x", fields, bytes(size))
            assert answer.status == 200 and answer.content == b"POST /x " + bytes(size)

    asyncio.run(run())


@pytest.mark.parametrize("length", [b"2", b"0", b"-1", b"3, 3", b"x"])
def test_a_length_that_is_not_that_of_the_content_is_refused_before_it_is_sent(length):
    async def run() -> None:
        async with serving() as running, WebClient(tls=None) as client:
            with pytest.raises(CallerError, match="Content-Length"):
                await client.request("POST", running.url + "/x", [(b"content-length", length)], b"abc")

    asyncio.run(run())
