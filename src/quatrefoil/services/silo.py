"""A silo as a service: it connects out to the aggregator, and goes on after any lost connection.

What it sends of a round is its ``Work``: a trained update, or what the silo of an upper job adds (``upper_link``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import (
    CiphertextRefused,
    EvidenceRejected,
    HostError,
    MessageRefused,
    PeerUnreachable,
    PolicyError,
    ProofRejected,
    RoundVoided,
    StateAway,
)
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import MOST_ATTEMPTS
from quatrefoil.federation.messages import RoundContext
from quatrefoil.federation.provenance import SiloProvenance
from quatrefoil.federation.refusals import LONGEST_REASON
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.vectors import Arrays
from quatrefoil.federation.witnessing import SiloWitness
from quatrefoil.services.rpc import FIRST_PAUSE, LARGEST_EXPANSION, Asking, ask, jittered, longer
from quatrefoil.services.seat import KINDS, Seat
from quatrefoil.services.vitals import Vitals
from quatrefoil.services.waiting import Rests
from quatrefoil.wire import LARGEST_MESSAGE

MOST_TURNS = 16 * MOST_ATTEMPTS
"""Things that an aggregator gives a silo to do between two results: many more than it has for all attempts at a round.
Each may leave an entry in the silo's log."""

Train = Callable[[Arrays], Sequence[NDArray[np.floating]]]


class Work(Protocol):
    """What one silo does differently from another."""

    def consent(self, signed_job: bytes) -> bytes:
        """A consent to the job, or what is raised."""

    def begin(self) -> None:
        """The job has begun, perhaps before a restart."""

    def contribute(self, context: RoundContext, offer: bytes, voids: Sequence[bytes]) -> bytes | None:
        """The message for an attempt; None where there is none yet, and the aggregator is to be asked again."""

    def accept(self, offer: bytes, release: bytes, result: bytes, receipts: bytes) -> None:
        """Take the result of the round that is next."""

    def end(self) -> None:
        """The job is over; nothing has been said of that to the aggregator yet."""


class Training:
    """The work of a silo with data."""

    def __init__(self, silo: Silo, train: Train) -> None:
        self._silo = silo
        self._train = train

    def consent(self, signed_job: bytes) -> bytes:
        return self._silo.consent(signed_job)

    def begin(self) -> None:
        pass

    def contribute(self, context: RoundContext, offer: bytes, voids: Sequence[bytes]) -> bytes | None:  # noqa: ARG002
        return self._silo.contribute(offer, self._train(self._silo.model), voids)

    def accept(self, offer: bytes, release: bytes, result: bytes, receipts: bytes) -> None:
        self._silo.accept(offer, release, result, receipts)

    def end(self) -> None:
        pass


@dataclass(frozen=True)
class Finished:
    """What a silo has after the last round: the model, and the group and peer of its channel. ``upper``: the digest of
    the job that its job's sums went up to, empty for none."""

    model: Arrays
    rounds: int
    group: str
    peer: str
    upper: bytes = b""


