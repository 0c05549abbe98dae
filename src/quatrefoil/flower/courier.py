"""The aggregator's half of one silo's conversation: questions that come out of a node, answers that go back to it.

The service of the aggregator (``services``) sees a channel of a certified silo. Behind it is a node of Flower that is
sent one message at a time and replies with its next question. Where it is certain what a silo asks next, the answer
goes along: a round then takes two messages a silo, and each costs the start of a process at the node.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from quatrefoil.errors import MessageRefused, PeerUnreachable
from quatrefoil.federation import parts
from quatrefoil.flower.contents import EVALUATE, TRAIN, ForSilo, FromSilo, Value
from quatrefoil.flower.replay import AT_ONCE, Answered, method_of
from quatrefoil.services.aggregator import AggregatorService
from quatrefoil.services.rpc import FIRST_PAUSE, longer
from quatrefoil.services.seat import KINDS
from quatrefoil.services.waiting import wait_until, wake

UNTIL_AGAIN = 10.0
"""Seconds before a node that did not do as it should is tried again."""

_THEN_NEXT = KINDS | {b"silent", b"contribute", b"confirm", b"decline", b"sign", b"object", b"start"}
"""Questions after which a silo asks ``next``."""

_BEFORE_IT_JOINED = (b"invitation", b"enrol")
"""What a silo asks again that was refused as it joined."""

Carry = Callable[[bytes, str], Awaitable[bytes]]
"""Takes what is for the silo and the kind of the message; gives what the silo replied, opened."""


class App(Protocol):
    """What the app has to say to a silo, and hears of it."""

    names: tuple[str, ...]

    def evaluates(self, number: int) -> bool:
        """Whether silos evaluate the model of this round."""

    def config(self, kind: str, number: int) -> Mapping[str, Value]:
        """What the silo's app is configured with for this round."""

    def measured(self, kind: str, number: int, silo: str, metrics: Mapping[str, Value]) -> None:
        """Take the metrics that a silo shows of this round."""


@dataclass(frozen=True)
class _Silo:
    name: str


@dataclass
class _Pipe:
    """What the service takes for the channel of a silo."""

    peer: _Silo
    closed_by_peer: bool = False
    _requests: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    _responses: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    async def receive(self, limit: int) -> bytes:
        request = await self._requests.get()
        if request is None:
            raise PeerUnreachable("the silo has left", hint="Wait for it")
        if len(request) > limit:
            raise MessageRefused(f"a question of {len(request)} bytes, over {limit}", hint="Check the silo's version")
        return request

    async def send(self, frame: bytes) -> None:
        await self._responses.put(frame)

    async def ask(self, request: bytes) -> bytes:
        """The service's response."""
        await self._requests.put(request)
        return await self._responses.get()

    async def leave(self, *, in_order: bool) -> None:
        self.closed_by_peer = in_order
        await self._requests.put(None)


