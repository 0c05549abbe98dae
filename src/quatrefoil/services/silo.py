"""A silo as a service: it connects out to the aggregator, and goes on after any lost connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

MOST_VOIDS = 1 << 10
"""Attempts at one round, over all restarts of the aggregator."""


Train = Callable[[Arrays], Sequence[NDArray[np.floating]]]


@dataclass(frozen=True)
class Finished:
    """What a silo has after the last round: the model, and the group and peer of its channel."""

    model: Arrays
    rounds: int
    group: str
    peer: str


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
    ) -> None:
        """``witness``: cosigns the aggregator's log after every round; None in a job whose policy asks for none."""
        self._silo = silo
        self._witness = witness
        self._provenance = provenance
        self._dial = dial
        self._give_up = give_up
        self._report = report
        self._vitals = vitals or Vitals("silo")
        self._vitals.check("aggregator", lambda: self._problem)
        self._problem: str | None = "it has not been asked yet"
        self._channel: Asking | None = None
        self._seat = Seat(silo, self._ask, report)
        self._peer = ("", "")

    def run(self, train: Train) -> Finished:
        """Enrol, then train and send every round until the aggregator says that the job is done.

        While its state is away it begins again from what is stored, for as long as it waits for the aggregator.
        """
        rests = Rests(self._give_up)
        while True:
            try:
                return self._run(train, rests)
            except StateAway as away:
                self._report(f"{away.problem}: going on from what is stored, once it is back")
                time.sleep(rests.next(away))

    def _run(self, train: Train, rests: Rests) -> Finished:
        try:
            self._join()
            job = self._silo.job.digest()
            while True:
                done = self._silo.rounds_done.to_bytes(8, "big")
                kind, content = parts.split(self._ask("next", parts.join([job, done])), 2)
                if kind == b"done":
                    self._check_end(content)
                    return Finished(self._silo.model, self._silo.rounds_done, *self._peer)
                if kind == b"result":
                    self._silo.accept(*parts.split(content, 4))
                    self._vitals.count("rounds_finished")
                    rests.over()
                    self._report(f"round {self._silo.rounds_done}: result accepted")
                    self._cosign()
                elif kind == b"offer":
                    offer, voids, receipts = parts.split(content, 3)
                    known = parts.split_list(voids, MOST_VOIDS)
                    self._silo.take_void_receipts(receipts, known)
                    self._contribute(offer, known, train)
                elif kind == b"confirm":
                    offer, proposal, voids = parts.split(content, 3)
                    self._confirm(offer, proposal, parts.split_list(voids, MOST_VOIDS))
                elif kind in KINDS:
                    self._seat.take(kind, content)
                elif kind == b"provenance":
                    self._sign(*parts.split(content, 1))
                else:
                    raise MessageRefused(f"the aggregator sent {kind[:20]!r}", hint="Check its version")
        finally:
            self._close()

    def _join(self) -> None:
        if not self._silo.started:
            self._ask("enrol", self._silo.enrol(self._ask("invitation")))
            self._report("enrolled; waiting for the other silos")
            self._ask("consent", self._silo.consent(self._ask("job")))
            job, model, parent = parts.split(self._ask("start"), 3)
            self._provenance.begin(job, model, parent)
            self._silo.start(job, model)
        self._report(f"job {self._silo.job.name}: started")
        if self._witness is not None:
            self._witness.meet(self._ask("witness", self._witness.statement), self._silo.job.aggregator.name)
            self._cosign()

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

    def _contribute(self, offer: bytes, voids: Sequence[bytes], train: Train) -> None:
        context = self._silo.check_offer(offer, voids)
        message = self._silo.recorded(context)
        if message is None:
            message = self._silo.contribute(offer, train(self._silo.model), voids)
        try:
            self._ask("contribute", message)
            self._silo.acknowledged(context)
            self._report(f"round {context.round}: sent {len(message):,} bytes, encrypted")
        except (MessageRefused, CiphertextRefused, ProofRejected, RoundVoided) as error:
            # The attempt may have ended meanwhile; what comes next says so. A lasting refusal shows in the log.
            self._report(f"round {context.round}: the aggregator refused the contribution ({error.problem})")

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
                        f"the aggregator does not answer ({error.problem})", hint="Ask its operator"
                    ) from None
                if pause == FIRST_PAUSE:
                    self._report(f"the aggregator does not answer ({error.problem}): trying again")
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