class SiloService:
    """Drives a :class:`Silo` over channels that ``dial`` makes; ``give_up``: seconds without the aggregator."""

    def __init__(
        self,
        silo: Silo,
        provenance: SiloProvenance,
        dial: Callable[[], Asking],
        *,
        witness: SiloWitness | None,
        give_up: float,
        report: Callable[[str], None],
        vitals: Vitals | None = None,
        whom: str = "the aggregator",
    ) -> None:
        """``witness``: cosigns the aggregator's log after every round; None in a job whose policy asks for none.
        ``whom``: how reports and errors call who is asked."""
        self._silo = silo
        self._witness = witness
        self._provenance = provenance
        self._dial = dial
        self._give_up = give_up
        self._report = report
        self._vitals = vitals or Vitals("silo")
        self._vitals.check("aggregator", lambda: self.problem)
        self._whom = whom
        self._problem: str | None = "it has not been asked yet"
        self._channel: Asking | None = None
        self._seat = Seat(silo, self._ask, report)
        self._peer = ("", "")
        self._begun: set[str] = set()
        self._turns = (0, 0)
        """Rounds done, and how often this silo has asked since then what is next."""

    def run(self, train: Train) -> Finished:
        """Enrol, then train and send every round until the aggregator says that the job is done."""
        return self.drive(Training(self._silo, train))

    def drive(self, work: Work) -> Finished:
        """:meth:`run` for other work than training.

        While its state is away it begins again from what is stored, for as long as it waits for the aggregator.
        """
        rests = Rests(self._give_up)
        while True:
            try:
                return self._run(work, rests)
            except StateAway as away:
                self._report(f"{away.problem}: going on from what is stored, once it is back")
                time.sleep(rests.next(away))

    def _run(self, work: Work, rests: Rests) -> Finished:
        try:
            self._join(work)
            job = self._silo.job.digest()
            while True:
                kind, content = self._next(job)
                if kind == b"done":
                    self._check_end(content)
                    work.end()
                    return Finished(self._silo.model, self._silo.rounds_done, *self._peer, self._silo.job.upper)
                if kind == b"result":
                    work.accept(*parts.split(content, 4))
                    self._vitals.count("rounds_finished")
                    rests.over()
                    self._report(f"round {self._silo.rounds_done}: result accepted")
                    self._cosign()
                elif kind == b"offer":
                    offer, voids, receipts = parts.split(content, 3)
                    known = parts.split_list(voids, MOST_ATTEMPTS)
                    self._silo.take_void_receipts(receipts, known)
                    if not self._contribute(offer, known, work):
                        self._turns = (self._turns[0], self._turns[1] - 1)  # its own to wait for, and logged by nobody
                elif kind == b"confirm":
                    offer, proposal, voids = parts.split(content, 3)
                    self._confirm(offer, proposal, parts.split_list(voids, MOST_ATTEMPTS))
                elif kind in KINDS:
                    self._seat.take(kind, content)
                elif kind == b"provenance":
                    self._sign(*parts.split(content, 1))
                else:
                    raise MessageRefused(f"the aggregator sent {kind[:20]!r}", hint="Check its version")
        finally:
            self._close()

    def _join(self, work: Work) -> None:
        if not self._silo.started:
            self._ask("enrol", self._silo.enrol(self._ask("invitation")))
            self._report_once("enrolled; waiting for the other silos")
            self._ask("consent", work.consent(self._ask("job")))
            job, model, parent = parts.split(self._ask("start"), 3)
            self._provenance.begin(job, model, parent)
            self._silo.start(job, model)
        work.begin()
        goes_up = f"; its sums go up to job {self._silo.job.upper.hex()[:16]}" if self._silo.job.upper else ""
        self._report_once(f"job {self._silo.job.name}: started{goes_up}")
        if self._witness is not None:
            self._witness.meet(self._ask("witness", self._witness.statement), self._silo.job.aggregator.name)
            self._cosign()

    def _report_once(self, text: str) -> None:
        """Carried by messages, a silo begins anew with each of them; an operator is told of a beginning once."""
        if text not in self._begun:
            self._begun.add(text)
            self._report(text)

    def _next(self, job: bytes) -> list[bytes]:
        """Kind and content of what the aggregator gives this silo to do."""
        done = self._silo.rounds_done
        self._turns = (done, self._turns[1] + 1 if self._turns[0] == done else 1)
        if self._turns[1] > MOST_TURNS:
            raise MessageRefused(
                f"aggregator {self._peer[1]} gave this silo {MOST_TURNS} things to do after round {done} and no result",
                hint="Ask its operator; started again on its state, this silo goes on where it was",
                party=self._peer[1],
            )
        return parts.split(self._ask("next", parts.join([job, done.to_bytes(8, "big")])), 2)

    def _cosign(self) -> None:
        """Verify that the aggregator's log continues the one that was cosigned before, and cosign it."""
        if self._witness is None or not self._witness.follows:
            return
        request = self._ask("checkpoint", self._witness.size.to_bytes(8, "big"))
        if request:
            lines = self._witness.cosign(request)
            self._ask("cosign", parts.join([self._witness.size.to_bytes(8, "big"), lines]))

    def _check_end(self, final: bytes) -> None:
        if self._witness is not None and self._witness.follows:
            names = self._witness.require_quorum(final, self._silo.job)
            self._report(f"the aggregator's log at the end of the job is cosigned by {', '.join(names)}")

    def _contribute(self, offer: bytes, voids: Sequence[bytes], work: Work) -> bool:
        """Whether there is a message for this attempt already."""
        context = self._silo.check_offer(offer, voids)
        message = self._silo.recorded(context)
        if message is None:
            message = work.contribute(context, offer, voids)
        if message is None:
            return False
        try:
            self._ask("contribute", message)
            self._silo.acknowledged(context)
            self._report(f"round {context.round}: sent {len(message):,} bytes, encrypted")
        except (MessageRefused, CiphertextRefused, ProofRejected, RoundVoided) as error:
            # The attempt may have ended meanwhile; what comes next says so. A lasting refusal shows in the log.
            self._report(f"round {context.round}: the aggregator refused the contribution ({error.problem})")
        return True

    def _confirm(self, offer: bytes, proposal: bytes, voids: Sequence[bytes]) -> None:
        try:
            confirmation = self._silo.confirm(offer, proposal, voids)
        except (MessageRefused, PolicyError) as error:
            self._report(f"refused to confirm a roster: {error.problem}")
            self._ask("decline", error.problem.encode()[:LONGEST_REASON])
            return
        try:
            self._ask("confirm", confirmation)
        except (MessageRefused, RoundVoided) as error:
            self._report(f"the aggregator refused the confirmation ({error.problem})")

    def _sign(self, envelope: bytes) -> None:
        try:
            signature = self._provenance.sign(envelope, self._silo.job, self._silo.model)
        except (MessageRefused, EvidenceRejected) as error:
            self._report(f"refused to sign the statement of provenance: {error.problem}")
            self._ask("object", error.problem.encode()[:LONGEST_REASON])
            return
        try:
            self._ask("sign", signature)
            self._report("signed the statement of provenance")
        except (MessageRefused, EvidenceRejected) as error:
            self._report(f"the aggregator refused the signature ({error.problem})")
            self._ask("object", b"its signature was refused")

    @property
    def problem(self) -> str | None:
        """Why the aggregator cannot be asked now, as far as the last question has seen; None while it can."""
        return self._problem

    def _ask(self, method: str, body: bytes = b"") -> bytes:
        """The answer, asked for again until there is one; ``HostError`` after ``give_up`` seconds of silence."""
        end, pause = time.monotonic() + self._give_up, FIRST_PAUSE
        while True:
            try:
                answer = ask(self._connected(), method, body, limit=self._limit())
                self._problem = None
                self._vitals.count("asked", method, "wait" if answer is None else "ok")
                if answer is not None:
                    return answer
                end, pause = time.monotonic() + self._give_up, FIRST_PAUSE
            except PeerUnreachable as error:
                self._problem = error.problem
                self._vitals.count("asked", method, "away")
                self._close()
                if time.monotonic() > end:
                    raise HostError(
                        f"{self._whom} does not answer ({error.problem})", hint="Ask its operator"
                    ) from None
                if pause == FIRST_PAUSE:
                    self._report(f"{self._whom} does not answer ({error.problem}): trying again")
                time.sleep(jittered(pause))
                pause = longer(pause)

    def _connected(self) -> Asking:
        if self._channel is None or self._channel.due:
            fresh = self._dial()
            self._close()  # between two questions, so that none is lost
            self._channel, self._peer = fresh, (fresh.group, fresh.peer.name)
        return self._channel

    def _limit(self) -> int:
        return LARGEST_MESSAGE + LARGEST_EXPANSION * self._silo.length

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
