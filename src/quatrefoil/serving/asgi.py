"""The little of ASGI 3.0 that the gateway speaks: a body read within limits, an answer sent, a client that has left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from quatrefoil.errors import PeerUnreachable, RequestRefused
from quatrefoil.serving.memory import Holding

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

PEER = "quatrefoil.peer"
LOCAL = "local"
"""Who asks where there is no TLS: somebody on this host."""


def party(scope: Scope) -> str:
    """The certified name of the other end."""
    peer = scope.get("extensions", {}).get(PEER)
    return str(peer["party"].name) if peer else LOCAL


def headers(scope: Scope) -> Mapping[bytes, bytes]:
    """Names in small letters; of a name that comes twice, nothing that can be taken for either."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        found[name.lower()] = b"\0" if name.lower() in found else value
    return found


async def body(receive: Receive, limit: int, announced: bytes, seconds: float, holding: Holding | None = None) -> bytes:
    """The whole body. ``RequestRefused`` with 413 over ``limit`` bytes and 408 after ``seconds``; ``PeerUnreachable``
    where the client leaves before its end; ``MemoryFull`` by ``holding``."""
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise PeerUnreachable("the client left before its request was whole", hint="Nothing was done")
                if part := message.get("body", b""):
                    parts.append(part)
                    size += len(part)
                    if holding is not None:
                        holding.more(len(part))
                if size > limit:
                    raise _too_large(limit)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise RequestRefused("the request did not come in time", hint="Send it faster", status=408) from None


class WhileThere:
    """``async with WhileThere(receive):`` cancels what is awaited in the block when the client leaves, and leaves the
    block; a cancellation by anybody else goes on. For the time after the body: it takes what ``receive`` has.

    In the task that it is entered in: a task of its own for what is awaited would be four more turns of the loop for
    each request."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._watch = asyncio.ensure_future(_left(self._receive))
        self._watch.add_done_callback(self._leave)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._watch.remove_done_callback(self._leave)
        self._watch.cancel()
        if not self._left:
            return False
        # As asyncio.timeout does it: whoever else has cancelled the task meanwhile has it cancelled.
        only = self._task.uncancel() <= self._cancelling
        return only and kind is not None and issubclass(kind, asyncio.CancelledError)

    def _leave(self, watch: asyncio.Future[None]) -> None:
        if not watch.cancelled():
            watch.exception()
            self._left = True
            self._task.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def reply(send: Send, status: int, kind: bytes, content: bytes, more: Headers = ()) -> None:
    """One whole answer, that nobody keeps a copy of."""
    await start(send, status, kind, (*more, (b"content-length", b"%d" % len(content))))
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def start(send: Send, status: int, kind: bytes, more: Headers = ()) -> None:
    fields = [(b"content-type", kind), (b"cache-control", b"no-store"), *more]
    await send({"type": "http.response.start", "status": status, "headers": fields})


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(f"the request is over the limit of {limit} bytes", hint="Send less", status=413)


__all__ = ["LOCAL", "Receive", "Scope", "Send", "WhileThere", "body", "headers", "party", "reply", "start"]
