"""The upstream of gateway mode, over real sockets: what goes up, what comes down, and every way in which it fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from quatrefoil.errors import CallerError, EngineFailed, RequestRefused
from quatrefoil.exchange import Model
from quatrefoil.ohttp import Request, RequestHead, Response
from quatrefoil.serving.handler import Caller, Streamed
from quatrefoil.serving.upstream import UpstreamEvents, UpstreamHandler, loopback
from serving_parts import serving_policy
from upstreams.faulty import DONE, FAULTS, NAME, WHOLE, Faulty, event

SALT = "0123456789abcdef0123456789abcdef"
CHAT = b"/v1/chat/completions"
SECONDS = 30.0

# Faults before whose first event nothing has been passed on.
AT_ONCE = {"empty", "stall-first", "garbage-first", "error-first", "done-first"}
MIDWAY = sorted(set(FAULTS) - AT_ONCE)


@asynccontextmanager
async def upstream(**changes: Any) -> AsyncIterator[tuple[Faulty, UpstreamHandler]]:
    """The faulty upstream, and a handler before it. ``changes``: of the serving policy."""
    policy = serving_policy(model=Model(NAME, bytes(32)), **changes)
    async with Faulty() as server:
        handler = UpstreamHandler(server.url, policy)
        await handler.open()
        try:
            yield server, handler
        finally:
            await handler.close()


def asking(
    text: str = "hello", *, path: bytes = CHAT, method: bytes = b"POST", fields: Any = (), **more: Any
) -> Request:
    content = json.dumps({"messages": [{"role": "user", "content": text}], **more}).encode()
    return Request(RequestHead(method, b"https", b"model.example", path, tuple(fields)), content)


async def asked(handler: UpstreamHandler, request: Request, *, within: float = SECONDS) -> Response | Streamed:
    return await handler.answer(request, Caller("north", SALT, time.monotonic() + within))


async def whole(handler: UpstreamHandler, request: Request, **more: Any) -> Response:
    answer = await asked(handler, request, **more)
    assert isinstance(answer, Response)
    return answer


async def streamed(handler: UpstreamHandler, text: str) -> Streamed:
    answer = await asked(handler, asking(text, stream=True))
    assert isinstance(answer, Streamed), answer
    assert answer.head.status == 200
    assert answer.head.fields == ((b"content-type", b"text/event-stream"),)
    return answer


def error_of(answer: Response) -> dict[str, Any]:
    """OpenAI's error object, with nothing of the upstream's text."""
    assert answer.head.fields[0] == (b"content-type", b"application/json")
    assert b"MARKER" not in answer.content
    found = json.loads(answer.content)["error"]
    assert set(found) == {"message", "type", "param", "code"} and found["message"]
    return dict(found)


# ----------------------------------------------------------------------------------------------------- what is passed


def test_a_whole_answer_comes_to_the_byte() -> None:
    async def run() -> None:
        async with upstream() as (server, handler):
            answer = await whole(handler, asking())
            assert answer.head.status == 200 and answer.head.fields == ((b"content-type", b"application/json"),)
            assert answer.content == json.dumps({"object": "chat.completion", "choices": []}).encode()
            (sent,) = server.bodies
            assert (sent["model"], sent["cache_salt"]) == (NAME, SALT)

    asyncio.run(run())


def test_a_stream_comes_as_whole_events() -> None:
    async def run() -> None:
        async with upstream() as (_, handler):
            for count in (0, 1, 5000):
                pieces = [piece async for piece in (await streamed(handler, f"stream {count}")).pieces]
                assert b"".join(pieces) == b"".join(event(str(number)) for number in range(count)) + DONE
                assert all(piece.endswith(b"\n\n") for piece in pieces)

    asyncio.run(run())


def test_nothing_of_the_clients_fields_goes_up() -> None:
    """Nor anything that smuggles a second request: there is one, of the length that the gateway wrote."""

    async def run() -> None:
        async with upstream() as (server, handler):
            fields = (
                (b"content-type", b"application/json"),
                (b"authorization", b"Bearer MARKER"),
                (b"cookie", b"MARKER"),
                (b"x-request-id", b"of-another"),
                (b"x-data-parallel-rank", b"1"),
                (b"x-forwarded-for", b"192.0.2.1"),
                (b"forwarded", b"for=192.0.2.1"),
                (b"user-agent", b"MARKER"),
                (b"accept", b"text/html"),
                (b"expect", b"100-continue"),
                (b"content-length", b"5"),
                (b"host", b"other.example"),
            )
            for stream, accept in ((False, "application/json"), (True, "text/event-stream")):
                await asked(handler, asking(fields=fields, stream=stream))
                assert server.fields.pop("content-length") == str(len(server.requests[-1][1]))
                assert server.fields.keys() == {"host", "content-type", "accept", "connection"} | {"content-length"}
                assert server.fields["connection"] == "close"
                assert server.fields["host"] == server.url.removeprefix("http://")
                assert server.fields["accept"] == accept
                assert b"MARKER" not in server.requests[-1][0]

    asyncio.run(run())


def test_nobody_chooses_the_salt_of_another() -> None:
    async def run() -> None:
        async with upstream() as (server, handler):
            for stream in (False, True):
                await asked(handler, asking(cache_salt="salt-of-the-other-tenant", stream=stream))
            assert [one["cache_salt"] for one in server.bodies] == [SALT, SALT]

    asyncio.run(run())


def test_the_list_of_models_has_the_policys_only() -> None:
    async def run() -> None:
        async with upstream() as (_, handler):
            answer = await whole(handler, asking(path=b"/v1/models", method=b"GET"))
            assert [one["id"] for one in json.loads(answer.content)["data"]] == [NAME]
            assert b"MARKER" not in answer.content

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (b"GET", CHAT),
        (b"PUT", CHAT),
        (b"post", CHAT),
        (b"POST", b"/v1/models"),
        (b"HEAD", b"/v1/models"),
        (b"POST", CHAT + b"/"),
        (b"POST", CHAT + b"?a=b"),
        (b"POST", b"//v1/chat/completions"),
        (b"POST", b"/v1/../v1/chat/completions"),
        (b"POST", b"/v1/chat%2fcompletions"),
        (b"POST", b"/v1/chat/completions HTTP/1.1"),
        (b"POST", b"/v1/responses"),
        (b"POST", b"/v1/files"),
        (b"POST", b"/v1/load_lora_adapter"),
        (b"POST", b"/tokenize"),
        (b"POST", b"/reset_prefix_cache"),
        (b"GET", b"/metrics"),
        (b"GET", b"http://127.0.0.1/v1/models"),
    ],
)
def test_every_other_path_and_method_is_not_found(method: bytes, path: bytes) -> None:
    async def run() -> None:
        async with upstream() as (server, handler):
            before = len(server.requests)
            with pytest.raises(RequestRefused) as refused:
                await asked(handler, asking(path=path, method=method))
            assert refused.value.status == 404
            assert len(server.requests) == before

    asyncio.run(run())


@pytest.mark.parametrize(
    "field",
    [
        (b"content-type", b"text/plain"),
        (b"content-type", b"application/json; charset=utf-16"),
        (b"content-type", b"application/json, text/plain"),
        (b"content-type", b"multipart/form-data; boundary=x"),
        (b"Content-Encoding", b"gzip"),
    ],
)
def test_a_body_that_is_not_plain_json_does_not_go_up(field: tuple[bytes, bytes]) -> None:
    async def run() -> None:
        async with upstream() as (server, handler):
            with pytest.raises(RequestRefused) as refused:
                await asked(handler, asking(fields=[field]))
            assert refused.value.status == 415
            assert server.bodies == []

    asyncio.run(run())


@pytest.mark.parametrize("kind", [b"application/json", b"APPLICATION/JSON", b'application/json; charset="UTF-8"'])
def test_json_is_json_however_its_type_is_written(kind: bytes) -> None:
    async def run() -> None:
        async with upstream() as (_, handler):
            assert (await whole(handler, asking(fields=[(b"Content-Type", kind)]))).head.status == 200

    asyncio.run(run())


# ----------------------------------------------------------------------------------------------------- where it fails


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "mapped"),
    [
        (400, 400),
        (401, 502),
        (404, 404),
        (408, 504),
        (413, 413),
        (418, 502),
        (422, 400),
        (429, 429),
        (500, 502),
        (503, 503),
        (504, 504),
        (201, 502),
        (302, 502),
    ],
)
def test_statuses_are_passed_on_without_their_text(status: int, mapped: int, stream: bool) -> None:
    async def run() -> None:
        async with upstream() as (_, handler):
            answer = await whole(handler, asking(f"status {status}", stream=stream))
            assert answer.head.status == mapped
            error_of(answer)
            paused = [value for name, value in answer.head.fields if name == b"retry-after"]
            assert paused == ([b"7"] if mapped in (429, 503) else [])
            assert len(answer.head.fields) == 1 + len(paused)

    asyncio.run(run())


@pytest.mark.parametrize("fault", [*sorted(WHOLE), "cut", "other-type", "not-http", "head-cut"])
def test_a_whole_answer_that_is_none_is_a_bad_gateway(fault: str) -> None:
    async def run() -> None:
        async with upstream(limits__answer_bytes=1 << 20) as (_, handler):
            answer = await whole(handler, asking(f"fault {fault}"))
            assert answer.head.status == 502
            assert error_of(answer)["type"] == "server_error"

    asyncio.run(run())


@pytest.mark.parametrize("fault", [*sorted(AT_ONCE - {"stall-first"}), "other-type", "not-http", "head-cut"])
def test_a_stream_that_fails_before_its_first_event_has_a_status(fault: str) -> None:
    async def run() -> None:
        async with upstream() as (_, handler):
            answer = await whole(handler, asking(f"fault {fault}", stream=True))
            assert answer.head.status == 502
            error_of(answer)

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_does_not_come_in_time_is_given_up_upstream_too(stream: bool) -> None:
    async def run() -> None:
        async with upstream() as (server, handler):
            answer = await whole(handler, asking("fault stall-first", stream=stream), within=0.2)
            assert answer.head.status == 504
            error_of(answer)
            await asyncio.wait_for(server.left.acquire(), SECONDS)

    asyncio.run(run())


@pytest.mark.parametrize("fault", MIDWAY)
def test_a_stream_that_fails_midway_breaks(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """What was good of it has been passed on, [DONE] never, and the error says nothing of the upstream's text."""
    caplog.set_level(logging.DEBUG)

    async def run() -> None:
        async with upstream(limits__seconds=1, limits__answer_bytes=3 << 20) as (_, handler):
            answer = await streamed(handler, f"fault {fault}")
            assert isinstance(answer.pieces, UpstreamEvents)
            pieces: list[bytes] = []
            with pytest.raises(EngineFailed) as broken:
                async for piece in answer.pieces:
                    pieces.append(piece)
            said = b"".join(pieces)
            assert b"[DONE]" not in said
            assert all(piece.endswith(b"\n\n") for piece in pieces)
            assert said.startswith(event("one")) or fault == "many" or not said
            assert "MARKER" not in str(broken.value) and broken.value.__context__ is None
            await answer.pieces.aclose()

    asyncio.run(run())
    assert "MARKER" not in caplog.text


