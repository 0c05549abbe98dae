"""The local endpoint as an ASGI application: a request of an unmodified client in, the attested server's answer out.

Nothing is sent but through a client that attests before it seals. What cannot be verified is not passed on as if it
were: a whole answer is held back until its receipt holds, and a stream that breaks, or whose receipt does not hold,
ends without the end of its last chunk, so that no reader takes it for complete.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import Callable, Coroutine
from typing import Any

from quatrefoil.client import AsyncClient, ReceiptFolder
from quatrefoil.errors import QuatrefoilError, RequestRefused
from quatrefoil.exchange.protocol import RECEIPT_FIELD
from quatrefoil.proxy import content, fields, refusals
from quatrefoil.proxy.access import Access
from quatrefoil.proxy.content import ClientGone
from quatrefoil.proxy.stream_end import HeldEnd
from quatrefoil.web.guard import CutOff, Receive, Scope, Send

EXCHANGE_FIELD = b"quatrefoil-exchange"
"""The name of the receipt that is kept, where receipts are: of a stream it is said before there is one."""

_ON_EVERYTHING = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_PATH = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_METHODS = ("GET", "POST")


class ProxyApp:
    """Answers local requests by asking ``client``, whose server is held to its policy."""

    def __init__(
        self,
        client: AsyncClient,
        access: Access,
        *,
        request_bytes: int,
        seconds: float,
        receipts: ReceiptFolder | None = None,
        on_refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``request_bytes``: the most content of a request. ``seconds``: until a whole answer has come, or a streamed
        one has begun. ``receipts``: where each exchange is kept; an answer that
        could not be is not given. ``on_refused`` is told of every refusal, in a line without content."""
        self._client = client
        self._access = access
        self._request_bytes = request_bytes
        self._seconds = seconds
        self._receipts = receipts
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # neither WebSocket nor lifespan
            raise TypeError(f"the proxy does not speak {scope['type']}")
        reply = _Reply(send)
        try:
            await self._answer(scope, receive, reply)
        except ClientGone:
            pass
        except Exception as error:
            self._on_refused(_line(error))
            if reply.begun:
                raise CutOff from None
            status, headers, body = refusals.refusal(error, scope.get("raw_path") or b"")
            await reply.whole(status, headers, body)

    async def _answer(self, scope: Scope, receive: Receive, reply: _Reply) -> None:
        headers: fields.Fields = list(scope["headers"])
        self._access.require(scope)
        path = _path(scope)
        fields.require_no_form(headers)
        body = await content.read(headers, receive, limit=self._request_bytes)
        sent = fields.sent(headers)
        if scope["method"] == "POST" and content.asks_for_stream(headers, body):
            if scope["http_version"] == "1.0":
                raise RequestRefused(
                    "a stream over HTTP/1.0 looks complete where it was cut off", hint="Speak HTTP/1.1", status=505
                )
            await _unless_gone(receive, self._stream(path, sent, body, reply))
        else:
            await _unless_gone(receive, self._whole(scope["method"], path, sent, body, reply))

    async def _whole(self, method: str, path: str, sent: fields.Fields, body: bytes, reply: _Reply) -> None:
        async with asyncio.timeout(self._seconds):
            answer = await self._client.request(method, path, headers=sent, content=body)
        headers = fields.returned(answer.headers.raw)
        headers.append((RECEIPT_FIELD, base64.b64encode(answer.receipt.encoded)))
        if self._receipts is not None:
            name = self._receipts.new_name()
            await asyncio.to_thread(self._receipts.keep, name, answer.receipt)
            headers.append((EXCHANGE_FIELD, name.encode("ascii")))
        await reply.whole(answer.status, headers, answer.content)

    async def _stream(self, path: str, sent: fields.Fields, body: bytes, reply: _Reply) -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(self._seconds):
                streaming = self._client.stream("POST", path, headers=sent, content=body)
                answer = await stack.enter_async_context(streaming)
            headers = fields.returned(answer.headers.raw)
            name = ""
            if self._receipts is not None:
                name = self._receipts.new_name()
                headers.append((EXCHANGE_FIELD, name.encode("ascii")))
            await reply.begin(answer.status, headers)
            end = HeldEnd()
            async for piece in answer.iter_bytes():
                await reply.piece(end.passed(piece))
            if self._receipts is not None:
                await asyncio.to_thread(self._receipts.keep, name, answer.receipt)
        await reply.piece(end.rest())
        await reply.end()


class _Reply:
    """What is sent to the local client, and whether that has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def whole(self, status: int, headers: fields.Fields, body: bytes) -> None:
        await self.begin(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def begin(self, status: int, headers: fields.Fields) -> None:
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *_ON_EVERYTHING]})

    async def piece(self, data: bytes) -> None:
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _path(scope: Scope) -> str:
    """Path and query as they came; ``RequestRefused`` for other methods and other forms of targets."""
    if scope["method"] not in _METHODS:
        raise RequestRefused("the method is not GET or POST", hint="Send one of them", status=405)
    raw = (scope.get("raw_path") or b"") + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    if not _PATH.fullmatch(raw):
        raise RequestRefused("the target is no path", hint="Send the path alone, percent-encoded")
    return raw.decode("ascii")


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do ``work``; where the client closes its connection meanwhile, give it up: ``ClientGone``."""
    doing, leaving = asyncio.create_task(work), asyncio.create_task(content.gone(receive))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientGone
        await doing
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


def _line(error: Exception) -> str:
    """What may be printed of an error: ours hold no content, of others nothing is known."""
    return str(error) if isinstance(error, QuatrefoilError) else f"the proxy failed: {type(error).__name__}"


__all__ = ["EXCHANGE_FIELD", "ProxyApp"]
