"""The gateway as an ASGI application: attestation, the list of keys, encapsulated requests, health. Never content.

Whoever carries a request learns its size, its times, and whether it opened. docs/serving.md is the specification.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from quatrefoil.attested.messages import LARGEST_CHALLENGE
from quatrefoil.errors import (
    HostError,
    KeyUnknown,
    MessageRefused,
    PeerUnreachable,
    QuatrefoilError,
    RequestRefused,
    RequestReplayed,
)
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.ohttp import Response
from quatrefoil.ohttp.chunked import RESPONSE_TYPE as CHUNKED_TYPE
from quatrefoil.ohttp.encapsulation import RESPONSE_TYPE as WHOLE_TYPE
from quatrefoil.serving import asgi, problems
from quatrefoil.serving.answering import Answering, close, described
from quatrefoil.serving.asgi import Receive, Scope, Send
from quatrefoil.serving.challenges import Challenges
from quatrefoil.serving.handler import Handler, Streamed
from quatrefoil.serving.keys import ServingKeys
from quatrefoil.serving.metrics import Metrics
from quatrefoil.serving.opening import TYPES, Opened, most_sealed, opened
from quatrefoil.serving.places import NoPlace
from quatrefoil.serving.sealing import IN_THREAD, Issuer, Sealing, StreamBroke, gathered
from quatrefoil.transport import Clock

TEXT = b"text/plain; charset=utf-8"
CHALLENGE_S = 10.0
"""Seconds that a challenge may take to arrive."""


class Gateway:
    """One server, for one event loop. ``report``: told of faults in one line, without content."""

    def __init__(
        self,
        handler: Handler,
        keys: ServingKeys,
        issuer: Issuer,
        policy: ServingPolicy,
        *,
        clock: Clock,
        report: Callable[[str], None],
        metrics: Metrics | None = None,
    ) -> None:
        self._handler, self._keys, self._policy = handler, keys, policy
        self._report = report
        self.metrics = metrics or Metrics()
        self._signing = ThreadPoolExecutor(1, thread_name_prefix="receipts")
        self._answering = Answering(handler, policy, clock=clock, fault=lambda text: report(f"a fault: {text}"))
        self._sealing = Sealing(issuer, policy, self._signing)
        self._challenges = Challenges(keys.attest)
        self._closing = False
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        places = self._answering.places
        self.metrics.gauges |= {
            "computing": ("Requests that are computed now", lambda: places.taken),
            "waiting": ("Requests that wait for a place", lambda: places.waiting),
            "ready": ("1 where requests would be answered", lambda: float(self.ready)),
        }

    @property
    def ready(self) -> bool:
        return not self._closing and self._handler.ready and self._keys.current

    def stop_taking(self) -> None:
        """Not ready from now on: new requests are told to come again elsewhere."""
        self._closing = True

    def dismiss(self) -> None:
        """As :meth:`stop_taking`, and nothing is begun for those who wait: what computes has no right to any more."""
        self._closing = True
        self._answering.places.dismiss()

    async def idle(self) -> None:
        """Returns when nothing is being answered."""
        await self._idle.wait()

    def close(self) -> None:
        """After the last answer."""
        self._closing = True
        self._challenges.close()
        self._signing.shutdown(wait=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        if scope["type"] != "http":
            return
        routes = {
            ("POST", protocol.GATEWAY_PATH): self._request,
            ("GET", protocol.GATEWAY_PATH): self._keys_list,
            ("POST", protocol.ATTESTATION_PATH): self._attestation,
            ("GET", protocol.LIVE_PATH): self._live,
            ("GET", protocol.READY_PATH): self._readiness,
        }
        path, method = scope["path"], scope["method"]
        serve = routes.get((method, path))
        if serve is None:
            known = any(path == one for _, one in routes)
            refusal = MessageRefused("there is nothing here", hint="docs/serving.md lists the paths")
            await self._problem(send, 405 if known else 404, refusal)
            return
        self._running += 1
        self._idle.clear()
        try:
            await serve(scope, receive, send)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    # ------------------------------------------------------------------------------------------------ what has no key

    async def _live(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await asgi.reply(send, 200, TEXT, b"live\n")

    async def _readiness(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        ready = self.ready
        await asgi.reply(send, 200 if ready else 503, TEXT, b"ready\n" if ready else b"not ready\n")

    async def _keys_list(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            content = self._keys.configurations
        except HostError as error:
            await self._problem(send, 503, error, pause_s=1)
            return
        await asgi.reply(send, 200, protocol.KEYS_TYPE.encode(), content)

    async def _attestation(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = protocol.ATTESTATION_TYPE.encode()
        if asgi.headers(scope).get(b"content-type") != kind:
            await self._problem(send, 415, MessageRefused("the content is no challenge", hint=f"Send {kind.decode()}"))
            return
        try:
            announced = asgi.headers(scope).get(b"content-length", b"")
            challenge = await asgi.body(receive, LARGEST_CHALLENGE, announced, CHALLENGE_S)
            answer, known = await self._challenges.answer(challenge, asgi.party(scope))
        except PeerUnreachable:
            return
        except NoPlace as full:
            busy = HostError("too many ask for evidence", hint="Try again later")
            await self._attestation_refused(send, 503, busy, full.pause_s)
        except RequestRefused as refusal:
            await self._attestation_refused(send, refusal.status, refusal)
        except MessageRefused as refusal:
            await self._attestation_refused(send, 400, refusal)
        except HostError as error:
            self._report(f"no evidence could be given: {error}")
            unsaid = HostError("no evidence can be collected", hint="Try again, or tell who runs the server")
            await self._attestation_refused(send, 503, unsaid, 1)
        else:
            self.metrics.count("attestations", "remembered" if known else "answered")
            await asgi.reply(send, 200, kind, answer)

    async def _attestation_refused(self, send: Send, status: int, error: QuatrefoilError, pause_s: int = 0) -> None:
        self.metrics.count("attestations", "refused")
        await self._problem(send, status, error, pause_s=pause_s)

    # ------------------------------------------------------------------------------------------- encapsulated requests

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        chunked = TYPES.get(asgi.headers(scope).get(b"content-type", b""))
        if chunked is None:
            kinds = " or ".join(kind.decode() for kind in TYPES)
            refusal = MessageRefused("the content is no encapsulated request", hint=f"Send {kinds}")
            await self._problem(send, 415, refusal)
            return
        if self._closing:
            error = HostError("the server is stopping", hint="Try again elsewhere, or later")
            await self._problem(send, 503, error, pause_s=5)
            return
        found = await self._opened(scope, receive, send, chunked)
        if found is None:
            return
        # Nobody is answered who has left; what was begun for it is given up.
        work = asyncio.ensure_future(self._answered(found, asgi.party(scope), send, began))
        gone = asyncio.ensure_future(asgi.left(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            begun = [] if found.commitment is None else [found.commitment]
            await asyncio.gather(work, gone, *begun, return_exceptions=True)
            found.response.wipe()
            self._keys.answered(found.held)
        if not work.cancelled() and (fault := work.exception()) is not None:
            self._report(f"a fault: {described(fault)}")

    async def _opened(self, scope: Scope, receive: Receive, send: Send, chunked: bool) -> Opened | None:
        """The request, or ``None`` where it has been answered outside."""
        limit = most_sealed(self._policy, chunked=chunked)
        try:
            announced = asgi.headers(scope).get(b"content-length", b"")
            sealed = await asgi.body(receive, limit, announced, self._policy.limits.seconds)
            if len(sealed) < IN_THREAD:
                return opened(sealed, self._keys, self._policy, chunked=chunked)
            return await asyncio.to_thread(opened, sealed, self._keys, self._policy, chunked=chunked)
        except PeerUnreachable:
            pass
        except RequestRefused as refusal:
            await self._problem(send, refusal.status, refusal)
        except KeyUnknown as refusal:
            await self._problem(send, 400, refusal, kind=problems.KEY_PROBLEM)
        except MessageRefused as refusal:
            await self._problem(send, 400, refusal)
        return None

    async def _answered(self, found: Opened, party: str, send: Send, began: float) -> None:
        limits = self._policy.limits
        try:
            instead = self._answering.admit(found)
        except RequestReplayed as refusal:
            await self._problem(send, 400, refusal)
            return
        except HostError as full:
            self._report(str(full))
            await self._problem(send, 503, full, pause_s=30)
            return
        self._sealing.prepare(found)
        if instead is not None:
            await self._sent_whole(found, instead, send, began)
            return
        answer = await self._answering.answer(found, party, began + limits.seconds)
        try:
            if not isinstance(answer.answer, Streamed):
                await self._sent_whole(found, answer.answer, send, began)
            elif found.chunked:
                await self._sent_stream(found, answer.answer, send, began)
            else:
                await self._sent_whole(found, await self._gathered(answer.answer, began), send, began)
        finally:
            if isinstance(answer.answer, Streamed):
                await close(answer.answer)
            answer.done()

    async def _gathered(self, answer: Streamed, began: float) -> Response:
        try:
            async with asyncio.timeout_at(began + self._policy.limits.stream_seconds):
                return await gathered(answer, self._policy.limits.answer_bytes)
        except TimeoutError:
            return self._answering.refusal(504, HostError("there was no answer in time", hint="Ask for less"))
        except Exception as error:
            self._report(f"a stream broke: {described(error)}")
            return self._answering.refusal(502, HostError("the answer broke off", hint="Try again"))

    async def _sent_whole(self, found: Opened, answer: Response, send: Send, began: float) -> None:
        try:
            sealed = await self._sealing.whole(found, answer)
        except QuatrefoilError as error:  # no receipt, no answer
            self._report(f"a receipt could not be kept: {error}")
            unsaid = HostError("the server cannot keep its records", hint="Tell who runs it")
            await self._problem(send, 500, unsaid)
            return
        self.metrics.count("answers", str(answer.head.status))
        self.metrics.took(time.monotonic() - began)
        kind = CHUNKED_TYPE if found.chunked else WHOLE_TYPE
        await asgi.reply(send, 200, kind.encode(), sealed)

    async def _sent_stream(self, found: Opened, answer: Streamed, send: Send, began: float) -> None:
        started = False

        async def forward(piece: bytes) -> None:
            nonlocal started
            if not started:
                started = True
                self.metrics.took(time.monotonic() - began)
                await asgi.start(send, 200, CHUNKED_TYPE.encode(), ((b"incremental", b"?1"),))
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        try:
            ends = began + self._policy.limits.stream_seconds
            await self._sealing.stream(found, answer, forward, ends=ends)
            self.metrics.count("answers", str(answer.head.status))
        except asyncio.CancelledError:
            self.metrics.count("streams_cut")
            raise
        except StreamBroke as broke:
            self.metrics.count("streams_cut")
            if broke.cause is not None:
                self._report(f"a stream broke: {described(broke.cause)}")
        # Cut off inside: without its last chunk the client refuses it, however well the outer message ends.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _problem(
        self, send: Send, status: int, error: QuatrefoilError, *, kind: str = "about:blank", pause_s: int = 0
    ) -> None:
        self.metrics.count("outer", str(status))
        pause = ((b"retry-after", b"%d" % pause_s),) if pause_s else ()
        content = problems.document(status, error, kind=kind)
        await asgi.reply(send, status, problems.PROBLEM_TYPE, content, pause)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


__all__ = ["Gateway"]