def test_a_client_that_leaves_ends_the_request_upstream() -> None:
    async def run() -> None:
        async with upstream() as (server, handler):
            answer = await streamed(handler, "fault stall")
            assert isinstance(answer.pieces, UpstreamEvents)
            await anext(answer.pieces)
            waits = asyncio.ensure_future(anext(answer.pieces))
            await asyncio.sleep(0)
            waits.cancel()
            await asyncio.gather(waits, return_exceptions=True)
            await answer.pieces.aclose()
            await asyncio.wait_for(server.left.acquire(), SECONDS)

            never_read = await streamed(handler, "fault stall")
            assert isinstance(never_read.pieces, UpstreamEvents)
            await never_read.pieces.aclose()
            await asyncio.wait_for(server.left.acquire(), SECONDS)

            for stream in (False, True):
                waits = asyncio.ensure_future(asked(handler, asking("fault stall-first", stream=stream)))
                while len(server.bodies) < 3 + stream:
                    await asyncio.sleep(0.01)
                waits.cancel()
                await asyncio.gather(waits, return_exceptions=True)
                await asyncio.wait_for(server.left.acquire(), SECONDS)

    asyncio.run(run())


def test_what_an_upstream_says_unasked_answers_nobody() -> None:
    """A server that refuses a request without reading its body takes the body for the next request, and answers that:
    over one connection, everybody after it would get the answer to somebody else."""

    async def run() -> None:
        async def misread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answered = 0
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    if head.startswith(b"GET"):
                        writer.write(json_answer({"data": [{"id": NAME}]}))
                        continue
                    await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r")[0]))
                    answered += 1
                    writer.write(json_answer({"to": answered}))
                    await asyncio.sleep(0.02)  # the answer has been read, and its connection waits for the next request
                    writer.write(json_answer({"MARKER of": "another"}))
            writer.close()

        async with await asyncio.start_server(misread, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            handler = UpstreamHandler(url, serving_policy(model=Model(NAME, bytes(32))))
            await handler.open()
            try:
                for _ in range(4):
                    assert json.loads((await whole(handler, asking())).content) == {"to": 1}
                    await asyncio.sleep(0.05)
            finally:
                await handler.close()

    asyncio.run(run())


def json_answer(content: Any) -> bytes:
    body = json.dumps(content).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def test_an_upstream_that_is_not_there_is_not_ready() -> None:
    async def run() -> None:
        async with upstream() as (server, handler):
            assert handler.ready
            await server.__aexit__()
            answer = await whole(handler, asking())
            assert answer.head.status == 502
            error_of(answer)
            assert (await whole(handler, asking(path=b"/v1/models", method=b"GET"))).head.status == 502
            for _ in range(300):
                if not handler.ready:
                    break
                await asyncio.sleep(0.01)
            assert not handler.ready

    asyncio.run(run())


def test_an_upstream_that_takes_connections_and_says_nothing_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the time that an answer may take."""
    monkeypatch.setattr("quatrefoil.serving.upstream.GLANCE_S", 0.01)
    monkeypatch.setattr("quatrefoil.serving.upstream.LOOKS_S", 0.1)

    async def run() -> None:
        listing = asyncio.Event()
        listing.set()

        async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await listing.wait()
                writer.write(json_answer({"data": [{"id": NAME}]}))
            writer.close()

        async with await asyncio.start_server(stuck, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            handler = UpstreamHandler(url, serving_policy(model=Model(NAME, bytes(32))))
            await handler.open()
            try:
                assert handler.ready
                for ready in (False, True):
                    listing.set() if ready else listing.clear()
                    for _ in range(300):
                        if handler.ready is ready:
                            break
                        await asyncio.sleep(0.01)
                    assert handler.ready is ready
            finally:
                await handler.close()

    asyncio.run(run())


def test_an_upstream_with_another_model_is_not_ready() -> None:
    async def run() -> None:
        async with Faulty() as server:
            handler = UpstreamHandler(server.url, serving_policy(model=Model("other", bytes(32))))
            await handler.open()
            assert not handler.ready
            assert (await whole(handler, asking(path=b"/v1/models", method=b"GET"))).head.status == 502
            await handler.close()

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------------------ loopback


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://127.3.2.1:1/", "http://[::1]:8000"])
def test_loopback_is_taken(url: str) -> None:
    assert loopback(url) == url.removesuffix("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1:8000",
        "http://0.0.0.0:8000",
        "http://[::]:8000",
        "http://[::ffff:127.0.0.1]:8000",
        "http://[::1%25lo]:8000",
        "http://localhost:8000",
        "http://127.0.0.1.example.org:8000",
        "http://127.0.0.1@example.org:8000",
        "http://user@127.0.0.1:8000",
        "http://127.1:8000",
        "http://2130706433:8000",
        "http://0x7f.0.0.1:8000",
        "http://0177.0.0.1:8000",
        "https://127.0.0.1:8000",
        "http://127.0.0.1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:8000/v1",
        "http://127.0.0.1:8000?a",
        "http://127.0.0.1:8000#a",
        "http://127.0.0.1:08000",
        " http://127.0.0.1:8000",
        "http://127.0.0.1:8000\n",
        "http://[127.0.0.1]:8000",
        "127.0.0.1:8000",
        "unix:///run/upstream",
        "",
    ],
)
def test_content_does_not_leave_in_plain(url: str) -> None:
    with pytest.raises(CallerError, match="loopback"):
        loopback(url)
    with pytest.raises(CallerError):
        UpstreamHandler(url, serving_policy())
