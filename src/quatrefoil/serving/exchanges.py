"""Encapsulated requests, from the body to the answer's last byte: opened, admitted, answered, signed and sealed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from quatrefoil.errors import (
    HostError,
    KeyUnknown,
    MessageRefused,
    PeerUnreachable,
    QuatrefoilError,
    RequestRefused,
    RequestReplayed,
)
from quatrefoil.exchange import ServingPolicy
from quatrefoil.ohttp import Response
from quatrefoil.ohttp.chunked import RESPONSE_TYPE as CHUNKED_TYPE
from quatrefoil.ohttp.encapsulation import RESPONSE_TYPE as WHOLE_TYPE
from quatrefoil.serving import asgi, problems
from quatrefoil.serving.answering import Answering, close
from quatrefoil.serving.asgi import Receive, Scope, Send
from quatrefoil.serving.faults import described
from quatrefoil.serving.handler import Handler, Streamed
from quatrefoil.serving.keys import ServingKeys
from quatrefoil.serving.memory import Holding, Memory, MemoryFull
from quatrefoil.serving.metrics import Metrics
from quatrefoil.serving.opening import (
    CHUNKS_IN_THREAD,
    PIECES_IN_THREAD,
    TYPES,
    Opened,
    most_sealed,
    opened,
)
from quatrefoil.serving.places import NoPlace, Places
from quatrefoil.serving.sealing import IN_THREAD, Issuer, Sealing, StreamBroke, gathered
from quatrefoil.transport import Clock
from quatrefoil.web.guard import CutOff

OPENED_AT_ONCE = 2
"""Requests that are long work to open."""

Result = TypeVar("Result")


class Exchanges:
    """Those of one server, in one event loop. ``report``: told of faults, without content."""

    def __init__(
        self,
        handler: Handler,
        keys: ServingKeys,
        issuer: Issuer,
        policy: ServingPolicy,
        *,
        clock: Clock,
        report: Callable[[str], None],
        metrics: Metrics,
    ) -> None:
        self._keys, self._policy = keys, policy
        self._report, self._metrics = report, metrics
        self._signing = ThreadPoolExecutor(1, thread_name_prefix="receipts")
        self._opening = ThreadPoolExecutor(OPENED_AT_ONCE, thread_name_prefix="opening")
        self._turns = Places(OPENED_AT_ONCE, policy.limits.connections)
        self._answering = Answering(handler, policy, clock=clock, fault=lambda text: report(f"a fault: {text}"))
        self._sealing = Sealing(issuer, policy, self._signing)
        limits = policy.limits
        self.memory = Memory((limits.concurrent + limits.queued + 1) * most_sealed(policy, chunked=True))
        self.places = self._answering.places

    def close(self) -> None:
        """After the last answer."""
        self._opening.shutdown(wait=True)
        self._signing.shutdown(wait=True)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one POST."""
        began = time.monotonic()
        headers, party = asgi.headers(scope), asgi.party(scope)
        chunked = TYPES.get(headers.get(b"content-type", b""))
        if chunked is None:
            kinds = " or ".join(kind.decode() for kind in TYPES)
            refusal = MessageRefused("the content is no encapsulated request", hint=f"Send {kinds}")
            await self._problem(send, 415, refusal)
            return
        with self.memory.holding(party) as holding:
            announced = headers.get(b"content-length", b"")
            found = await self._opened(announced, party, receive, send, chunked, holding)
            if found is not None:
                found.party = party
                await self._worked(found, receive, send, began)

    async def _worked(self, found: Opened, receive: Receive, send: Send, began: float) -> None:
        # Nobody is answered who has left; what was begun for it is given up.
        try:
            async with asgi.WhileThere(receive):
                await self._answered(found, send, began)
        except CutOff:
            raise
        except Exception as fault:
            self._report(f"a fault: {described(fault)}")
        finally:
            if found.commitment is not None and not found.commitment.done():
                await asyncio.wait({found.commitment})
            found.response.wipe()
            self._keys.answered(found.held)

    async def _opened(
        self, announced: bytes, party: str, receive: Receive, send: Send, chunked: bool, holding: Holding
    ) -> Opened | None:
        """The request, or ``None`` where it has been answered outside."""
        limit = most_sealed(self._policy, chunked=chunked)
        ends = time.monotonic() + self._policy.limits.seconds
        try:
            sealed = await asgi.body(receive, limit, announced, self._policy.limits.seconds, holding)
            return await self._read(sealed, chunked, party, ends)
        except PeerUnreachable:
            pass
        except MemoryFull:
            busy = HostError("the server holds as much of your requests as it takes", hint="Try again later")
            await self._problem(send, 503, busy, pause_s=1)
        except NoPlace as full:
            busy = HostError("the server has as much to open as it takes", hint="Try again later")
            await self._problem(send, 503, busy, pause_s=full.pause_s)
        except RequestRefused as refusal:
            await self._problem(send, refusal.status, refusal)
        except KeyUnknown as refusal:
            await self._problem(send, 400, refusal, kind=problems.KEY_PROBLEM)
        except MessageRefused as refusal:
            await self._problem(send, 400, refusal)
        return None

    async def _read(self, sealed: bytes, chunked: bool, party: str, ends: float) -> Opened:
        """Opened and read, in a thread where that may take long."""
        if len(sealed) < (CHUNKS_IN_THREAD if chunked else IN_THREAD):
            found = opened(sealed, self._keys, self._policy, chunked=chunked)
        else:
            found = await self._in_turn(party, ends, lambda: opened(sealed, self._keys, self._policy, chunked=chunked))
        try:
            if found.in_pieces and len(found.content) >= PIECES_IN_THREAD:
                await self._in_turn(party, ends, lambda: found.read(self._policy))
            else:
                found.read(self._policy)
        except BaseException:
            found.response.wipe()
            self._keys.answered(found.held)
            raise
        return found

    async def _in_turn(self, party: str, ends: float, step: Callable[[], Result]) -> Result:
        """Long work for a request that has no place yet: a few at once, in turns of parties, and in threads that
        nothing else waits for. ``NoPlace``, also where ``ends`` comes first."""
        turn = await self._turns.take(party, ends)
        working = asyncio.get_running_loop().run_in_executor(self._opening, step)
        working.add_done_callback(lambda _: turn.give_back())
        return await working

    async def _answered(self, found: Opened, send: Send, began: float) -> None:
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
        answer = await self._answering.answer(found, began + limits.seconds)
        whole: Response | None = None
        try:
            if not isinstance(answer.answer, Streamed):
                whole = answer.answer
            elif found.chunked:
                await self._sent_stream(found, answer.answer, send, began)
            else:
                whole = await self._gathered(answer.answer, began)
        finally:
            if isinstance(answer.answer, Streamed):
                await close(answer.answer)
            answer.done()
        if whole is not None:  # nothing computes any more: who reads it slowly keeps nobody waiting
            await self._sent_whole(found, whole, send, began)

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
        self._metrics.count("answers", str(answer.head.status))
        self._metrics.took(time.monotonic() - began)
        kind = CHUNKED_TYPE if found.chunked else WHOLE_TYPE
        await asgi.reply(send, 200, kind.encode(), sealed)

    async def _sent_stream(self, found: Opened, answer: Streamed, send: Send, began: float) -> None:
        started = False

        async def forward(piece: bytes) -> None:
            nonlocal started
            if not started:
                started = True
                self._metrics.took(time.monotonic() - began)
                await asgi.start(send, 200, CHUNKED_TYPE.encode(), ((b"incremental", b"?1"),))
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        try:
            ends = began + self._policy.limits.stream_seconds
            await self._sealing.stream(found, answer, forward, ends=ends)
            self._metrics.count("answers", str(answer.head.status))
        except asyncio.CancelledError:
            self._metrics.count("streams_cut")
            raise
        except StreamBroke as broke:
            self._metrics.count("streams_cut")
            if broke.cause is not None:
                self._report(f"a stream broke: {described(broke.cause)}")
            # Without its last chunk the client refuses it, however the outer message ends; who carries it knows too.
            raise CutOff from None
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _problem(
        self, send: Send, status: int, error: QuatrefoilError, *, kind: str = problems.BLANK, pause_s: int = 0
    ) -> None:
        await problems.outside(send, self._metrics, status, error, kind=kind, pause_s=pause_s)


__all__ = ["Exchanges"]
