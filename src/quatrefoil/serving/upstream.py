"""Gateway mode: requests answered by a server of OpenAI's API that runs beside this one, on loopback.

The upstream is a program of the same machine, and measured with it; this handler cannot see which weights it runs. It
passes on what docs/gateway.md lists, and nothing of an upstream's headers, errors or log. An answer is whole where the
upstream says so twice: by ``[DONE]``, and by the end of its HTTP message.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

from quatrefoil.errors import CallerError, EngineFailed, HostError, PeerError, QuatrefoilError, RequestRefused
from quatrefoil.exchange import ServingPolicy
from quatrefoil.ohttp import Request, Response, ResponseHead
from quatrefoil.serving import upstream_requests as requests
from quatrefoil.serving.handler import EVENTS, Caller, Streamed
from quatrefoil.serving.promised import require_recorded
from quatrefoil.serving.upstream_events import EventReader, document, failed
from quatrefoil.serving.upstream_requests import ALLOWED, MODELS, UpstreamRequest
from quatrefoil.web import ClientLimits
from quatrefoil.web.client import WebClient

JSON = b"application/json"
GLANCE_S = 1.0
"""Seconds between two looks whether the upstream is there."""
LOOKS_S = 10.0
"""Seconds that the upstream has to list its models in: one that says nothing is not there."""

_PASSED = {400: 400, 404: 404, 408: 504, 413: 413, 422: 400, 429: 429, 503: 503, 504: 504}
"""What becomes of an upstream's statuses; 502 of all others but 200."""
_PAUSE = re.compile(rb"[0-9]{1,6}")
_TYPE = re.compile(rb"\s*([^;\s]+)\s*(?:;\s*charset\s*=\s*\"?utf-8\"?\s*)?", re.I)


