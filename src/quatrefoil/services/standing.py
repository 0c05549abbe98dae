"""Where a job over channels stands, and what a silo that asks is therefore to do next.

What is asked at every turn is kept here: the machines read it from their state, and verify it. A silo is offered an
attempt until its contribution is in. One whose contribution was refused is offered it no more, unless what was refused
was sent before the attempt had been offered to it: an answer to an earlier one, come late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.federation.enrolment import Enrolments
from quatrefoil.federation.provenance import AggregatorProvenance
from quatrefoil.federation.publishing import FinishedRound


@dataclass
class Standing:
    """Written by whoever runs the rounds and by the answers to silos, in one event loop. The two conditions are woken
    apart, so that a contribution does not wake every waiting silo."""

    provenance: AggregatorProvenance
    rounds: int
    invited: frozenset[str]
    missing: set[str]
    unsigned: set[str]
    signed_job: bytes | None = None
    aggregator: Aggregator | None = None
    cosigning: Cosigning | None = None
    job_digest: bytes = b""
    rounds_done: int = 0
    latest: FinishedRound | None = None
    offer: bytes | None = None
    offered: set[str] = field(default_factory=set)
    sharing: bool = False
    """Whether members of a committee are to check their shares now."""
    proposal: bytes | None = None
    declined: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, tuple[bytes | None, str]] = field(default_factory=dict)
    """Silos that have said that they do nothing more about an offer, and why."""
    statement: bytes | None = None
    objected: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    """Silos that were told that the job is done."""
    informed: set[str] = field(default_factory=set)
    """Of those, the ones that have said goodbye."""
    for_silos: asyncio.Condition = field(default_factory=asyncio.Condition)
    for_rounds: asyncio.Condition = field(default_factory=asyncio.Condition)

    @classmethod
    def before(cls, enrolments: Enrolments, provenance: AggregatorProvenance, rounds: int) -> Standing:
        """Before the job is agreed."""
        invited = enrolments.invited
        return cls(provenance, rounds, invited, set(enrolments.missing()), set(invited))

    def running(self) -> Aggregator:
        """The aggregator of the job that has begun."""
        if self.aggregator is None:
            raise MessageRefused("the job has not started", hint="Ask for `start` first")
        return self.aggregator

    def wanted(self) -> list[str]:
        """Silos whose contributions to the current attempt are waited for."""
        return [silo for silo in self.invited if self.is_wanted(silo)]

    def is_wanted(self, silo: str) -> bool:
        """Whether a contribution of this silo to the current attempt is."""
        aggregator = self.running()
        if aggregator.is_awaited(silo):
            return True
        # One that was refused before this attempt was offered to it answered an earlier one, and may try again.
        return not aggregator.roster_is_closed and silo not in self.offered and silo not in aggregator.received

    def expected(self) -> list[str]:
        """Of those that are wanted, the ones that may still come: they have not said that they stopped."""
        return [silo for silo in self.wanted() if not self.is_stopped(silo)]

    def is_stopped(self, silo: str) -> bool:
        """Whether a silo has stopped at what is offered now."""
        return silo in self.stopped and self.stopped[silo][0] == self.offer

    def reasons(self, silos: Iterable[str]) -> str:
        """For the end of an error: why those of them stopped that have said so."""
        return "".join(f"; {silo} stopped: {self.stopped[silo][1]}" for silo in sorted(silos) if silo in self.stopped)

    def require_same_job(self, silo: str, job: bytes, done: int) -> None:
        """Refuse a silo that is at another job, or ahead of this one."""
        if silo in self.missing or (self.aggregator is not None and job != self.job_digest):
            raise MessageRefused(f"{silo} is at another job", hint="Give it a new --state folder for this one")
        if self.aggregator is not None and done > self.rounds_done:
            raise MessageRefused(
                f"{silo} has {done} rounds, the aggregator only {self.rounds_done}: its state is an old copy",
                hint="Start a new job",
            )

    def has_news(self, silo: str, done: int) -> bool:
        """Whether there is anything for a silo that has taken ``done`` rounds' results."""
        if self.aggregator is None:
            return False
        if done < self.rounds_done:
            return True
        if done >= self.rounds:  # a silo that has left cosigns and signs nothing more
            return self.statement is not None and (self.cosigning is None or self.cosigning.has_quorum)
        if self.aggregator.desk is not None and self._for_seat(silo) is not None:
            return True
        if self.proposal is not None:
            return self.is_to_confirm(silo)
        return self.offer is not None and self.is_wanted(silo)

    def is_to_confirm(self, silo: str) -> bool:
        """Whether the proposed roster is still to be confirmed by this silo."""
        aggregator = self.running()
        return aggregator.desk is None and silo not in self.declined and silo not in aggregator.confirmed

    def news(self, silo: str, done: int) -> bytes:
        """What such a silo is to do next, where there is anything: a kind and its parts."""
        if done < self.rounds_done:
            latest = self.latest
            finished = latest if latest and latest.number == done + 1 else self.running().finished(done + 1)
            assert finished is not None
            return _kind(b"result", finished.offer, finished.release, finished.result, finished.receipts.of(silo))
        if done >= self.rounds:
            assert self.statement is not None
            if not self.provenance.has_signed(silo) and silo not in self.objected:
                return _kind(b"provenance", self.statement)
            self.told.add(silo)
            return parts.join([b"done", parts.join([]) if self.cosigning is None else self.cosigning.final])
        if (seat := self._for_seat(silo)) is not None:
            kind, request = seat
            return _kind(kind, *request())
        assert self.offer is not None
        if self.proposal is not None:
            return _kind(b"confirm", self.offer, self.proposal, parts.join(self.running().voids))
        self.offered.add(silo)
        self.running().offered(silo)
        running = self.running()
        return _kind(b"offer", self.offer, parts.join(running.voids), running.void_receipts(silo))

    def _for_seat(self, silo: str) -> tuple[bytes, Callable[[], tuple[bytes, ...]]] | None:
        """What a silo is to do as a member of the committee, or as a dealer that is complained of: a kind, and what
        gives its content. None where there is nothing."""
        desk = self.running().desk
        if desk is None:
            return None
        if desk.opening.wants_key(silo):
            return b"key", lambda: (desk.opening.request,)
        if desk.voids.request is not None:
            void = desk.voids.request
            return (b"void", lambda: (desk.opening.offer(), void)) if desk.voids.wants(silo) else None
        offer, proposal = self.offer, self.proposal
        if offer is None or not self.sharing:
            return None
        if desk.shares.is_complained_of(silo):
            return b"show", lambda: (offer, desk.shares.complaints(silo))
        if desk.shares.wants_report(silo):
            return b"shares", lambda: (offer, desk.shares.request(silo))
        if proposal is not None and desk.answers.wants(silo):
            return b"answer", lambda: (offer, desk.answers.request(silo, proposal))
        return None


def _kind(kind: bytes, *content: bytes) -> bytes:
    return parts.join([kind, parts.join(content)])


__all__ = ["Standing"]
