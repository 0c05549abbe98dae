"""The aggregator as a service: silos connect out to it and ask; it connects out to the keeper.

Silos need no inbound port. They poll with long questions: an answer comes as soon as there is one, or ``wait`` after
``PATIENCE`` seconds. Every question can be asked again after a lost connection without changing anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from quatrefoil.errors import HostError, MessageRefused, PeerUnreachable, PolicyError, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator, FinishedRound
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.enrolment import Enrolments
from quatrefoil.federation.rpc import SMALL, answer_all, ask_async
from quatrefoil.transport import AsyncChannel, Party
from quatrefoil.wire import LARGEST_MESSAGE

PATIENCE = 20.0
MOST_ATTEMPTS = 16
LARGEST_EXPANSION = 16
"""Bytes a parameter that a contribution may have, beside what every message may."""

Result = TypeVar("Result")
Report = Callable[[str], None]
Dial = Callable[[], Awaitable[AsyncChannel]]


@dataclass(frozen=True)
class Waiting:
    """How long a round waits, in seconds: ``deadline`` for silos beyond the minimum, ``give_up`` for the minimum."""

    deadline: float
    give_up: float


class KeeperLink:
    """Questions to the keeper over a channel that is made again when it breaks: every question may be repeated."""

    def __init__(self, dial: Dial, give_up: float) -> None:
        self._dial = dial
        self._give_up = give_up
        self._channel: AsyncChannel | None = None

    async def peer(self) -> Party:
        """Who the keeper is, as certified."""
        return (await self._trying(self._connected)).peer

    async def ask(self, method: str, body: bytes) -> bytes:
        """The keeper's answer; waits for a keeper that is away, at most ``give_up`` seconds."""

        async def once() -> bytes:
            answer = await ask_async(await self._connected(), method, body, limit=LARGEST_MESSAGE)
            if answer is None:
                raise PeerUnreachable("the keeper has no answer yet", hint="Ask again")
            return answer

        return await self._trying(once)

    async def _connected(self) -> AsyncChannel:
        if self._channel is None:
            self._channel = await self._dial()
        return self._channel

    async def _trying(self, action: Callable[[], Awaitable[Result]]) -> Result:
        end = asyncio.get_running_loop().time() + self._give_up
        while True:
            try:
                return await action()
            except PeerUnreachable as error:
                await self.close()
                if asyncio.get_running_loop().time() > end:
                    raise HostError(
                        f"the keeper does not answer ({error.problem})", hint="Start it again on its own state"
                    ) from None
                await asyncio.sleep(0.3)

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


