"""What is asked and answered stands in no log and no report: a marker is sent everywhere, and looked for."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from quatrefoil.web.client import WebClient
from quatrefoil.web.guard import Fault, log_fault
from web_service import Left, client_context, respond, server_context, serving, whole

MARKER = "7f3b9c-marker"


class Quoting(Exception):
    """One whose text holds what it was computed with."""


async def faulty(scope: Any, receive: Any, send: Any) -> None:
    """Fails in the way that the path says, with the marker in whatever it says."""
    with_marker = scope["path"] + MARKER
    await whole(receive)
    match scope["path"].split("/")[1]:
        case "before":
            raise Quoting(with_marker)
        case "chained":
            try:
                raise ValueError(with_marker)
            except ValueError as error:
                raise Quoting(with_marker) from error
        case "during":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            raise Quoting(with_marker)
        case "nothing":
            return
        case "half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        case "twice":
            await respond(send)
            await respond(send, body=with_marker.encode())
        case "bad":
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"a", with_marker.encode() + b"\n")]}
            )


def ask(path: str, consortium: Any = None) -> tuple[bytes, list[Fault]]:
    async def run() -> tuple[bytes, list[Fault]]:
        async with serving(faulty) as running:
            text = f"POST /{path}/{MARKER}?{MARKER} HTTP/1.1\r\nHost: {MARKER}\r\n{MARKER}: {MARKER}\r\n"
            said = await running.say(f"{text}Connection: close\r\nContent-Length: 13\r\n\r\n{MARKER}".encode())
            await running.until(lambda: running.server.connections == 0)
            return said, running.faults

    return asyncio.run(run())


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Any:
    """All that any logger and any print put out, from the finest level on."""
    caplog.set_level(1)
    for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio"):
        caplog.set_level(1, logger=name)

    def read() -> str:
        out, err = capfd.readouterr()
        return caplog.text + out + err

    return read


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("before", 500, "Quoting"),
        ("chained", 500, "Quoting"),
        ("during", 200, "Quoting"),
        ("twice", 200, "RuntimeError"),
        ("nothing", 500, "NoAnswer"),
        ("half", 200, "HalfAnswer"),
        ("bad", 500, "LocalProtocolError"),
    ],
)
def test_an_application_that_fails_shows_nothing_of_what_it_was_asked(everything, path, status, kind):
    said, faults = ask(path)
    assert said.startswith(b"HTTP/1.1 %d " % status) or (path == "bad" and said == b"")
    if status == 500 and said:
        assert said.endswith(b"\r\n\r\ninternal error\n")
    assert [fault.kind for fault in faults] == [kind]
    assert kind in ("NoAnswer", "HalfAnswer") or "test_silence.py:" in faults[0].place
    assert MARKER not in said.decode() + repr(faults) + everything()


def test_an_answer_that_broke_off_is_not_taken_for_whole(everything):
    said, _ = ask("during")
    assert said.endswith(b"5\r\nbegun\r\n")  # no last chunk


@pytest.mark.parametrize("text", ["GET /{0} HTTP/9\r\n\r\n", "{0}\r\n\r\n", "GET / HTTP/1.1\r\n{0} : {0}\r\n\r\n"])
def test_what_is_malformed_is_not_quoted(everything, text):
    async def run() -> None:
        async with serving(faulty) as running:
            said = await running.say(text.format(MARKER).encode())
            assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 505"))
            assert MARKER.encode() not in said and running.faults == []

    asyncio.run(run())
    assert MARKER not in everything()


def test_requests_leave_no_line(everything, consortium):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Left):
            await respond(send, body=await whole(receive))

    async def run() -> None:
        async with (
            serving(app, tls=server_context(consortium)) as running,
            WebClient(tls=client_context(consortium)) as client,
        ):
            answer = await client.request("POST", f"{running.url}/{MARKER}?{MARKER}", content=MARKER.encode())
            assert answer.content == MARKER.encode()
            assert answer.header(b"server") is None

    asyncio.run(run())
    said = everything()
    assert MARKER not in said and "127.0.0.1" not in said and "POST" not in said


def test_faults_are_logged_by_class_and_place_where_nobody_asks_for_them(everything):
    try:
        raise Quoting(MARKER)
    except Quoting as error:
        log_fault(Fault.of(error))
    said = everything()
    assert "Quoting at test_silence.py:" in said and MARKER not in said
