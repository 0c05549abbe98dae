"""What silos ask of an aggregator, each question with its answer.

Silos poll with long questions: an answer comes as soon as there is one, or ``wait`` after ``PATIENCE`` seconds. Every
question can be asked again after a lost connection without changing anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

from quatrefoil.errors import MessageRefused, StateAway
from quatrefoil.federation import parts
from quatrefoil.federation.enrolment import Enrolments
from quatrefoil.federation.refusals import LONGEST_REASON
from quatrefoil.services.member_questions import MemberQuestions
from quatrefoil.services.rpc import LARGEST_EXPANSION, SMALL, Asked, Method, OnRefused, answer_all
from quatrefoil.services.standing import Standing
from quatrefoil.services.vitals import Vitals, watched
from quatrefoil.services.waiting import wait_until, wake

PATIENCE = 20.0
LARGEST_SHARE = 1 << 16
"""Bytes that it may have for each member of a committee: a sealed share of one block of the key."""


class Questions:
    """Answers for one job. ``model``: its first one, as bytes; ``verify_in``: threads in which proofs are verified."""

    def __init__(
        self,
        standing: Standing,
        enrolments: Enrolments,
        model: bytes,
        *,
        verify_in: Executor,
        on_received: Callable[[int, str, bytes], None],
        on_refused: OnRefused,
        report: Callable[[str], None],
        vitals: Vitals,
    ) -> None:
        self._standing = standing
        self._enrolments = enrolments
        self._model = model
        self._verify_in = verify_in
        self._on_received = on_received
        self._on_refused = on_refused
        self._report = report
        self._vitals = vitals

    async def handle(self, channel: Asked) -> None:
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
        methods |= MemberQuestions(self._standing, self._report).methods
        silo = channel.peer.name
        checked = watched({name: self._for_invited(method) for name, method in methods.items()}, self._vitals)
        await answer_all(channel, checked, limit=self._limit, on_refused=self._on_refused)
        if silo in self._standing.told and channel.closed_by_peer:
            # It has read that the job is done, and has said goodbye.
            self._standing.informed.add(silo)
            with suppress(StateAway):  # not remembered: after a restart it is waited for
                self._standing.running().left(silo)
            await wake(self._standing.for_rounds)

    def _for_invited(self, method: Method) -> Method:
        async def checked(silo: str, body: bytes) -> bytes | None:
            if silo not in self._standing.invited:
                raise MessageRefused(f"{silo} is not invited to this job", hint="Ask the aggregator's operator")
            return await method(silo, body)

        return checked

    async def _invitation(self, silo: str, _: bytes) -> bytes:
        return self._enrolments.invite(silo)

    async def _enrol(self, silo: str, body: bytes) -> bytes:
        if self._enrolments.enrol(body) != silo:
            raise MessageRefused(f"{silo} brings the enrolment of another silo", hint="Enrol for yourself")
        self._report(f"{silo} enrolled")
        self._standing.missing.discard(silo)
        await wake(self._standing.for_rounds)
        return b""

    async def _job(self, _: str, __: bytes) -> bytes | None:
        await wait_until(lambda: self._standing.signed_job is not None, self._standing.for_silos, PATIENCE)
        return self._standing.signed_job

    async def _consent(self, _: str, body: bytes) -> bytes:
        self._standing.unsigned.discard(self._enrolments.consent(body))
        await wake(self._standing.for_rounds)
        return b""

    async def _start(self, _: str, __: bytes) -> bytes | None:
        if not await wait_until(lambda: self._standing.aggregator is not None, self._standing.for_silos, PATIENCE):
            return None
        return parts.join([self._standing.running().enrolled_job, self._model, self._standing.provenance.parent])

    async def _next(self, silo: str, body: bytes) -> bytes | None:
        job, number = parts.split(body, 2)
        if len(number) != 8:
            raise MessageRefused(f"{silo} counts its rounds in {len(number)} bytes, not 8", hint="Check its version")
        done = int.from_bytes(number, "big")
        self._standing.require_same_job(silo, job, done)
        if not await wait_until(lambda: self._standing.has_news(silo, done), self._standing.for_silos, PATIENCE):
            return None
        return self._standing.news(silo, done)

    async def _contribute(self, silo: str, body: bytes) -> bytes:
        aggregator = self._standing.running()
        number = self._standing.rounds_done + 1
        try:
            if (arrived := aggregator.examine(silo, body)) is not None:
                # Proofs are verified beside each other, and while others are asked and answered.
                verified = asyncio.get_running_loop().run_in_executor(self._verify_in, arrived.verify)
                await asyncio.wait([verified])
                aggregator.admit(arrived, verified.result)
        finally:
            await wake(self._standing.for_rounds)  # also of a refusal: the round may be waiting for nobody else
        self._on_received(number, silo, body)
        return b""

    async def _confirmation(self, silo: str, body: bytes) -> bytes:
        if self._standing.proposal is not None:  # one that comes after the answer is late, and nothing else
            self._standing.running().confirm(silo, body)
            await wake(self._standing.for_rounds)
        return b""

    async def _decline(self, silo: str, body: bytes) -> bytes:
        reason = body.decode("utf-8", "replace")[:LONGEST_REASON]
        self._standing.running().declined(silo, reason)
        self._standing.declined[silo] = reason
        self._report(f"{silo} does not confirm the roster: {reason}")
        await wake(self._standing.for_rounds)
        return b""

    async def _witness(self, silo: str, body: bytes) -> bytes:
        self._standing.running()
        return b"" if self._standing.cosigning is None else self._standing.cosigning.register(silo, body)

    async def _checkpoint(self, silo: str, body: bytes) -> bytes:
        self._standing.running()
        return b"" if self._standing.cosigning is None else self._standing.cosigning.request(silo, _size(silo, body))

    async def _cosign(self, silo: str, body: bytes) -> bytes:
        self._standing.running()
        if self._standing.cosigning is not None:
            size, lines = parts.split(body, 2)
            self._standing.cosigning.take(silo, _size(silo, size), lines)
            await wake(self._standing.for_rounds)
            if self._standing.cosigning.has_quorum:
                await wake(self._standing.for_silos)
        return b""

    async def _sign(self, silo: str, body: bytes) -> bytes:
        if self._standing.statement is None:
            raise MessageRefused("there is no statement of provenance yet", hint="Ask for the next offer")
        self._standing.provenance.signed(silo, body)
        self._report(f"{silo} signed the statement of provenance")
        return b""

    async def _object(self, silo: str, body: bytes) -> bytes:
        reason = body.decode("utf-8", "replace")[:LONGEST_REASON]
        self._standing.provenance.objected(silo, reason)
        self._standing.objected.add(silo)
        self._report(f"{silo} does not sign the statement of provenance: {reason}")
        return b""

    def _limit(self) -> int:
        aggregator = self._standing.aggregator
        members = 0 if aggregator is None else len(aggregator.job.members)
        return SMALL + LARGEST_EXPANSION * (len(self._model) // 4) + LARGEST_SHARE * members  # at least four bytes each


def _size(silo: str, body: bytes) -> int:
    if len(body) != 8:
        raise MessageRefused(f"{silo} gives a size in {len(body)} bytes, not 8", hint="Check its version")
    return int.from_bytes(body, "big")


__all__ = ["PATIENCE", "Questions"]
