"""The aggregator as a service: silos connect out to it and ask (``questions``); it connects out to the keeper."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor

from quatrefoil.errors import MessageRefused, PeerError, PolicyError, RoundVoided, StateAway
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.federation.enrolment import Enrolments
from quatrefoil.federation.provenance import AggregatorProvenance
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.services.keeper_link import KeeperLink
from quatrefoil.services.key_authorities import CommitteeAuthority, KeeperAuthority, KeyAuthority
from quatrefoil.services.questions import Questions
from quatrefoil.services.rpc import Asked, OnRefused
from quatrefoil.services.standing import Standing
from quatrefoil.services.upper_link import UpperLink
from quatrefoil.services.vitals import Vitals
from quatrefoil.services.waiting import Rests, Waiting, wait_until, wake

MOST_ATTEMPTS = 16


class AggregatorService:
    """Enrols silos, then runs the rounds of the job, and goes on until the silos have taken the last result.

    ``verify_in``: threads in which proofs are verified as they arrive, and a committee's answers put together.
    ``keeper``: None exactly where the job has a committee. ``upper``: where the sums go of a job that is a group's.
    """

    def __init__(
        self,
        enrolments: Enrolments,
        make_aggregator: Callable[[AgreedJob], Aggregator],
        model: bytes,
        provenance: AggregatorProvenance,
        *,
        make_cosigning: Callable[[AgreedJob], Cosigning] | None,
        keeper: KeeperLink | None,
        verify_in: Executor,
        rounds: int,
        waiting: Waiting,
        on_received: Callable[[int, str, bytes], None],
        on_refused: OnRefused,
        report: Callable[[str], None],
        vitals: Vitals | None = None,
        upper: UpperLink | None = None,
    ) -> None:
        self._upper = upper
        self._enrolments = enrolments
        self._make_aggregator = make_aggregator
        self._make_cosigning = make_cosigning
        self._waiting = waiting
        self._report = report
        self._standing = Standing.before(enrolments, provenance, rounds)
        self._keys: KeyAuthority = (
            CommitteeAuthority(self._standing, waiting, verify_in) if keeper is None else KeeperAuthority(keeper)
        )
        self._vitals = vitals or Vitals("aggregator")
        if keeper is not None:
            self._vitals.check("keeper", keeper.problem)
        self._vitals.gauge("rounds", "Rounds of the job", lambda: self._standing.rounds)
        self._vitals.gauge("rounds_done", "Rounds of the job that are done", lambda: self._standing.rounds_done)
        self._questions = Questions(
            self._standing,
            enrolments,
            model,
            verify_in=verify_in,
            on_received=on_received,
            on_refused=on_refused,
            report=report,
            vitals=self._vitals,
        )
        self.round_ms: dict[int, float] = {}
        """Wall-clock milliseconds of each round that this process ran, attempts and waiting included."""

    @property
    def standing(self) -> Standing:
        """Where the job stands, for whoever carries questions in other ways than channels; read only."""
        return self._standing

    async def handle(self, channel: Asked) -> None:
        """Serve one connected silo until it leaves."""
        await self._questions.handle(channel)

    async def run(self) -> Aggregator:
        """All rounds of the job; returns when every silo has been told, or after a while of waiting for that.
        Silos that had been told before a restart have left, and are not waited for.

        While its state is away it begins again from what is stored, as a new process would, for as long as it waits for
        silos.
        """
        rests = Rests(self._waiting.give_up)
        try:
            while True:
                try:
                    return await self._run(rests)
                except StateAway as away:
                    # Nothing is open meanwhile: a silo that asks waits, and is not refused.
                    self._standing.offer = self._standing.proposal = None
                    self._report(f"{away.problem}: going on from what is stored, once it is back")
                    await asyncio.sleep(rests.next(away))
        finally:
            await self._keys.close()

    async def _run(self, rests: Rests) -> Aggregator:
        job = await self._agree()
        aggregator = self._begin(job)
        await wake(self._standing.for_silos)
        while self._standing.rounds_done < self._standing.rounds:
            begin = time.perf_counter()
            finished = await self._round(aggregator)
            rests.over()
            self._vitals.count("rounds_finished")
            self.round_ms[finished.number] = (time.perf_counter() - begin) * 1e3
            self._report(f"round {finished.number}/{self._standing.rounds}: {len(finished.contributors)} silos added")
        self._state_provenance(aggregator)
        await self._await_quorum()
        await wake(self._standing.for_silos)
        await wait_until(
            lambda: self._standing.informed >= self._standing.invited,
            self._standing.for_rounds,
            self._waiting.deadline,
        )
        return aggregator

    # ---------------------------------------------------------------------------------------------------- the rounds

    async def _agree(self) -> AgreedJob:
        if self._upper is not None:  # silos enrol meanwhile; where the link upward has failed there is no job for them
            self._enrolments.go_up(await self._upper.digest())
        if not await wait_until(lambda: not self._standing.missing, self._standing.for_rounds, self._waiting.give_up):
            raise PolicyError(
                f"the job was not agreed in time: missing {', '.join(sorted(self._standing.missing))}"
                + self._standing.reasons(self._standing.missing),
                hint="Start the silos that are missing",
            )
        self._standing.signed_job = self._enrolments.job()
        self._standing.unsigned = set(self._enrolments.unsigned())
        await wake(self._standing.for_silos)
        if not await wait_until(lambda: not self._standing.unsigned, self._standing.for_rounds, self._waiting.give_up):
            raise PolicyError(
                f"the job was not agreed in time: no consent of {', '.join(sorted(self._standing.unsigned))}"
                + self._standing.reasons(self._standing.unsigned),
                hint="See in their output what they refuse",
            )
        job = self._enrolments.agreed()
        assert job is not None
        self._report(f"job {job.job.name}: agreed and signed by {len(job.job.roster)} silos")
        return job

    def _begin(self, job: AgreedJob) -> Aggregator:
        aggregator = self._make_aggregator(job)
        if self._upper is not None:
            self._upper.require(aggregator)
        self._standing.job_digest = job.digest
        self._standing.rounds_done = aggregator.rounds_done
        if self._make_cosigning is not None:
            self._standing.cosigning = self._make_cosigning(job)
            self._standing.cosigning.begin(aggregator.rounds_done)
        self._standing.aggregator = aggregator
        self._standing.informed |= aggregator.gone
        return aggregator

    def _state_provenance(self, aggregator: Aggregator) -> None:
        self._standing.provenance.make(aggregator.job, aggregator.model)
        self._standing.statement = self._standing.provenance.own().encode()

    async def _round(self, aggregator: Aggregator) -> FinishedRound:
        for _ in range(MOST_ATTEMPTS):
            try:
                offer = await self._keys.open(aggregator)
                aggregator.opened(offer)
                self._standing.offered.clear()
                self._standing.offer = offer
                await wake(self._standing.for_silos)
                await self._gather(aggregator)
                await self._propose(aggregator)
                if aggregator.desk is None:  # a committee's members answer once, and confirm nothing before
                    await self._confirm(aggregator)
                finished = await self._finish(aggregator, await self._keys.answer(aggregator))
                if (
                    finished.number == self._standing.rounds
                ):  # before the last checkpoint that is cosigned, which covers it
                    self._state_provenance(aggregator)
                if self._standing.cosigning is not None:
                    self._standing.cosigning.begin(finished.number)
                self._standing.offer = self._standing.proposal = None
                self._standing.latest = finished
                self._standing.rounds_done = finished.number
                await wake(self._standing.for_silos)
                return finished
            except RoundVoided as void:
                self._standing.offer = self._standing.proposal = None
                self._report(f"{void.problem}: trying again")
                self._vitals.count("attempts_voided")
                aggregator.voided(await self._keys.void(aggregator, void.problem))
        raise PolicyError(
            f"a round was voided {MOST_ATTEMPTS} times", hint="Look at the keeper: it restarts in every round"
        )

    async def _finish(self, aggregator: Aggregator, answer: bytes) -> FinishedRound:
        if self._upper is None:
            return aggregator.finish(answer)
        return await self._upper.finish(aggregator, aggregator.open_sum(answer))

    async def _await_quorum(self) -> None:
        cosigning = self._standing.cosigning
        if cosigning is None:
            return
        if not cosigning.has_quorum:
            self._report("waiting for the witnesses of the log")
        await wait_until(lambda: cosigning.has_quorum, self._standing.for_rounds, self._waiting.give_up)
        cosigning.require_quorum()

    async def _gather(self, aggregator: Aggregator) -> None:
        minimum = aggregator.minimum_silos

        def all_there() -> bool:
            return not self._standing.expected()

        if not await wait_until(all_there, self._standing.for_rounds, self._waiting.deadline):

            def enough() -> bool:
                return len(aggregator.received) >= minimum or all_there()

            await wait_until(enough, self._standing.for_rounds, self._waiting.give_up)
        received = aggregator.received
        missing = ", ".join(sorted(self._standing.invited - set(received)))
        if len(received) < minimum:
            raise PolicyError(
                f"{len(received)} of at least {minimum} silos contributed in time; missing {missing}"
                + self._standing.reasons(self._standing.invited - set(received)),
                hint="Mend what they say, and run the aggregator again on the same state",
            )
        if missing:
            self._report(f"going on without {missing}")

    async def _propose(self, aggregator: Aggregator) -> None:
        """Close the roster, once the keeper can use every key in it."""
        while True:
            await self._check(aggregator)
            try:
                self._standing.proposal = aggregator.propose()
                return
            except MessageRefused as error:
                if not await self._more_arrived(aggregator, error.problem):
                    raise RoundVoided(error.problem, hint="Try the next attempt") from None

    async def _confirm(self, aggregator: Aggregator) -> None:
        """Gather the confirmations of the roster: a quorum, or everybody who comes before the deadline."""
        self._standing.declined.clear()
        await wake(self._standing.for_silos)

        def enough() -> bool:
            return len(aggregator.confirmed) >= aggregator.quorum

        def hopeless() -> bool:
            stopped = {silo for silo in self._standing.invited if self._standing.is_stopped(silo)}
            gone = (stopped | set(self._standing.declined)) - set(aggregator.confirmed)
            return len(self._standing.invited) - len(gone) < aggregator.quorum

        await wait_until(lambda: enough() or hopeless(), self._standing.for_rounds, self._waiting.give_up)
        if not enough():
            heard = {*aggregator.confirmed, *self._standing.declined, *self._standing.stopped}
            silent = sorted(self._standing.invited - heard)
            reasons = "; ".join(f"{silo}: {reason}" for silo, reason in sorted(self._standing.declined.items()))
            raise PolicyError(
                f"{len(aggregator.confirmed)} silos confirmed the roster, {aggregator.quorum} must"
                + (f"; no word from {', '.join(silent)}" if silent else "")
                + (f"; {reasons}" if reasons else "")
                + self._standing.reasons(self._standing.invited - set(aggregator.confirmed)),
                hint="Start the missing silos, and run the aggregator again on the same state",
            )

    async def _check(self, aggregator: Aggregator) -> None:
        while True:
            try:
                await self._keys.check(aggregator)
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

        if self._standing.expected():
            self._report(f"{why}: waiting for {', '.join(sorted(self._standing.expected()))}")
            await wait_until(
                lambda: changed() or not self._standing.expected(), self._standing.for_rounds, self._waiting.give_up
            )
        return changed()
