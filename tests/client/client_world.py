"""A client before a real gateway, in one process: what is on the way is in the test's hands."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from quatrefoil.appraisal import measurement_of
from quatrefoil.audit import inference_receipts
from quatrefoil.audit.inference_receipts import InferenceReceipt
from quatrefoil.client import AsyncClient
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import PeerUnreachable
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.ohttp import Request, Response, ResponseHead
from quatrefoil.serving.handler import Caller, Streamed
from quatrefoil.serving.receipts import Computed
from serving_parts import ISSUER, MemoryReceipts, serving_policy
from serving_world import World, started

URL = "https://model.example"
INFER = "/v2/models/linear/infer"
OuterHeaders = Sequence[tuple[bytes, bytes]]


class Receipts(MemoryReceipts):
    """Signs what it is told, as the real issuer does; ``changes``: fields of its receipts that are otherwise.
    ``key``: signs in place of the attested one."""

    def __init__(self, policy: ServingPolicy) -> None:
        super().__init__(policy)
        self.changes: dict[str, Any] = {}
        self.key: Any = None
        self.signed: list[bytes] = []
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def issue(
        self,
        request: bytes,
        answer: bytes,
        status: int,
        complete: bool,
        *,
        keyset: Keyset,
        computed: Computed | None = None,
    ) -> bytes:
        assert computed is None, "nothing here is in audit mode"
        number, previous = self._last[keyset.digest()]
        held = next(one for one, _ in self.begun if one.keyset == keyset)
        receipt = InferenceReceipt(
            issuer=ISSUER,
            keyset=keyset.digest(),
            sequence=number,
            previous=previous,
            time=int(self.clock().timestamp() * 1000),
            model=self._policy.model.root,
            commitment=b"",
            measurement=measurement_of(held.accepted.verdict, self._policy.attestation.appraisal),
            policy=self._policy.digest(),
            plan=self._policy.plan,
            request=request,
            answer=answer,
            status=status,
            complete=complete,
        )
        receipt = dataclasses.replace(receipt, **self.changes)
        self._last[keyset.digest()] = (number + 1, receipt.digest())
        self.receipts.append(receipt)
        self.signed.append(inference_receipts.sign(receipt, self.key or held.receipt_key))
        return self.signed[-1]


@dataclass
class Outer:
    """An answer outside the encryption. ``breaks``: raised after its pieces."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    parts: list[bytes] = field(default_factory=list)
    breaks: BaseException | None = None

    @property
    def content(self) -> bytes:
        if self.breaks is not None:
            raise self.breaks
        return b"".join(self.parts)

    async def pieces(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part
        if self.breaks is not None:
            raise self.breaks


@dataclass(frozen=True)
class Sent:
    """What went over the wire, as everybody on the way sees it."""

    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    content: bytes


class Wire:
    """``web.WebClient`` without a network: requests go to ``world``'s application, past whoever is in between.

    ``instead``: what to answer without asking the server, or None. ``after``: makes something else of an answer.
    """

    def __init__(self, world: World | None) -> None:
        self.world = world
        self.sent: list[Sent] = []
        self.urls: list[str] = []
        self.answers: list[Outer] = []
        self.instead: Callable[[Sent], Outer | Awaitable[Outer | None] | None] = lambda sent: None
        self.before: Callable[[Sent], Sent] = lambda sent: sent
        self.after: Callable[[Sent, Outer], Outer] = lambda sent, answer: answer
        self.left = 0
        self.closed = False

    def paths(self) -> list[str]:
        return [one.path.rpartition("/")[2] for one in self.sent]

    async def request(
        self,
        method: str,
        url: str,
        headers: OuterHeaders = (),
        content: bytes = b"",
        *,
        on_sent: Callable[[], object] = lambda: None,
    ) -> Outer:
        on_sent()
        async with self.stream(method, url, headers, content) as answer:
            return Outer(answer.status, answer.headers, [piece async for piece in answer.pieces()])

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, headers: OuterHeaders = (), content: bytes = b""
    ) -> AsyncIterator[Any]:
        assert url.startswith("https://")
        self.urls.append(url)
        sent = Sent(urlsplit(url).path, tuple(headers), content)
        self.sent.append(sent)
        found = self.instead(sent)
        instead = await found if isinstance(found, Awaitable) else found
        if instead is not None:
            yield instead
            return
        sent = self.before(sent)
        async with _Live(self, method, sent) as live:
            if live.is_stream:
                yield live
            else:
                answer = Outer(live.status, live.headers, [piece async for piece in live.pieces()])
                self.answers.append(answer)
                yield self.after(sent, answer)

    async def close(self) -> None:
        self.closed = True


