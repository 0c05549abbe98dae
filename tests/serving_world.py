"""A server of confidential inference, with every input in the test's hands: evidence of our own making, a small real
model, and the gateway driven as the ASGI application that it is, or over channels.

A test that uses this needs ``own_roots``, which puts the tests' root in AMD's place.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import inspect
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import attesting
import small_models
from quatrefoil import exchange, ohttp
from quatrefoil.appraisal import load, verifiers
from quatrefoil.attested import Attested, RelyingParty
from quatrefoil.audit import MemoryLog, inference_receipts
from quatrefoil.audit.inference_receipts import InferenceReceipt
from quatrefoil.enclave import snp
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.errors import PeerError
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.inference import OnnxEngine
from quatrefoil.ohttp import Request, RequestHead, Response, http_date
from quatrefoil.ohttp.chunked import REQUEST_TYPE as CHUNKED
from quatrefoil.ohttp.encapsulation import REQUEST_TYPE as WHOLE
from quatrefoil.serving.gateway import Gateway
from quatrefoil.serving.handler import Handler
from quatrefoil.serving.keys import InForce, ServingKeys
from quatrefoil.serving.oip import OipHandler
from quatrefoil.serving.receipt_log import ReceiptLog
from quatrefoil.serving.receipts import Computed, ReceiptIssuer
from quatrefoil.serving.record_writer import Recorder
from quatrefoil.serving.server import Serving
from quatrefoil.transport import ROLES, FixedCredentials, HybridContext, system_clock
from quatrefoil.web.guard import CutOff
from support import Consortium

MODEL = "linear"
INFER = f"/v2/models/{MODEL}/infer".encode()
COMMITMENT = b"c" * 32
"""Of the weights of a model that is served in audit mode."""
ISSUER = "server"


@pytest.fixture
def own_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verifiers that take the tests' roots for AMD's."""
    own = {"sev-snp": lambda evidence, given, at: snp.verify(evidence, given, at, roots=attesting.roots())}
    monkeypatch.setattr(verifiers, "VERIFIERS", {**verifiers.VERIFIERS, **own})


class SnpMachine:
    """A collector of signed reports. ``changes``: fields of the report that are otherwise."""

    kind = "sev-snp"

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.asked: list[bytes] = []
        self.fails: Exception | None = None

    def collect(self, report_data: bytes) -> Evidence:
        self.asked.append(report_data)
        if self.fails is not None:
            raise self.fails
        return attesting.evidence(**{"report_data": report_data.ljust(64, b"\0"), **self.changes})


def serving_policy(**changes: Any) -> ServingPolicy:
    """A policy in which nothing waits long. ``changes``: fields by dotted names with ``__``, as ``limits__seconds``."""
    policy = ServingPolicy(
        name="test-serving",
        model=exchange.Model(MODEL, bytes(range(32))),
        attestation=exchange.Attestation(load(attesting.FOLDER / "policy.toml"), 3600),
        keys=exchange.Keys(rotate_s=3600, overlap_s=600),
        limits=exchange.Limits(
            request_bytes=4 << 20,
            answer_bytes=4 << 20,
            connections=256,
            concurrent=2,
            queued=8,
            seconds=20,
            stream_seconds=30,
        ),
        padding=exchange.Padding("padme", "padme"),
        stream=exchange.Stream(0, 0),
        isolation=exchange.Isolation("request"),
    )
    parts: dict[str, Any] = {}
    for name, value in changes.items():
        part, _, within = name.partition("__")
        if within:
            value = dataclasses.replace(parts.get(part, getattr(policy, part)), **{within: value})
        parts[part] = value
    policy = dataclasses.replace(policy, **parts)
    return policy


