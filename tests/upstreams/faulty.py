"""An upstream that misbehaves on demand: the text of a request says how. Raw sockets, since no server does most of it.

    python tests/upstreams/faulty.py --port 9001

A chat message (or prompt, or input) ``fault NAME`` gets that fault of :data:`FAULTS`; ``status N`` that status, with a
body that quotes; ``stream N`` N events as fast as they go. Everything else is answered properly. It serves one model,
``ward-notes``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
from collections.abc import Iterable
from typing import Any

NAME = "ward-notes"
STALL = 3600.0


def event(content: str) -> bytes:
    """A part of a chat completion, as upstreams stream it."""
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    document = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": NAME, "choices": [choice]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


PAUSE = 0.05
"""Seconds in which what was good has arrived, and been passed on."""
ONE, TWO = event("one"), event("two")
GOOD: list[bytes | float] = [ONE, TWO, PAUSE]
DONE = b"data: [DONE]\n\n"
LEAKED = b'{"error": {"message": "out of memory while reading: MARKER", "type": "internal"}}'

FAULTS: dict[str, list[bytes | float]] = {
    # What is streamed piece by piece; a number is seconds of silence. The chunked body is ended properly but for "cut".
    "cut": GOOD,
    "cut-event": [*GOOD, event("three")[:20]],
    "cut-after-done": [*GOOD, DONE],
    "no-done": GOOD,
    "empty": [],
    "half-event": [*GOOD, event("three")[:-1], b""],
    "half-done": [*GOOD, b"data: [DO"],
    "stall": [*GOOD, STALL],
    "stall-first": [STALL],
    "stall-comments": [*GOOD, *([b": still here\n\n", 0.02] * 2000)],
    "garbage": [*GOOD, b"\x00\xff\xfe garbage MARKER\n\n", DONE],
    "garbage-first": [b"<html>MARKER</html>\n\n", DONE],
    "no-json": [*GOOD, b"data: MARKER\n\n", DONE],
    "no-object": [*GOOD, b'data: ["MARKER"]\n\n', DONE],
    "name-twice": [*GOOD, b'data: {"choices": [], "choices": ["MARKER"]}\n\n', DONE],
    "not-utf-8": [*GOOD, b'data: {"a": "\xff"}\n\n', DONE],
    "error": [*GOOD, b"data: " + LEAKED + b"\n\n", DONE],
    "error-first": [b"data: " + LEAKED + b"\n\n", DONE],
    "error-event": [*GOOD, b"event: error\ndata: {}\n\n", DONE],
    "data-twice": [*GOOD, ONE[:-1] + TWO, DONE],
    "done-and-more": [*GOOD, DONE + event("four")],
    "done-inside": [*GOOD, b"data: [DONE]\n" + event("four")],
    "done-first": [b"id: 1\ndata: [DONE]\n\n"],
    "data-after-id": [*GOOD, b"id: 7\n" + event("three"), DONE],
    "id-after-data": [*GOOD, event("three")[:-1] + b"id: 7\n\n", DONE],
    "retry": [*GOOD, b"retry: 1\n\n", DONE],
    "huge": [*GOOD, event("x" * (3 << 20)), DONE],
    "endless": [*GOOD, b"data: ", *([b"x" * 65536] * 200)],
    "endless-comment": [*GOOD, *([b":" + b"x" * 65536] * 200)],
    "many": [event("x" * 1000)] * 4000,
}
WHOLE: dict[str, bytes] = {
    # Bodies of whole answers.
    "garbage": b"garbage MARKER",
    "no-object": b'["MARKER"]',
    "name-twice": b'{"a": 1, "a": "MARKER"}',
    "error": LEAKED,
    "huge": b'{"a": "' + b"x" * (3 << 20) + b'"}',
}


class Faulty:
    """The upstream in this process: ``async with Faulty() as upstream``. ``requests``: heads and bodies that came;
    ``left``: how often a client went away before its answer ended."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.requests: list[tuple[bytes, bytes]] = []
        self.left = asyncio.Semaphore(0)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Faulty:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What was asked, without what asks for the list of models."""
        return [json.loads(body) for _, body in self.requests if body]

    @property
    def fields(self) -> dict[str, str]:
        """The header fields of the last request that had a body."""
        head = [head for head, body in self.requests if body][-1]
        lines = [line.partition(":") for line in head.decode().split("\r\n")[1:] if line]
        return {name.lower(): value.strip() for name, _, value in lines}

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            early: bytes | None = b""
            while early is not None:
                early = await self._one(early, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, early: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """Answer one request, which begins with ``early``: what came of the next, or ``None`` at the end."""
        head = early + await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        self.requests.append((head, body))
        answering = asyncio.ensure_future(self._answer(body, writer))
        watching = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() or isinstance(answering.exception(), ConnectionError):
                self.left.release()
                return None
            early = watching.result() if watching.done() else b""
            return early if answering.result() else None
        finally:
            answering.cancel()
            watching.cancel()
            await asyncio.gather(answering, watching, return_exceptions=True)

    async def _answer(self, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can be used again."""
        request = json.loads(body) if body else None
        kind, _, name = (_text(request) if request else "").partition(" ")
        if request is None:
            content = json.dumps({"object": "list", "data": [{"id": NAME}]}).encode()
            await _whole(writer, 200, content)
        elif kind == "status":
            await _whole(writer, int(name), b'{"error": {"message": "I refuse: MARKER ' + name.encode() + b'"}}')
        elif kind == "fault" and name == "other-type":
            await _whole(writer, 200, b"MARKER", b"text/html")
        elif kind == "fault" and name == "not-http":
            writer.write(b"SSH-2.0-MARKER\r\n\r\n")
            await writer.drain()
        elif kind == "fault" and name == "head-cut":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-ty")
            await writer.drain()
        elif kind == "fault" and not request.get("stream"):
            if name.startswith("stall"):
                await asyncio.sleep(STALL)
            await _whole(writer, 200, WHOLE.get(name, b'{"choices": []}'), short=name.startswith("cut"))
        elif kind == "fault":
            await _streamed(writer, FAULTS[name], end=not name.startswith("cut"))
        elif request.get("stream"):
            count = int(name) if kind == "stream" else 3
            await _streamed(writer, [*(event(str(number)) for number in range(count)), DONE])
        else:
            await _whole(writer, 200, json.dumps({"object": "chat.completion", "choices": []}).encode())
        return kind != "fault"


def _text(request: dict[str, Any]) -> str:
    if messages := request.get("messages"):
        content = messages[0]["content"]
        return content if isinstance(content, str) else ""
    return str(request.get("prompt", request.get("input", "")))


async def _whole(
    writer: asyncio.StreamWriter,
    status: int,
    content: bytes,
    kind: bytes = b"application/json",
    *,
    short: bool = False,
) -> None:
    length = len(content) + (10 if short else 0)
    head = b"HTTP/1.1 %d Whatever\r\ncontent-type: %b\r\ncontent-length: %d\r\n" % (status, kind, length)
    head += b"retry-after: 7\r\nx-internal: MARKER\r\nset-cookie: a=MARKER\r\n\r\n"
    writer.write(head + content)
    await writer.drain()


async def _streamed(writer: asyncio.StreamWriter, pieces: Iterable[bytes | float], *, end: bool = True) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"
    writer.write(head + b"x-internal: MARKER\r\n\r\n")
    for piece in pieces:
        if isinstance(piece, float):
            await writer.drain()
            await asyncio.sleep(piece)
        elif piece:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
    if end:
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _serve(port: int) -> None:
    async with Faulty(port) as upstream:
        print(f"listening on {upstream.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve faults on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args().port))