class Courier:
    """Carries one silo's conversation until the silo says that the job is over, or its node is given up."""

    def __init__(
        self, silo: str, service: AggregatorService, app: App, carry: Carry, report: Callable[[str], None]
    ) -> None:
        self._silo = silo
        self._service = service
        self._app = app
        self._carry = carry
        self._report = report
        self._pipe = _Pipe(_Silo(silo))
        self._answers: list[Answered] = []
        self._done = 0
        self._evaluated = 0
        self._cosigns = False

    async def run(self) -> None:
        """Until the end of the job. ``PeerUnreachable`` of a message is tried again, a silo that stopped in the next
        round."""
        self._service.standing.stopped.pop(self._silo, None)  # it may have come back at another node
        serving = asyncio.create_task(self._service.handle(self._pipe))
        conversing = asyncio.create_task(self._converse())
        try:
            done, _ = await asyncio.wait({conversing, serving}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            conversing.cancel()
            await asyncio.gather(conversing, return_exceptions=True)
            await self._pipe.leave(in_order=not conversing.cancelled() and conversing.exception() is None)
            await asyncio.gather(serving, return_exceptions=True)

    async def _converse(self) -> None:
        if self._silo in self._service.standing.missing:
            await self._ask(_request(b"invitation"))
        while True:
            reply = await self._exchange()
            self._answers = [one for at, one in enumerate(self._answers) if at not in set(reply.done)]
            if reply.fault:
                self._report(f"{self._silo} stopped: {reply.fault}")
                await self._stopped(reply.fault)
                self._answers = []
                continue
            if not reply.question:
                return
            if method_of(reply.question) not in _BEFORE_IT_JOINED:  # it has come further than where it stopped
                self._service.standing.stopped.pop(self._silo, None)
            await self._answer(reply.question)

    async def _exchange(self) -> FromSilo:
        """One message to the node and its reply, as often as it takes."""
        number = self._offered()
        evaluated = self._done if self._evaluates() and self._evaluated < self._done else 0
        kind = EVALUATE if evaluated else TRAIN
        config = self._app.config(kind, number or evaluated) if number or evaluated else {}
        message = ForSilo(self._answers, self._app.names, config, evaluated).encode()
        pause = FIRST_PAUSE
        while True:
            try:
                reply = FromSilo.decode(await self._carry(message, kind))
                break
            except PeerUnreachable as error:
                self._report(f"{self._silo}: {error.problem}; trying again")
                await asyncio.sleep(pause)
                pause = longer(pause)
        if number and reply.did == TRAIN:
            self._app.measured(TRAIN, number, self._silo, reply.metrics)
        if evaluated and reply.did == EVALUATE:
            self._evaluated = evaluated
            self._app.measured(EVALUATE, evaluated, self._silo, reply.metrics)
        return reply

    async def _answer(self, question: bytes) -> None:
        method = method_of(question)
        self._cosigns |= method == b"witness"
        await self._ask(question)
        if method in (b"enrol", b"consent") and parts.split(self._answers[-1].response, 2)[0] != b"ok":
            return  # refused: what comes next waits for a silo that is to hear this first
        if method == b"enrol":
            await self._ask(_request(b"job"))
        elif method == b"consent":
            await self._ask(_request(b"start"))
            method = b"start"
        if method == b"next":
            self._done = int.from_bytes(parts.split(parts.split(question, 2)[1], 2)[1][-8:], "big")
        elif method in _THEN_NEXT:
            await self._ask(self._next())
        while self._answers[-1].method == b"next" and self._kind() == b"result":
            self._done += 1
            if self._evaluates() or self._cosigns or len(self._answers) >= AT_ONCE:
                return  # with this message the app evaluates; or the silo asks for the checkpoint or more results first
            await self._ask(self._next())

    async def _ask(self, question: bytes) -> None:
        """Have the service answer; ``wait`` and an aggregator that cannot answer now are asked again here."""
        pause = FIRST_PAUSE
        while True:
            response = await self._pipe.ask(question)
            status = parts.split(response, 2)[0]
            if status == b"PeerUnreachable":
                await asyncio.sleep(pause)
                pause = longer(pause)
            elif status != b"wait":
                self._answers.append(Answered.to(question, response))
                return

    async def _stopped(self, why: str) -> None:
        """Nobody waits for the silo in this attempt; it is asked again in the next."""
        standing = self._service.standing
        standing.stopped[self._silo] = standing.offer, why
        await wake(standing.for_rounds)
        await self._news()

    async def _news(self) -> None:
        """A silo that stopped is asked again when there is another round or attempt; while a job is being agreed,
        after a while."""
        standing = self._service.standing
        if standing.aggregator is None:
            await asyncio.sleep(UNTIL_AGAIN)
            return
        now = (standing.offer, standing.rounds_done)
        await wait_until(lambda: (standing.offer, standing.rounds_done) != now, standing.for_silos, math.inf)

    def _next(self) -> bytes:
        body = parts.join([self._service.standing.job_digest, self._done.to_bytes(8, "big")])
        return _request(b"next", body)

    def _kind(self) -> bytes:
        """Of the last answer to ``next`` that the silo has not done with: what it is to do, after what it may have to
        ask first, such as whose log it cosigns."""
        last = next((one for one in reversed(self._answers) if one.method == b"next"), None)
        if last is None:
            return b""
        status, body = parts.split(last.response, 2)
        return parts.split(body, 2)[0] if status == b"ok" else b""

    def _offered(self) -> int:
        """The round that the silo is to train in with the next message; 0 for none."""
        return self._done + 1 if self._kind() == b"offer" else 0

    def _evaluates(self) -> bool:
        """Whether the silo evaluates with the next message: the newest model, whose result is in it."""
        newest = self._done == self._service.standing.rounds_done
        return newest and self._kind() == b"result" and self._app.evaluates(self._done)


def _request(method: bytes, body: bytes = b"") -> bytes:
    return parts.join([method, body])


__all__ = ["EVALUATE", "TRAIN", "App", "Carry", "Courier"]