class MemoryReceipts:
    """What is told of keysets, and signs receipts as the real issuer does, into a list."""

    def __init__(self, policy: ServingPolicy, issuer: str = ISSUER) -> None:
        self._policy, self._issuer = policy, issuer
        self.begun: list[tuple[InForce, bytes]] = []
        self.ended: list[Keyset] = []
        self.receipts: list[InferenceReceipt] = []
        self.fails: Exception | None = None
        self._last: dict[bytes, tuple[int, bytes]] = {}

    def begin(self, held: InForce, attestation: bytes) -> None:
        self.begun.append((held, attestation))
        self._last[held.keyset.digest()] = (0, held.keyset.digest())

    def end(self, held: InForce) -> None:
        self.ended.append(held.keyset)

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
        if self.fails is not None:
            raise self.fails
        assert keyset not in self.ended
        number, previous = self._last[keyset.digest()]
        held = next(one for one, _ in self.begun if one.keyset == keyset)
        receipt = InferenceReceipt(
            issuer=self._issuer,
            keyset=keyset.digest(),
            sequence=number,
            previous=previous,
            time=int(datetime.now(UTC).timestamp() * 1000),
            model=self._policy.model.root,
            commitment=b"",
            measurement="test",
            policy=self._policy.digest(),
            plan=self._policy.plan,
            request=request,
            answer=answer,
            status=status,
            complete=complete,
            inputs=computed.commitments.inputs if computed else b"",
            outputs=computed.commitments.outputs if computed else b"",
        )
        signed = inference_receipts.sign(receipt, held.receipt_key)
        if computed:
            computed.keep(signed)
        self._last[keyset.digest()] = (number + 1, receipt.digest())
        self.receipts.append(receipt)
        return signed


@dataclass
class Outer:
    """What everybody on the way sees of an answer. ``pieces``: as they were sent."""

    status: int
    headers: dict[bytes, bytes]
    pieces: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers[b"content-type"] == b"application/problem+json"
        return dict(json.loads(self.content))


@dataclass(frozen=True)
class _Named:
    name: str