class UpstreamHandler:
    """Answers from the upstream at ``url``; inside one event loop, and opened and closed there."""

    def __init__(self, url: str, policy: ServingPolicy) -> None:
        """``CallerError`` where ``url`` is not of this machine's loopback: content would leave the enclave in plain;
        and where ``policy`` promises proofs: what an upstream computes cannot be proven."""
        self._url = loopback(url)
        require_recorded(policy, recorded=False)
        self._policy = policy
        self._model = policy.model.name
        self._web = _web_client(policy)
        self._ready = False
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to look whether the upstream is there. Once before it is asked."""
        self._ready = await self._serves()
        self._watching = asyncio.ensure_future(self._watch())

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        self._ready = False
        await self._web.close()

    @property
    def name(self) -> str:
        return f"{self._model} at {self._url}"

    @property
    def ready(self) -> bool:
        """Whether the upstream listed the policy's model when it was last looked at."""
        return self._ready

    async def answer(self, request: Request, caller: Caller) -> Response | Streamed:
        """``RequestRefused`` for what is not passed on; what the upstream did wrong is a response with its status."""
        path = request.head.path.decode("ascii", "replace")
        try:
            if (request.head.method, path) == (b"GET", MODELS):
                return await self._models(caller.deadline)
            if request.head.method != b"POST" or path not in ALLOWED:
                raise RequestRefused("there is nothing here", hint="docs/gateway.md lists what is", status=404)
            _require_json(request.head.fields)
            limit = self._policy.limits.request_bytes
            wanted = requests.read(path, request.content, model=self._model, salt=caller.cache_salt, limit=limit)
            return await (self._stream if wanted.stream else self._whole)(wanted, caller.deadline)
        except TimeoutError:
            return self.refusal(504, HostError("the upstream did not answer in time", hint="Ask for less, or again"))
        except (EngineFailed, PeerError) as error:
            if isinstance(error, RequestRefused):
                raise
        # Outside, so that no error goes on that was raised from one of the upstream's or of its connection.
        return self.refusal(502, failed("it gave no answer that can be passed on"))

    def refusal(self, status: int, error: QuatrefoilError) -> Response:
        """OpenAI's error object."""
        kind = "invalid_request_error" if status < 429 else "rate_limit_error" if status == 429 else "server_error"
        return _response(status, {"error": {"message": str(error), "type": kind, "param": None, "code": None}})

    # ----------------------------------------------------------------------------------------------- the upstream

    async def _whole(self, wanted: UpstreamRequest, deadline: float) -> Response:
        async with asyncio.timeout(deadline - time.monotonic()):
            answer = await self._web.request("POST", self._url + wanted.path, _fields(JSON), wanted.content)
        if answer.status != 200:
            return self._refused(answer.status, answer.headers)
        _require_type(answer.headers, JSON)
        document(answer.content, limit=self._policy.limits.answer_bytes)
        return Response(ResponseHead(200, ((b"content-type", JSON),)), answer.content)

    async def _stream(self, wanted: UpstreamRequest, deadline: float) -> Response | Streamed:
        """Up to the first event, so that what fails before it has a status."""
        async with AsyncExitStack() as opened, asyncio.timeout(deadline - time.monotonic()):
            answer = await opened.enter_async_context(
                self._web.stream("POST", self._url + wanted.path, _fields(EVENTS), wanted.content)
            )
            if answer.status != 200:
                return self._refused(answer.status, answer.headers)
            _require_type(answer.headers, EVENTS)
            events = UpstreamEvents(answer.pieces(), self._policy)
            await events.begin()
            events.holds(opened.pop_all())
        return Streamed(ResponseHead(200, ((b"content-type", EVENTS),)), events)

    async def _models(self, deadline: float) -> Response:
        """The one model that is served, if the upstream is there; what else the upstream lists is its own."""
        async with asyncio.timeout(deadline - time.monotonic()):
            serves = await self._serves()
        if not serves:
            raise failed("it does not list the model")
        one = {"id": self._model, "object": "model", "created": 0, "owned_by": "quatrefoil"}
        return _response(200, {"object": "list", "data": [one]})

    async def _serves(self) -> bool:
        try:
            async with asyncio.timeout(min(LOOKS_S, self._policy.limits.seconds)) as looking:
                answer = await self._web.request("GET", self._url + MODELS, ((b"accept", JSON),))
            if answer.status != 200:
                return False
            listed = document(answer.content, limit=self._policy.limits.answer_bytes).get("data")
        except (PeerError, EngineFailed):
            return False
        except TimeoutError:
            if not looking.expired():
                raise
            return False
        return type(listed) is list and any(type(one) is dict and one.get("id") == self._model for one in listed)

    async def _watch(self) -> None:
        try:
            while True:
                await asyncio.sleep(GLANCE_S)
                self._ready = await self._serves()
        finally:  # whatever ends the looking: what is not looked at is not ready
            self._ready = False

    def _refused(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> Response:
        """An upstream's refusal, without its text: that may quote what was sent."""
        mapped = _PASSED.get(status, 502)
        hint = "Ask for something else" if mapped < 429 else "Try again later"
        made = self.refusal(mapped, EngineFailed(f"the upstream refused with status {status}", hint=hint))
        pauses = [value for name, value in fields if name.lower() == b"retry-after" and _PAUSE.fullmatch(value)]
        if mapped not in (429, 503) or not pauses:
            return made
        return Response(ResponseHead(mapped, (*made.head.fields, (b"retry-after", pauses[0]))), made.content)


class UpstreamEvents:
    """The pieces of a streamed answer: each is whole events, as they came together. ``EngineFailed`` where the upstream
    fails, ends without ``[DONE]``, sends something else, or is silent for longer than an answer may take to begin."""

    def __init__(self, pieces: AsyncIterator[bytes], policy: ServingPolicy) -> None:
        self._pieces = pieces
        self._limits = policy.limits
        self._reader = EventReader()
        self._opened = AsyncExitStack()
        self._first: bytes | None = None
        self._size = 0
        self._waiting_since = time.monotonic()
        self._until = self._waiting_since + policy.limits.stream_seconds

    def holds(self, opened: AsyncExitStack) -> None:
        """Takes over what is to be closed with it."""
        self._opened = opened

    async def begin(self) -> None:
        """Wait for the first events."""
        try:
            self._first = await self._next()
        except BaseException:
            await self.aclose()
            raise

    def __aiter__(self) -> UpstreamEvents:
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self._reader.ended:
            await self.aclose()
            raise StopAsyncIteration
        try:
            return await self._next()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Let the upstream know that nobody waits for more: its connection is closed where the answer has not ended."""
        if (close := getattr(self._pieces, "aclose", None)) is not None:
            await close()
        await self._opened.aclose()

    async def _next(self) -> bytes:
        """The next events, and the last ones only once the upstream's message has ended as well."""
        self._waiting_since = time.monotonic()  # while nobody asked for more, nobody waited
        while not (events := await self._events()):
            pass
        if self._reader.ended:
            while await self._piece() is not None:
                pass
        return events

    async def _events(self) -> bytes:
        piece = await self._piece()
        if piece is None:
            raise failed("it ended before [DONE]")
        return piece

    async def _piece(self) -> bytes | None:
        """Whole events of the next piece that the connection has, perhaps none; ``None`` at the end of the message.

        Time is looked at when something comes: silence alone is the connection's to end.
        """
        piece: bytes | None = b""
        with contextlib.suppress(PeerError):
            piece = await anext(self._pieces, None)
        if piece is None:
            return None
        if not piece:  # the connection gives none that are empty
            raise failed("its connection broke, or it fell silent")
        now = time.monotonic()
        events = self._reader.feed(piece)
        self._size += len(piece)
        if self._size > self._limits.answer_bytes:
            raise failed("the answer is over the limit")
        if now > self._until or now > self._waiting_since + self._limits.seconds:
            raise failed("it takes too long")
        return events


def loopback(url: str) -> str:
    """``url`` without a slash at its end, or ``CallerError`` where it is not plain HTTP to an address of loopback."""
    try:
        parts = urlsplit(url)
        address, port = ipaddress.ip_address(parts.hostname or ""), parts.port
    except ValueError:
        raise _not_loopback() from None
    inside = address.is_loopback if address.version == 4 else address == ipaddress.IPv6Address("::1")
    host = f"[{address}]" if address.version == 6 else str(address)
    plain = f"http://{host}:{port}"
    if not inside or url.removesuffix("/") != plain:
        raise _not_loopback()
    return plain


def _not_loopback() -> CallerError:
    return CallerError(
        "an upstream is reached in plain, and only at an address of this machine's loopback",
        hint="Run it beside the server, and name it as http://127.0.0.1:PORT",
    )


def _web_client(policy: ServingPolicy) -> WebClient:
    """A client without TLS, which asks loopback addresses only, within the policy's times and sizes.

    Each request has a connection of its own: what an upstream says unasked is no answer to another tenant's request.
    """
    limits = policy.limits
    return WebClient(
        tls=None,
        limits=ClientLimits(
            connections=limits.concurrent + 1,  # one looks whether the upstream is there
            connect_seconds=limits.seconds,
            answer_seconds=limits.seconds,
            idle_seconds=limits.seconds,
            total_seconds=limits.seconds + limits.stream_seconds,
            answer_bytes=limits.answer_bytes,
        ),
        reuse=False,
    )


def _fields(accept: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """All that goes up beside the content: nothing of the client's own fields."""
    return ((b"content-type", JSON), (b"accept", accept))


def _require_json(fields: Iterable[tuple[bytes, bytes]]) -> None:
    named = {name.lower(): value for name, value in fields}
    kind = _TYPE.fullmatch(named.get(b"content-type", JSON))
    if kind is None or kind[1].lower() != JSON or b"content-encoding" in named:
        raise RequestRefused("the request is not plain JSON", hint="Send application/json, uncompressed", status=415)


def _require_type(fields: Iterable[tuple[bytes, bytes]], wanted: bytes) -> None:
    kinds = [_TYPE.fullmatch(value) for name, value in fields if name.lower() == b"content-type"]
    if [kind[1].lower() if kind else b"" for kind in kinds] != [wanted]:
        raise failed("its answer is of another type")


def _response(status: int, content: dict[str, Any]) -> Response:
    return Response(ResponseHead(status, ((b"content-type", JSON),)), json.dumps(content).encode())


__all__ = ["UpstreamEvents", "UpstreamHandler", "loopback"]