class _Live:
    """One request to the application: answers in chunks are passed on as they are sent, unless ``after`` has a word."""

    def __init__(self, wire: Wire, method: str, sent: Sent) -> None:
        self._wire = wire
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._left = asyncio.Event()
        self._body: list[bytes] = [sent.content]
        scope = {
            "type": "http",
            "method": method,
            "path": sent.path,
            "raw_path": sent.path.encode(),
            "query_string": b"",
            "headers": list(sent.headers),
            "extensions": {},
        }
        assert wire.world is not None
        self._task = asyncio.ensure_future(wire.world.gateway(scope, self._receive, self._messages.put))
        self.status = 0
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        self._more = True

    @property
    def is_stream(self) -> bool:
        return (b"incremental", b"?1") in self.headers

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            return {"type": "http.request", "body": self._body.pop(), "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def pieces(self) -> AsyncIterator[bytes]:
        while self._more:
            message = await self._next()
            self._more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def _next(self) -> dict[str, Any]:
        """What the application sends next; an application that ends before its answer does cuts the connection."""
        coming = asyncio.ensure_future(self._messages.get())
        try:
            await asyncio.wait({coming, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done() and self._messages.empty():
                raise PeerUnreachable("the connection was cut", hint="Try again")
            return await coming
        finally:
            coming.cancel()

    async def __aenter__(self) -> _Live:
        start = await self._next()
        self.status, self.headers = start["status"], tuple(start["headers"])
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._more:
            self._wire.left += 1
        self._left.set()
        with contextlib.suppress(Exception):
            await self._task


class Talker:
    """A handler that streams ``parts``, one after each turn of ``go`` where that is set; or answers them whole."""

    name, ready = "talker", True

    def __init__(
        self,
        parts: Sequence[bytes] = (b"data: one\n\n", b"data: two\n\n"),
        *,
        breaks: bool = False,
        kind: bytes = b"text/event-stream",
    ) -> None:
        self.parts = list(parts)
        self.kind = kind
        self.breaks = breaks
        self.stopped = asyncio.Event()
        self.go: asyncio.Semaphore | None = None
        self.asked: list[Request] = []

    async def answer(self, request: Request, caller: Caller) -> Response | Streamed:
        self.asked.append(request)
        head = ResponseHead(200, ((b"content-type", self.kind),))
        if request.head.path == b"/whole":
            return Response(head, b"".join(self.parts))
        return Streamed(head, self._pieces())

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            for part in self.parts:
                if self.go is not None:
                    await self.go.acquire()
                yield part
            if self.breaks:
                raise RuntimeError("the upstream fell over")
        finally:
            self.stopped.set()

    def refusal(self, status: int, error: Any) -> Response:
        return Response(ResponseHead(status, ((b"content-type", b"application/json"),)), b'{"error": "no"}')

    async def close(self) -> None:
        pass


class Clock:
    """The time of a machine, ``ahead`` of the others'."""

    def __init__(self, ahead: float = 0) -> None:
        self.ahead = timedelta(seconds=ahead)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass
class Site:
    """A gateway, what is between, and a client."""

    world: World
    wire: Wire
    client: AsyncClient
    receipts: Receipts
    clock: Clock

    def again(self, **changes: Any) -> AsyncClient:
        """Another client on the same wire."""
        return client_of(self.wire, **{"policy": self.world.policy, "clock": self.clock} | changes)

    async def rotate(self) -> None:
        await asyncio.to_thread(self.world.keys.rotate)


def client_of(wire: Wire, *, policy: ServingPolicy | None = None, **changes: Any) -> AsyncClient:
    url = changes.pop("url", URL)
    given: dict[str, Any] = {"policy": policy or serving_policy(), "collateral": Collateral(), "web": wire}
    return AsyncClient(url, **given | changes)


@asynccontextmanager
async def site(
    policy: ServingPolicy | None = None, *, client: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[Site]:
    policy = policy or serving_policy()
    receipts, clock = Receipts(policy), more.pop("clock", None) or Clock()
    receipts.clock = clock
    async with started(policy, receipts=receipts, clock=clock, **more) as world:
        wire = Wire(world)
        async with client_of(wire, **{"policy": policy, "clock": clock} | (client or {})) as made:
            yield Site(world, wire, made, receipts, clock)


def attestations(wire: Wire) -> int:
    return sum(one.path == protocol.ATTESTATION_PATH for one in wire.sent)


def encapsulated(wire: Wire) -> list[bytes]:
    return [one.content for one in wire.sent if one.path == protocol.GATEWAY_PATH]


__all__ = [
    "INFER",
    "URL",
    "Clock",
    "Outer",
    "Receipts",
    "Sent",
    "Site",
    "Talker",
    "Wire",
    "attestations",
    "client_of",
    "encapsulated",
    "site",
]
