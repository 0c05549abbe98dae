"""The aggregator as a service: silos connect out to it and ask; it connects out to the keeper.

Silos need no inbound port. They poll with long questions: an answer comes as soon as there is one, or ``wait`` after
``PATIENCE`` seconds. Every question can be asked again after a lost connection without changing anything.

A silo is offered an attempt until its contribution is in. One whose contribution was refused is offered it no more,
unless what was refused was sent before the attempt had been offered to it: an answer to an earlier one, come late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor

from quatrefoil.errors import MessageRefused, PeerError, PolicyError, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.federation.enrolment import Enrolments
from quatrefoil.federation.provenance import AggregatorProvenance
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.services.keeper_link import KeeperLink
from quatrefoil.services.rpc import SMALL, Method, OnRefused, answer_all
from quatrefoil.services.waiting import Waiting, wait_until, wake
from quatrefoil.transport import AsyncChannel

PATIENCE = 20.0
MOST_ATTEMPTS = 16
MOST_REASON = 400
LARGEST_EXPANSION = 16
"""Bytes a parameter that a contribution may have, beside what every message may."""

Report = Callable[[str], None]


class AggregatorService:
    """Enrols silos, then runs the rounds of the job, and goes on until the silos have taken the last result.

    ``verify_in``: threads in which proofs are verified as they arrive.
    """

    def __init__(
        self,
        enrolments: Enrolments,
        make_aggregator: Callable[[AgreedJob], Aggregator],
        model: bytes,
        provenance: AggregatorProvenance,
        *,
        make_cosigning: Callable[[AgreedJob], Cosigning] | None,
        keeper: KeeperLink,
        verify_in: Executor,
        rounds: int,
        waiting: Waiting,
        on_received: Callable[[int, str, bytes], None],
        on_refused: OnRefused,
        report: Report,
    ) -> None:
        self._enrolments = enrolments
        self._make_aggregator = make_aggregator
        self._make_cosigning = make_cosigning
        self._model = model
        self._provenance = provenance
        self._keeper = keeper
        self._verify_in = verify_in
        self._rounds = rounds
        self._waiting = waiting
        self._on_received = on_received
        self._on_refused = on_refused
        self._report = report
        # What is asked at every turn is kept here: the machines read it from their state, and verify it.
        self._invited = enrolments.invited
        self._missing = set(enrolments.missing())
        self._unsigned = set(self._invited)
        self._signed_job: bytes | None = None
        self._aggregator: Aggregator | None = None
        self._cosigning: Cosigning | None = None
        self._job_digest = b""
        self._rounds_done = 0
        self._latest: FinishedRound | None = None
        self._offer: bytes | None = None
        self._offered: set[str] = set()
        self._proposal: bytes | None = None
        self._declined: dict[str, str] = {}
        self._statement: bytes | None = None
        self._objected: set[str] = set()
        self._told: set[str] = set()
        self._informed: set[str] = set()
        # Two, so that a contribution does not wake every waiting silo.
        self._for_silos = asyncio.Condition()
        self._for_rounds = asyncio.Condition()
        self.round_ms: dict[int, float] = {}
        """Wall-clock milliseconds of each round that this process ran, attempts and waiting included."""

    async def handle(self, channel: AsyncChannel) -> None:
        """Serve one connected silo until it leaves."""
        methods: dict[str, Method] = {
            "invitation": self._invitation,
            "enrol": self._enrol,
            "job": self._job,
            "consent": self._consent,
            "start": self._start,
            "next": self._next,
            "contribute": self._contribute,
            "confirm": self._confirmation,
            "decline": self._decline,
            "witness": self._witness,
            "checkpoint": self._checkpoint,
            "cosign": self._cosign,
            "sign": self._sign,
            "object": self._object,
        }
        silo = channel.peer.name
        checked = {name: self._for_invited(method) for name, method in methods.items()}
        await answer_all(channel, checked, limit=self._limit, on_refused=self._on_refused)
        if silo in self._told and channel.closed_by_peer:
            # It has read that the job is done, and has said goodbye.
            self._informed.add(silo)
            await wake(self._for_rounds)

    async def run(self) -> Aggregator:
        """All rounds of the job; returns when every silo has been told, or after a while of waiting for that."""
        try:
            job = await self._agree()
            aggregator = self._begin(job)
            await wake(self._for_silos)
            while self._rounds_done < self._rounds:
                begin = time.perf_counter()
                finished = await self._round(aggregator)
                self.round_ms[finished.number] = (time.perf_counter() - begin) * 1e3
                self._report(f"round {finished.number}/{self._rounds}: {len(finished.contributors)} silos added")
            self._state_provenance(aggregator)
            await self._await_quorum()
            await wake(self._for_silos)
            await wait_until(lambda: self._informed >= self._invited, self._for_rounds, self._waiting.deadline)
            return aggregator
        finally:
            await self._keeper.close()

    # ---------------------------------------------------------------------------------------------------- the rounds

    async def _agree(self) -> AgreedJob:
        if not await wait_until(lambda: not self._missing, self._for_rounds, self._waiting.give_up):
            raise PolicyError(
                f"the job was not agreed in time: missing {', '.join(sorted(self._missing))}",
                hint="Start the silos that are missing",
            )
        self._signed_job = self._enrolments.job()
        self._unsigned = set(self._enrolments.unsigned())
        await wake(self._for_silos)
        if not await wait_until(lambda: not self._unsigned, self._for_rounds, self._waiting.give_up):
            raise PolicyError(
                f"the job was not agreed in time: no consent of {', '.join(sorted(self._unsigned))}",
                hint="See in their output what they refuse",
            )
        job = self._enrolments.agreed()
        assert job is not None
        self._report(f"job {job.job.name}: agreed and signed by {len(job.job.roster)} silos")
        return job

    def _begin(self, job: AgreedJob) -> Aggregator:
        aggregator = self._make_aggregator(job)
        self._job_digest = job.digest
        self._rounds_done = aggregator.rounds_done
        if self._make_cosigning is not None:
            self._cosigning = self._make_cosigning(job)
            self._cosigning.begin(aggregator.rounds_done)
        self._aggregator = aggregator
        return aggregator

    def _state_provenance(self, aggregator: Aggregator) -> None:
        self._provenance.make(aggregator.job, aggregator.model)
        self._statement = self._provenance.own().encode()

    async def _round(self, aggregator: Aggregator) -> FinishedRound:
        for _ in range(MOST_ATTEMPTS):
            try:
                request = parts.join([aggregator.enrolled_job, aggregator.open_request()])
                offer = await self._keeper.ask("open", request)
                aggregator.opened(offer)
                self._offered.clear()
                self._offer = offer
                await wake(self._for_silos)
                await self._gather(aggregator)
                await self._propose(aggregator)
                await self._confirm(aggregator)
                answer = await self._keeper.ask("answer", aggregator.key_request())
                finished = aggregator.finish(answer)
                if finished.number == self._rounds:  # before the last checkpoint that is cosigned, which covers it
                    self._state_provenance(aggregator)
                if self._cosigning is not None:
                    self._cosigning.begin(finished.number)
                self._offer = self._proposal = None
                self._latest = finished
                self._rounds_done = finished.number
                await wake(self._for_silos)
                return finished
            except RoundVoided as void:
                self._offer = self._proposal = None
                self._report(f"{void.problem}: trying again")
                aggregator.voided(await self._keeper.ask("void", aggregator.void_request(void.problem)))
        raise PolicyError(
            f"a round was voided {MOST_ATTEMPTS} times", hint="Look at the keeper: it restarts in every round"
        )

    async def _await_quorum(self) -> None:
        cosigning = self._cosigning
        if cosigning is None:
            return
        if not cosigning.has_quorum:
            self._report("waiting for the witnesses of the log")
        await wait_until(lambda: cosigning.has_quorum, self._for_rounds, self._waiting.give_up)
        cosigning.require_quorum()

    async def _gather(self, aggregator: Aggregator) -> None:
        minimum = aggregator.minimum_silos
        if not await wait_until(lambda: not self._wanted(), self._for_rounds, self._waiting.deadline):

            def enough() -> bool:
                return len(aggregator.received) >= minimum or not self._wanted()

            await wait_until(enough, self._for_rounds, self._waiting.give_up)
        received = aggregator.received
        missing = ", ".join(sorted(self._invited - set(received)))
        if len(received) < minimum:
            raise PolicyError(
                f"{len(received)} of at least {minimum} silos contributed in time; missing {missing}",
                hint="See what they say, and run the aggregator again on the same state",
            )
        if missing:
            self._report(f"going on without {missing}")

    async def _propose(self, aggregator: Aggregator) -> None:
        """Close the roster, once the keeper can use every key in it."""
        while True:
            await self._check(aggregator)
            try:
                self._proposal = aggregator.propose()
                return
            except MessageRefused as error:
                if not await self._more_arrived(aggregator, error.problem):
                    raise RoundVoided(error.problem, hint="Try the next attempt") from None

    async def _confirm(self, aggregator: Aggregator) -> None:
        """Gather the confirmations of the roster: a quorum, or everybody who comes before the deadline."""
        self._declined.clear()
        await wake(self._for_silos)

        def enough() -> bool:
            return len(aggregator.confirmed) >= aggregator.quorum

        def hopeless() -> bool:
            return len(self._invited) - len(self._declined) < aggregator.quorum

        await wait_until(lambda: enough() or hopeless(), self._for_rounds, self._waiting.give_up)
        if not enough():
            silent = sorted(self._invited - set(aggregator.confirmed) - set(self._declined))
            reasons = "; ".join(f"{silo}: {reason}" for silo, reason in sorted(self._declined.items()))
            raise PolicyError(
                f"{len(aggregator.confirmed)} silos confirmed the roster, {aggregator.quorum} must"
                + (f"; no word from {', '.join(silent)}" if silent else "")
                + (f"; {reasons}" if reasons else ""),
                hint="Start the missing silos, and run the aggregator again on the same state",
            )

    async def _check(self, aggregator: Aggregator) -> None:
        while True:
            try:
                await self._keeper.ask("check", aggregator.key_request())
                return
            except RoundVoided:
                raise
            except (PeerError, PolicyError) as error:
                party = error.party if isinstance(error, PeerError) else None
                if party in aggregator.received:
                    self._report(f"the keeper refuses {party}: {error.problem}")
                    aggregator.exclude(party, error.problem)
                elif not await self._more_arrived(aggregator, error.problem):
                    raise

    async def _more_arrived(self, aggregator: Aggregator, why: str) -> bool:
        """Wait for contributions beyond those at hand: too few, too nearly those of an earlier round, or not all of
        those that the keeper has answered for before a restart. Only more can help."""
        at_hand = aggregator.received

        def changed() -> bool:
            return aggregator.received != at_hand

        if self._wanted():
            self._report(f"{why}: waiting for {', '.join(sorted(self._wanted()))}")
            await wait_until(lambda: changed() or not self._wanted(), self._for_rounds, self._waiting.give_up)
        return changed()

    def _wanted(self) -> list[str]:
        return [silo for silo in self._invited if self._is_wanted(silo)]

    def _is_wanted(self, silo: str) -> bool:
        aggregator = self._running()
        if aggregator.is_awaited(silo):
            return True
        # One that was refused before this attempt was offered to it answered an earlier one, and may try again.
        return not aggregator.roster_is_closed and silo not in self._offered and silo not in aggregator.received

    # ------------------------------------------------------------------------------------------------------- questions

    def _for_invited(self, method: Method) -> Method:
        async def checked(silo: str, body: bytes) -> bytes | None:
            if silo not in self._invited:
                raise MessageRefused(f"{silo} is not invited to this job", hint="Ask the aggregator's operator")
            return await method(silo, body)

        return checked

    async def _invitation(self, silo: str, _: bytes) -> bytes:
        return self._enrolments.invite(silo)

    async def _enrol(self, silo: str, body: bytes) -> bytes:
        if self._enrolments.enrol(body) != silo:
            raise MessageRefused(f"{silo} brings the enrolment of another silo", hint="Enrol for yourself")
        self._report(f"{silo} enrolled")
        self._missing.discard(silo)
        await wake(self._for_rounds)
        return b""

    async def _job(self, _: str, __: bytes) -> bytes | None:
        await wait_until(lambda: self._signed_job is not None, self._for_silos, PATIENCE)
        return self._signed_job

    async def _consent(self, _: str, body: bytes) -> bytes:
        self._unsigned.discard(self._enrolments.consent(body))
        await wake(self._for_rounds)
        return b""

    async def _start(self, _: str, __: bytes) -> bytes | None:
        if not await wait_until(lambda: self._aggregator is not None, self._for_silos, PATIENCE):
            return None
        return parts.join([self._running().enrolled_job, self._model, self._provenance.parent])

    async def _next(self, silo: str, body: bytes) -> bytes | None:
        job, number = parts.split(body, 2)
        if len(number) != 8:
            raise MessageRefused(f"{silo} counts its rounds in {len(number)} bytes, not 8", hint="Check its version")
        done = int.from_bytes(number, "big")
        self._require_same_job(silo, job, done)
        if not await wait_until(lambda: self._has_news(silo, done), self._for_silos, PATIENCE):
            return None
        return self._news(silo, done)

    async def _contribute(self, silo: str, body: bytes) -> bytes:
        aggregator = self._running()
        number = self._rounds_done + 1
        try:
            if (arrived := aggregator.examine(silo, body)) is not None:
                # Proofs are verified beside each other, and while others are asked and answered.
                verified = asyncio.get_running_loop().run_in_executor(self._verify_in, arrived.verify)
                await asyncio.wait([verified])
                aggregator.admit(arrived, verified.result)
        finally:
            await wake(self._for_rounds)  # also of a refusal: the round may be waiting for nobody else
        self._on_received(number, silo, body)
        return b""

    async def _confirmation(self, silo: str, body: bytes) -> bytes:
        if self._proposal is not None:  # one that comes after the answer is late, and nothing else
            self._running().confirm(silo, body)
            await wake(self._for_rounds)
        return b""

    async def _decline(self, silo: str, body: bytes) -> bytes:
        reason = body.decode("utf-8", "replace")[:MOST_REASON]
        self._running().declined(silo, reason)
        self._declined[silo] = reason
        self._report(f"{silo} does not confirm the roster: {reason}")
        await wake(self._for_rounds)
        return b""

    async def _witness(self, silo: str, body: bytes) -> bytes:
        self._running()
        return b"" if self._cosigning is None else self._cosigning.register(silo, body)

    async def _checkpoint(self, silo: str, body: bytes) -> bytes:
        self._running()
        return b"" if self._cosigning is None else self._cosigning.request(silo, _size(silo, body))

    async def _cosign(self, silo: str, body: bytes) -> bytes:
        self._running()
        if self._cosigning is not None:
            size, lines = parts.split(body, 2)
            self._cosigning.take(silo, _size(silo, size), lines)
            await wake(self._for_rounds)
            if self._cosigning.has_quorum:
                await wake(self._for_silos)
        return b""

    async def _sign(self, silo: str, body: bytes) -> bytes:
        if self._statement is None:
            raise MessageRefused("there is no statement of provenance yet", hint="Ask for the next offer")
        self._provenance.signed(silo, body)
        self._report(f"{silo} signed the statement of provenance")
        return b""

    async def _object(self, silo: str, body: bytes) -> bytes:
        reason = body.decode("utf-8", "replace")[:MOST_REASON]
        self._provenance.objected(silo, reason)
        self._objected.add(silo)
        self._report(f"{silo} does not sign the statement of provenance: {reason}")
        return b""

    def _require_same_job(self, silo: str, job: bytes, done: int) -> None:
        if silo in self._missing or (self._aggregator is not None and job != self._job_digest):
            raise MessageRefused(f"{silo} is at another job", hint="Give it a new --state folder for this one")
        if self._aggregator is not None and done > self._rounds_done:
            raise MessageRefused(
                f"{silo} has {done} rounds, the aggregator only {self._rounds_done}: its state is an old copy",
                hint="Start a new job",
            )

    def _has_news(self, silo: str, done: int) -> bool:
        if self._aggregator is None:
            return False
        if done < self._rounds_done:
            return True
        if done >= self._rounds:  # a silo that has left cosigns and signs nothing more
            return self._statement is not None and (self._cosigning is None or self._cosigning.has_quorum)
        if self._proposal is not None:
            return self._is_to_confirm(silo)
        return self._offer is not None and self._is_wanted(silo)

    def _is_to_confirm(self, silo: str) -> bool:
        return silo not in self._declined and silo not in self._running().confirmed

    def _news(self, silo: str, done: int) -> bytes:
        if done < self._rounds_done:
            latest = self._latest
            finished = latest if latest and latest.number == done + 1 else self._running().finished(done + 1)
            assert finished is not None
            return _kind(b"result", finished.offer, finished.release, finished.result, finished.receipts.of(silo))
        if done >= self._rounds:
            assert self._statement is not None
            if not self._provenance.has_signed(silo) and silo not in self._objected:
                return _kind(b"provenance", self._statement)
            self._told.add(silo)
            return parts.join([b"done", parts.join([]) if self._cosigning is None else self._cosigning.final])
        assert self._offer is not None
        if self._proposal is not None:
            return _kind(b"confirm", self._offer, self._proposal, parts.join(self._running().voids))
        self._offered.add(silo)
        self._running().offered(silo)
        running = self._running()
        return _kind(b"offer", self._offer, parts.join(running.voids), running.void_receipts(silo))

    # --------------------------------------------------------------------------------------------------------- details

    def _running(self) -> Aggregator:
        if self._aggregator is None:
            raise MessageRefused("the job has not started", hint="Ask for `start` first")
        return self._aggregator

    def _limit(self) -> int:
        return SMALL + LARGEST_EXPANSION * (len(self._model) // 4)  # at least four bytes each


def _size(silo: str, body: bytes) -> int:
    if len(body) != 8:
        raise MessageRefused(f"{silo} gives a size in {len(body)} bytes, not 8", hint="Check its version")
    return int.from_bytes(body, "big")


def _kind(kind: bytes, *content: bytes) -> bytes:
    return parts.join([kind, parts.join(content)])
