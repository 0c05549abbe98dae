"""What is answered to an opened request: once, in time, in its place, and whatever goes wrong without its content."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from quatrefoil.errors import (
    DateRefused,
    EngineFailed,
    HostError,
    QuatrefoilError,
    RequestRefused,
)
from quatrefoil.exchange import ServingPolicy
from quatrefoil.ohttp import MemoryReplayStore, ReplayGuard, Response, ResponseHead, http_date
from quatrefoil.serving import problems
from quatrefoil.serving.faults import described
from quatrefoil.serving.handler import Caller, Handler, Streamed
from quatrefoil.serving.opening import Opened
from quatrefoil.serving.places import NoPlace, Place, Places
from quatrefoil.transport import Clock

_FAILED = EngineFailed("the server failed", hint="Try again, or tell who runs it")


@dataclass(frozen=True, repr=False)
class Answer:
    """``answer``, and what is to be called when nobody waits for more of it: exactly once."""

    answer: Response | Streamed
    done: Callable[[], None]


class Answering:
    """One server's requests, in one event loop."""

    def __init__(
        self, handler: Handler, policy: ServingPolicy, *, clock: Clock, fault: Callable[[str], None] = lambda _: None
    ) -> None:
        """``fault``: told the class and the place of an error that nobody expected, and nothing that it says."""
        self._handler = handler
        self._policy = policy
        self._clock = clock
        self._fault = fault
        self._guard = ReplayGuard(MemoryReplayStore(), clock=clock)
        self._salt_key = os.urandom(32)
        self.places = Places(policy.limits.concurrent, policy.limits.queued)

    def admit(self, opened: Opened) -> Response | None:
        """``None`` for a request that is new and may have effects; otherwise what to answer instead.

        ``RequestReplayed`` for one that was here before: it gets no answer inside, and no receipt, since its first had
        them. ``HostError`` where nothing more can be remembered.
        """
        if opened.request is None:
            assert opened.fault is not None
            return self._handler.refusal(400, opened.fault)
        try:
            self._guard.admit(opened.enc, opened.held.keyset.sealing_public, opened.request.head)
        except DateRefused as refusal:
            return problems.of_date(refusal, http_date(self._clock()).encode())
        if isinstance(opened.fault, RequestRefused):
            return self._handler.refusal(opened.fault.status, opened.fault)
        return None

    async def answer(self, opened: Opened, deadline: float) -> Answer:
        """The handler's answer to an admitted request, or a refusal in its protocol's form. Never raises, but where it
        is cancelled."""
        assert opened.request is not None
        party = opened.party
        if not self._handler.ready:
            return self._refused(503, HostError("the server is not ready", hint="Try again later"), pause_s=5)
        try:
            place = await self.places.take(party, deadline)
        except NoPlace as full:
            busy = HostError("the server has as many requests as it takes", hint="Try again later")
            return self._refused(503, busy, pause_s=full.pause_s)
        caller = Caller(party, self._cache_salt(party), deadline)
        task = asyncio.ensure_future(self._handler.answer(opened.request, caller))
        try:
            done, _ = await asyncio.wait({task}, timeout=max(0.0, deadline - time.monotonic()))
        except asyncio.CancelledError:
            _abandon(task, place)
            raise
        if not done:
            _abandon(task, place)
            return self._refused(504, HostError("there was no answer in time", hint="Try again, or ask for less"))
        return self._outcome(task, place)

    def _outcome(self, task: asyncio.Future[Response | Streamed], place: Place) -> Answer:
        try:
            answer = task.result()
        except (RequestRefused, EngineFailed) as refusal:
            place.give_back()
            return self._refused(refusal.status, refusal)
        except asyncio.CancelledError:
            place.give_back()
            return self._refused(503, HostError("the server is stopping", hint="Try again later"), pause_s=5)
        except Exception as error:
            place.give_back()
            self._fault(described(error))
            return self._refused(500, _FAILED)
        if isinstance(answer, Streamed):
            return Answer(answer, place.give_back)
        place.give_back()
        limit = self._policy.limits.answer_bytes
        if len(answer.content) > limit:
            over = RequestRefused(f"the answer is over the limit of {limit} bytes", hint="Ask for less", status=413)
            return self._refused(413, over)
        return Answer(answer, _nothing)

    def refusal(self, status: int, error: QuatrefoilError) -> Response:
        return self._handler.refusal(status, error)

    def _refused(self, status: int, error: QuatrefoilError, *, pause_s: int = 0) -> Answer:
        made = self._handler.refusal(status, error)
        if pause_s:
            head = ResponseHead(made.head.status, (*made.head.fields, (b"retry-after", b"%d" % pause_s)))
            made = Response(head, made.content)
        return Answer(made, _nothing)

    def _cache_salt(self, party: str) -> str:
        """Of the party, or of this request alone; nobody outside can make another's."""
        if self._policy.isolation.caches == "request":
            return os.urandom(16).hex()
        return hmac.new(self._salt_key, party.encode(), hashlib.sha256).hexdigest()[:32]


def _abandon(task: asyncio.Future[Response | Streamed], place: Place) -> None:
    """Nobody waits any more: the place is free when what was started has ended."""

    def ended(done: asyncio.Future[Response | Streamed]) -> None:
        place.give_back()
        if not done.cancelled() and done.exception() is None and isinstance(answer := done.result(), Streamed):
            closing = asyncio.ensure_future(close(answer))
            closing.add_done_callback(lambda _: None)

    task.add_done_callback(ended)
    task.cancel()


async def close(streamed: Streamed) -> None:
    """Let go of an answer that nobody wants more of."""
    if (aclose := getattr(streamed.pieces, "aclose", None)) is not None:
        with contextlib.suppress(Exception):
            await aclose()


def _nothing() -> None:
    pass


__all__ = ["Answer", "Answering", "close"]