class AggregatorService:
    """Enrols silos, then runs the rounds of the job; ``finished`` holds what has been published."""

    def __init__(
        self,
        enrolments: Enrolments,
        make_aggregator: Callable[[AgreedJob], Aggregator],
        model: bytes,
        *,
        keeper: KeeperLink,
        rounds: int,
        waiting: Waiting,
        on_received: Callable[[int, str, bytes], None],
        report: Report,
    ) -> None:
        self._enrolments = enrolments
        self._make_aggregator = make_aggregator
        self._model = model
        self._keeper = keeper
        self._rounds = rounds
        self._waiting = waiting
        self._on_received = on_received
        self._report = report
        self._aggregator: Aggregator | None = None
        self._offer: bytes | None = None
        self._changed = asyncio.Condition()
        self._informed: set[str] = set()
        self.round_ms: dict[int, float] = {}
        """Wall-clock milliseconds of each round that this process ran, attempts and waiting included."""

    async def handle(self, channel: AsyncChannel) -> None:
        """Serve one connected silo until it leaves."""
        methods = {
            "invitation": self._invitation,
            "enrol": self._enrol,
            "job": self._job,
            "consent": self._consent,
            "start": self._start,
            "next": self._next,
            "contribute": self._contribute,
        }
        await answer_all(channel, methods, limit=self._limit)

    async def run(self) -> Aggregator:
        """All rounds of the job; returns when every silo has been told, or after a while of waiting for that."""
        job = await self._agree()
        self._aggregator = aggregator = self._make_aggregator(job)
        await self._notify()
        while aggregator.rounds_done < self._rounds:
            begin = time.perf_counter()
            finished = await self._round(aggregator)
            self.round_ms[finished.number] = (time.perf_counter() - begin) * 1e3
            self._report(f"round {finished.number}/{self._rounds}: {len(finished.contributors)} silos added")
        await self._notify()
        await self._wait_for(lambda: self._informed >= {m.name for m in job.job.roster}, self._waiting.deadline)
        await self._keeper.close()
        return aggregator

    # ---------------------------------------------------------------------------------------------------- the rounds

    async def _agree(self) -> AgreedJob:
        def agreed() -> bool:
            return self._enrolments.agreed() is not None

        if not await self._wait_for(agreed, self._waiting.give_up):
            missing = ", ".join(self._enrolments.missing()) or "a consent"
            raise PolicyError(
                f"the job was not agreed in time: missing {missing}", hint="Start the silos that are missing"
            )
        job = self._enrolments.agreed()
        assert job is not None
        self._report(f"job {job.job.name}: agreed and signed by {len(job.job.roster)} silos")
        return job

    async def _round(self, aggregator: Aggregator) -> FinishedRound:
        for _ in range(MOST_ATTEMPTS):
            try:
                request = parts.join([aggregator.enrolled_job, aggregator.open_request()])
                offer = await self._keeper.ask("open", request)
                aggregator.opened(offer)
                self._offer = offer
                await self._notify()
                await self._gather(aggregator)
                finished = aggregator.finish(await self._answer(aggregator))
                self._offer = None
                await self._notify()
                return finished
            except RoundVoided as void:
                self._offer = None
                self._report(f"{void.problem}: trying again")
                aggregator.voided(await self._keeper.ask("void", aggregator.void_request(void.problem)))
        raise PolicyError(
            f"a round was voided {MOST_ATTEMPTS} times", hint="Look at the keeper: it restarts in every round"
        )

    async def _gather(self, aggregator: Aggregator) -> None:
        roster = {member.name for member in aggregator.job.roster}
        minimum = aggregator.minimum_silos
        if await self._wait_for(lambda: len(aggregator.received) == len(roster), self._waiting.deadline):
            return
        if await self._wait_for(lambda: len(aggregator.received) >= minimum, self._waiting.give_up):
            missing = sorted(roster - set(aggregator.received))
            self._report(f"going on without {', '.join(missing)}")
            return
        raise PolicyError(
            f"{len(aggregator.received)} of at least {minimum} silos contributed in time",
            hint="Start the missing silos and run the aggregator again on the same state",
        )

    async def _answer(self, aggregator: Aggregator) -> bytes:
        while True:
            try:
                return await self._keeper.ask("answer", aggregator.key_request())
            except MessageRefused as error:
                if error.party is None or error.party not in aggregator.received:
                    raise
                self._report(f"the keeper refuses {error.party}: {error.problem}")
                aggregator.exclude(error.party, error.problem)

    # ------------------------------------------------------------------------------------------------------- questions

    async def _invitation(self, silo: str, _: bytes) -> bytes:
        return self._enrolments.invite(silo)

    async def _enrol(self, silo: str, body: bytes) -> bytes:
        if self._enrolments.enrol(body) != silo:
            raise MessageRefused(f"{silo} brings the enrolment of another silo", hint="Enrol for yourself")
        self._report(f"{silo} enrolled")
        await self._notify()
        return b""

    async def _job(self, _: str, __: bytes) -> bytes | None:
        if not await self._wait_for(lambda: not self._enrolments.missing(), PATIENCE):
            return None
        return self._enrolments.job()

    async def _consent(self, _: str, body: bytes) -> bytes:
        self._enrolments.consent(body)
        await self._notify()
        return b""

    async def _start(self, _: str, __: bytes) -> bytes | None:
        if not await self._wait_for(lambda: self._aggregator is not None, PATIENCE):
            return None
        return parts.join([self._running().enrolled_job, self._model])

    async def _next(self, silo: str, body: bytes) -> bytes | None:
        done = int.from_bytes(body, "big")
        found: list[bytes] = []

        def something() -> bool:
            found[:] = self._news(silo, done)
            return bool(found)

        await self._wait_for(something, PATIENCE)
        return parts.join([found[0], parts.join(found[1:])]) if found else None

    async def _contribute(self, silo: str, body: bytes) -> bytes:
        aggregator = self._running()
        aggregator.receive(silo, body)
        self._on_received(aggregator.rounds_done + 1, silo, body)
        await self._notify()
        return b""

    def _news(self, silo: str, done: int) -> list[bytes]:
        aggregator = self._aggregator
        if aggregator is None:
            return []
        if (finished := aggregator.finished(done + 1)) is not None:
            return [b"result", finished.offer, finished.release, finished.result]
        if done >= self._rounds:
            self._informed.add(silo)
            asyncio.get_running_loop().create_task(self._notify())
            return [b"done"]
        if self._offer is not None and done == aggregator.rounds_done and aggregator.is_awaited(silo):
            return [b"offer", self._offer, parts.join(aggregator.voids)]
        return []

    # --------------------------------------------------------------------------------------------------------- details

    def _running(self) -> Aggregator:
        if self._aggregator is None:
            raise MessageRefused("the job has not started", hint="Ask for `start` first")
        return self._aggregator

    def _limit(self) -> int:
        return SMALL if self._aggregator is None else SMALL + LARGEST_EXPANSION * self._aggregator.job.layout.length

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _wait_for(self, ready: Callable[[], bool], seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(ready)
        except TimeoutError:
            return ready()
        return True