class Asked:
    """One outer request on its way: a test may let its client leave, or read slowly."""

    def __init__(
        self,
        app: Any,
        method: str,
        path: str,
        content: bytes | list[bytes],
        headers: list[tuple[bytes, bytes]],
        party: str,
    ) -> None:
        self.outer: Outer | None = None
        self.reads: asyncio.Event = asyncio.Event()
        self.reads.set()
        self.arrived = asyncio.Event()
        self._left = asyncio.Event()
        self._resumed = asyncio.Event()
        self._more = False
        """Whether more would come, after all that there is."""
        self._parts = [content] if isinstance(content, bytes) else list(content)
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "extensions": {"quatrefoil.peer": {"party": _Named(party)}} if party else {},
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    def leave(self) -> None:
        self._left.set()

    def resume(self) -> None:
        """There are more parts, of a body that was on its way."""
        self._resumed.set()

    async def answer(self) -> Outer:
        """What there is of an answer, whole or cut off."""
        with contextlib.suppress(CutOff):
            await self.task
        assert self.outer is not None
        return self.outer

    async def _receive(self) -> dict[str, Any]:
        if self._parts and not self._left.is_set():
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts) or self._more}
        ends = [asyncio.ensure_future(one.wait()) for one in (self._left, self._resumed)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for one in ends:
            one.cancel()
        if not self._left.is_set():
            self._resumed.clear()
            return await self._receive()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.outer = Outer(message["status"], dict(message["headers"]))
        elif message.get("body"):
            assert self.outer is not None
            self.outer.pieces.append(message["body"])
            self.arrived.set()


class World:
    """One gateway. ``handler``: by default the small model's."""

    def __init__(
        self,
        policy: ServingPolicy | None = None,
        *,
        handler: Handler | None = None,
        machine: SnpMachine | None = None,
        clock: Callable[[], datetime] = system_clock,
        receipts: Any = None,
    ) -> None:
        self.policy = policy or serving_policy()
        self.machine = machine or SnpMachine()
        self.clock = clock
        self.receipts = receipts or MemoryReceipts(self.policy)
        self.said: list[str] = []
        self.keys = ServingKeys(self.machine, self.policy, collateral=Collateral, events=self.receipts, clock=clock)
        self.handler = handler or OipHandler(OnnxEngine(small_models.linear(), name=MODEL, version="1"), self.policy)
        self.gateway = Gateway(
            self.handler, self.keys, self.receipts, self.policy, clock=clock, report=self.said.append
        )
        self.accepted: Attested | None = None

    def asked(
        self,
        method: str,
        path: str,
        content: bytes | list[bytes] = b"",
        *,
        kind: str = "",
        party: str = "client",
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> Asked:
        lines = [*(headers or []), *([(b"content-type", kind.encode())] if kind else [])]
        return Asked(self.gateway, method, path, content, lines, party)

    async def outer(self, method: str, path: str, content: bytes | list[bytes] = b"", **more: Any) -> Outer:
        return await self.asked(method, path, content, **more).answer()

    async def attest(self) -> Attested:
        """As a client does: what it may rely on."""
        party = RelyingParty(
            self.policy.attestation.appraisal, Collateral(), purpose=protocol.PURPOSE, clock=self.clock
        )
        outer = await self.outer("POST", protocol.ATTESTATION_PATH, party.challenge(), kind=protocol.ATTESTATION_TYPE)
        assert outer.status == 200, outer.content
        self.accepted = party.accept(outer.content, b"")
        return self.accepted

    def request(self, path: bytes = INFER, content: bytes = b"", **more: Any) -> Request:
        fields = more.pop("fields", ((b"date", http_date(self.clock()).encode()),))
        method = more.pop("method", b"POST" if content else b"GET")
        return Request(RequestHead(method, b"https", b"model.example", path, tuple(fields)), content)

    async def sealed(self, request: Request | bytes, *, chunked: bool = False) -> Sealed:
        """Attests first, where nobody has."""
        accepted = self.accepted or await self.attest()
        return Sealed.of(request, accepted.keyset, self.policy, chunked=chunked)

    async def ask(self, request: Request | bytes, *, chunked: bool = False, **more: Any) -> Opened:
        """What comes back, opened, with its receipt verified."""
        sealed = await self.sealed(request, chunked=chunked)
        outer = await self.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind, **more)
        assert outer.status == 200, (outer.status, outer.content)
        return sealed.open(outer)


@dataclass
class Opened:
    response: Response
    receipt: InferenceReceipt

    @property
    def status(self) -> int:
        return self.response.head.status

    @property
    def content(self) -> bytes:
        return self.response.content

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def field(self, name: bytes) -> bytes:
        (value,) = (value for one, value in self.response.head.fields if one == name)
        return value


@dataclass
class Sealed:
    """An encapsulated request, and what opens its response."""

    content: bytes
    kind: str
    keyset: Keyset
    request: Request | bytes
    response: ohttp.ResponseKeys
    chunked: bool

    @classmethod
    def of(cls, request: Request | bytes, keyset: Keyset, policy: ServingPolicy, *, chunked: bool) -> Sealed:
        padding = policy.request_padding
        encoded = request if isinstance(request, bytes) else ohttp.encode_request(request, padding=padding)
        configuration = protocol.configuration(keyset)
        if not chunked:
            content, response = ohttp.seal_request(configuration, encoded)
            return cls(content, WHOLE, keyset, request, response, chunked)
        sealer = ohttp.RequestSealer(configuration)
        return cls(sealer.finish(encoded), CHUNKED, keyset, request, sealer.response, chunked)

    def plain(self, outer: Outer) -> bytes:
        """The binary HTTP message of the answer; ``MessageRefused`` where it was cut off."""
        if not self.chunked:
            assert outer.headers[b"content-type"] == b"message/ohttp-res"
            return ohttp.open_response(self.response, outer.content)
        assert outer.headers[b"content-type"] == b"message/ohttp-chunked-res"
        opener = ohttp.ResponseOpener(self.response, limit=64 << 20)
        return b"".join([*opener.feed(outer.content), opener.finish()])

    def open(self, outer: Outer) -> Opened:
        salt = self.response.salt
        response = ohttp.decode_response(self.plain(outer))
        fields = response.trailers if self.chunked else response.head.fields
        (encoded,) = (value for name, value in fields if name == protocol.RECEIPT_FIELD)
        receipt = inference_receipts.verify(base64.b64decode(encoded), self.keyset)
        if isinstance(self.request, Request):
            head = self.request.head
            said = inference_receipts.commit_request(salt, head.method, head.path, self.request.content)
        else:
            said = inference_receipts.commit_request(salt, b"", b"", self.request)
        answered = inference_receipts.commit_answer(salt, response.head.status, response.content)
        assert (receipt.request, receipt.answer, receipt.status) == (said, answered, response.head.status)
        assert receipt.complete
        return Opened(response, receipt)


@asynccontextmanager
async def started(*arguments: Any, **more: Any) -> AsyncIterator[World]:
    """A gateway with a first keyset."""
    world = World(*arguments, **more)
    await asyncio.to_thread(world.keys.rotate)
    try:
        yield world
    finally:
        await world.handler.close()
        world.gateway.close()
        world.keys.close()


class Running:
    """A server over channels, in a thread with a loop of its own: for clients of whatever kind.

    ``people``: its consortium; the server is ``workload`` :data:`ISSUER`, with a certificate for 127.0.0.1. What a
    client needs: ``url``, ``policy``, ``collateral``, ``people.trust``. :meth:`call` runs something in its loop.
    """

    def __init__(
        self,
        people: Consortium,
        folder: Path,
        policy: ServingPolicy,
        handler: Handler | None,
        machine: SnpMachine,
        recorder: Recorder | None = None,
    ) -> None:
        self.people, self.policy, self.machine = people, policy, machine
        self.collateral = Collateral()
        self.said: list[str] = []
        self.log = MemoryLog()
        self.refused: list[PeerError] = []
        self.issuer = ReceiptIssuer(
            issuer=ISSUER,
            model=policy.model.root,
            commitment=COMMITMENT if recorder else b"",
            measurement="",
            policy=policy.digest(),
            plan=policy.plan,
            journal=folder / "receipts",
            log=self.log,
            clock=system_clock,
        )
        self.records = ReceiptLog(self.issuer, policy.attestation.appraisal, self.said.append, recorder=recorder)
        self.keys = ServingKeys(
            machine, policy, collateral=lambda: self.collateral, events=self.records, clock=system_clock
        )
        self.handler = handler or OipHandler(OnnxEngine(small_models.linear(), name=MODEL, version="1"), policy)
        self.failed: BaseException | None = None
        self._ready = threading.Event()
        self._keeping: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name="server")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.serving.port}"

    def call(self, made: Callable[[], Any]) -> Any:
        """Run a function, or what it returns to be awaited, in the server's loop."""

        async def run() -> Any:
            found = made()
            return await found if inspect.isawaitable(found) else found

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    def rotate(self) -> None:
        """New keys now; the last ones stay during their overlap."""
        self.keys.rotate()

    def forget_keys(self) -> None:
        """New keys now, and the last ones are gone: clients find theirs unknown."""
        with self.keys._lock:
            old = list(self.keys._uses.values())
        self.keys.rotate()
        for use in old:
            use.over = True
        self.keys._wipe()

    def end_lease(self, error: Exception) -> None:
        """What a lease holder does when its lease is over."""

        def end() -> None:
            assert self._keeping is not None
            self._keeping.set_exception(error)

        self.call(end)

    def start(self) -> Running:
        self._thread.start()
        self._ready.wait(60)
        if self.failed is not None:
            self._thread.join(60)
            raise self.failed
        return self

    def stop(self) -> None:
        """As SIGTERM does. What the server ended with is in ``failed``."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self.join()

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._served())
        except BaseException as error:
            self.failed = error
        finally:
            self._ready.set()

    async def _served(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._keeping = self._loop.create_future()
        keeping = self._keeping
        tls = HybridContext(
            FixedCredentials(self.people.identity(ISSUER, protocol.SERVER_ROLE), self.people.trust),
            allow_roles=ROLES,
            clock=system_clock,
            protocol=b"http/1.1",
            on_refused=self.refused.append,
        )
        self.serving = Serving(
            self.handler,
            self.keys,
            self.records,
            self.policy,
            listen=("127.0.0.1", 0),
            tls=tls,
            metrics=("127.0.0.1", 0),
            clock=system_clock,
            report=self.said.append,
        )
        await self.serving.run(self._stop, keeping=lambda: keeping, started=self._ready.set)


@contextmanager
def running(
    people: Consortium,
    folder: Path,
    *,
    policy: ServingPolicy | None = None,
    handler: Handler | None = None,
    machine: SnpMachine | None = None,
    recorder: Recorder | None = None,
) -> Iterator[Running]:
    """A server that answers, until the end of the block."""
    made = Running(people, folder, policy or serving_policy(), handler, machine or SnpMachine(), recorder).start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def server(own_roots: None, consortium: Consortium, tmp_path: Path) -> Iterator[Running]:
    """A running server of the small model."""
    with running(consortium, tmp_path / "server") as made:
        yield made
