"""The aggregator: adds ciphertexts, asks the keeper for the key of their sum, publishes the mean.

It is trusted with nothing but availability: what it receives of one silo is a ciphertext. It can publish a wrong mean,
which every silo would take; docs/protocol.md and SECURITY.md say so.

Rules (docs/protocol.md, "The aggregator"):

1. One contribution a silo and attempt. A second, different one is refused, and the first stays.
2. Who delivers a contribution is who the channel says it is; nobody can have another silo refused.
3. A refusal names the silo, is logged, and stops nobody else.
4. The sum is over exactly the contributors of the keeper's answer: ``sums``.
5. What is published is durable first.
6. One roster is proposed for an attempt, durable before it is sent. From then on it takes the contributions of that
   roster and no others, also after a restart: ``closing``.
7. In a job with proofs it adds nothing before the proof of that very contribution is verified.
8. Of every attempt that ends, each silo of the job gets a signed receipt of what became of its contribution.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quatrefoil.audit import Event, Log
from quatrefoil.contracts import IntegrityProof, PrivateAggregation, TransportSecurity
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.authorities import read_offer, read_void
from quatrefoil.federation.closing import Closing
from quatrefoil.federation.desk import Desk
from quatrefoil.federation.gathering import Gathering
from quatrefoil.federation.leaves import job_event
from quatrefoil.federation.messages import (
    Job,
    OpenRound,
    RoundContext,
    VoidRequest,
)
from quatrefoil.federation.progress import NAME, Progress
from quatrefoil.federation.proving import JobProofs, Verified
from quatrefoil.federation.publishing import FinishedRound, Publishing
from quatrefoil.federation.receipt_office import ReceiptOffice, receipts_event
from quatrefoil.federation.receiving import Arrived, Receiving
from quatrefoil.federation.spool import MemorySpool, Spool
from quatrefoil.federation.sums import OpenedSum, open_sum
from quatrefoil.federation.vectors import Arrays, decode_arrays, model_digest
from quatrefoil.policy import Policy
from quatrefoil.state import State

_LEFT = "left/"


class Aggregator:
    """Bytes in, bytes out, for one agreed job. A restart on the same state goes on with the first unfinished round."""

    def __init__(
        self,
        job: AgreedJob,
        model: bytes,
        *,
        security: TransportSecurity,
        aggregation: PrivateAggregation,
        proofs: IntegrityProof | None,
        policy: Policy,
        state: State,
        log: Log,
        clock: Callable[[], datetime],
        receipt_key: Ed25519PrivateKey | None,
        make_spool: Callable[[], Spool] = MemorySpool,
    ) -> None:
        """``receipt_key``: signs receipts beside this party's identity, exactly where the policy asks for it.
        ``make_spool``: where the ciphertexts and proofs of an attempt lie, made anew for each."""
        self._job = job
        self._security = security
        self._aggregation = aggregation
        self._proofs = JobProofs(proofs, policy)
        self._proofs.check_job(job.job)
        self._policy = policy
        self._state = state
        self._log = log
        self._attempt: Gathering | None = None
        self._make_spool = make_spool
        self._receipts = ReceiptOffice(
            job, security=security, policy=policy, state=state, clock=clock, classical=receipt_key
        )
        self._receiving = Receiving(job, security=security, proofs=self._proofs, log=log, receipts=self._receipts)
        self._closing = Closing(job, security=security, policy=policy, state=state, log=log, receiving=self._receiving)
        self._publishing = Publishing(
            job, security=security, policy=policy, state=state, log=log, receipts=self._receipts
        )
        self.desk: Desk | None = None
        """Where members of a committee are asked; None in a job with a keeper."""
        if job.threshold is not None:
            self.desk = Desk(
                job,
                security=security,
                aggregation=aggregation,
                proofs=self._proofs,
                state=state,
                log=log,
                attempt=self._current_attempt,
            )
        initial = decode_arrays(model, job.job.layout)
        if model_digest(initial, job.job.layout) != job.job.model:
            raise CallerError(
                "the initial model is not the one that the job names", hint="Start with the model the job was made with"
            )
        if self._state.get(NAME) is None:
            self._log.append_all([job_event(job)])
        self._state.put_once(NAME, Progress(0, model, policy.limits.update_norm).encode())

    # ------------------------------------------------------------------------------------------------------- opening

    @property
    def enrolled_job(self) -> bytes:
        """The job with every consent, as the keeper and the silos check it."""
        return self._job.encoded

    @property
    def job(self) -> Job:
        """The job that is run."""
        return self._job.job

    @property
    def rounds_done(self) -> int:
        """How many rounds are finished."""
        return self._current().rounds

    @property
    def model(self) -> Arrays:
        """The current model."""
        return decode_arrays(self._current().model, self._job.job.layout)

    @property
    def voids(self) -> list[bytes]:
        """The keeper's voids of earlier attempts at the round that is next, oldest first."""
        found = [self._state.get(name) for name in self._state.names(self._voids_prefix())]
        return [void for void in found if void is not None]

    def open_request(self) -> bytes:
        """A signed :class:`OpenRound` for the keeper, for the next attempt at the next round."""
        number = self.rounds_done + 1
        if number > self._job.job.rounds:
            raise CallerError(f"all {self._job.job.rounds} rounds of the job are done", hint="Agree on a new job")
        self._job.require_attempt(number, attempt := len(self.voids))
        digest = model_digest(self.model, self._job.job.layout)
        current = self._current()
        direction = self._proofs.direction_digest(current.direction)
        wanted = OpenRound(self._job.digest, number, attempt, digest, current.norm, direction)
        return self._security.sign(wanted.encode())

    def void_request(self, reason: str) -> bytes:
        """A signed :class:`VoidRequest` for the keeper, of the attempt that is next or open."""
        wanted = VoidRequest(self._job.digest, self.rounds_done + 1, len(self.voids), reason)
        return self._security.sign(wanted.encode())

    def opened(self, offer: bytes) -> RoundContext:
        """Take the keeper's signed :class:`RoundOffer`; contributions to it can be received from now on."""
        context = read_offer(self._job, self._security, offer).context
        self._job.context_matches(context)
        expected = (self.rounds_done + 1, len(self.voids), model_digest(self.model, self._job.job.layout))
        if (context.round, context.attempt, context.model) != expected:
            raise MessageRefused(
                f"the keeper offers round {context.round} attempt {context.attempt}, not the one asked for",
                hint="Ask again",
            )
        current = self._current()
        self._job.norm_matches(context, current.norm)
        self._job.direction_matches(context, self._proofs.direction_digest(current.direction))
        self._forget_attempt()
        self._attempt = Gathering(
            context, offer, self._aggregation, self._make_spool(), current.direction, self._closing.proposed(context)
        )
        body = {"round": context.round, "attempt": context.attempt, "context": context.digest().hex()}
        self._log.append("round-opened", body, {} if self.desk is None else {"opened": offer})
        return context

    # ------------------------------------------------------------------------------------------------------ receiving

    def receive(self, name: str, message: bytes) -> None:
        """Take the contribution that the silo called ``name`` delivered: :meth:`examine`, verify its proof, and
        :meth:`admit` it. What is refused is logged and raised."""
        if (arrived := self.examine(name, message)) is not None:
            self.admit(arrived, arrived.verify)

    def examine(self, name: str, message: bytes) -> Arrived | None:
        """A contribution after every check but that of its proof; None for one that is in already.

        ``name`` is who the channel says it is, never what the message claims: nobody can have another silo refused.
        """
        return self._receiving.examine(self._current_attempt(), name, message)

    def admit(self, arrived: Arrived, verified: Callable[[], Verified]) -> None:
        """Add a contribution to the sum, if ``verified`` gives what its ``verify`` gave, and does not raise.

        The attempt may have gone on since it was examined: one that comes too late for it is refused.
        """
        self._receiving.admit(self._current_attempt(), arrived, verified)

    @property
    def minimum_silos(self) -> int:
        """How many contributions a round needs."""
        return self._policy.limits.minimum_silos

    @property
    def received(self) -> list[str]:
        """Silos whose contributions to the current attempt are in, sorted."""
        return sorted(self._current_attempt().received)

    def is_awaited(self, name: str) -> bool:
        """Whether a contribution of this silo to the current attempt is still wanted: not in yet, not refused, and not
        after the roster was closed."""
        return self._current_attempt().wants(name)

    def offered(self, name: str) -> None:
        """The current attempt is offered to this silo now: what was refused of it before answered an earlier one."""
        self._current_attempt().refused.pop(name, None)

    @property
    def roster_is_closed(self) -> bool:
        """Whether a roster has been proposed for the current attempt, perhaps before a restart."""
        return self._current_attempt().proposal is not None

    @property
    def refused(self) -> dict[str, str]:
        """Silos refused in the current attempt, with the reason."""
        return dict(self._current_attempt().refused)

    def exclude(self, name: str, reason: str) -> None:
        """Leave a silo out of the current attempt, as the keeper asked for when its key cannot be used.

        Refused once the roster is closed.
        """
        self._receiving.exclude(self._current_attempt(), name, reason)

    # ------------------------------------------------------------------------------------------------------ confirming

    def propose(self) -> bytes:
        """A signed :class:`RosterProposal` for the silos: from here on the attempt's roster is closed.

        A proposal is durable, because silos confirm only one: after a restart it is the same again, and
        ``MessageRefused`` names the silos whose contributions it still lacks.
        """
        return self._closing.propose(self._current_attempt())

    def confirm(self, name: str, signed: bytes) -> None:
        """Take the confirmation that the silo called ``name`` delivered. What is refused is logged and raised; one of
        an earlier attempt, come late, changes nothing."""
        self._closing.confirm(self._current_attempt(), name, signed)

    def declined(self, name: str, reason: str) -> None:
        """Log that a silo will not confirm the proposed roster."""
        self._closing.declined(self._current_attempt(), name, reason)

    @property
    def confirmed(self) -> list[str]:
        """Silos that have confirmed the proposed roster, sorted."""
        return sorted(self._current_attempt().confirmations)

    @property
    def quorum(self) -> int:
        """How many silos must confirm."""
        return self._closing.quorum

    # ------------------------------------------------------------------------------------------------------- finishing

    def check_roster(self) -> None:
        """``PolicyError`` for what no committee answers for: fewer contributions at hand than the policy's minimum, and
        a roster that sets a small group apart. A keeper checks it by itself (``key_request``)."""
        self._closing.check(self._current_attempt())

    def key_request(self) -> bytes:
        """A signed :class:`KeyRequest` for the proposed roster with its confirmations; before there is a proposal, for
        everything received, which the keeper can only check. ``PolicyError`` under the policy's minimum."""
        return self._closing.key_request(self._current_attempt())

    def finish(self, answer: bytes) -> FinishedRound:
        """Decrypt the sum with the keeper's answer, and publish the mean: durable before it is returned.

        ``CallerError`` in a group of a tree, whose own mean is published to nobody: ``tree``.
        """
        if self._job.job.upper:
            raise CallerError(
                f"group {self._job.job.name} goes up to another job, which its mean comes from",
                hint="Start it with --upper, or drive it with tree.GroupAggregator",
            )
        opened = self.open_sum(answer)
        weight = sum(self._job.weight(name) for name in opened.contributors)
        mean = np.ascontiguousarray(opened.values / weight, dtype="<f8").tobytes()
        return self.publish(opened, mean, opened.error_bound / weight)

    def open_sum(self, answer: bytes) -> OpenedSum:
        """The sum of the contributions that the keeper answered for, decrypted with its answer."""
        return open_sum(
            self._job, self._current_attempt(), answer, security=self._security, aggregation=self._aggregation
        )

    def publish(self, opened: OpenedSum, mean: bytes, error_bound: float) -> FinishedRound:
        """Publish ``mean``, little-endian float64, as that of the open attempt, whose sum was opened: durable before it
        is returned. ``error_bound``: of its entries."""
        attempt = self._current_attempt()
        finished = self._publishing.publish(attempt, opened.contributors, opened.release, mean, error_bound)
        self._forget_attempt()
        return finished

    def voided(self, void: bytes) -> None:
        """Take the keeper's signed :class:`RoundVoid` of the attempt that is next or open; the one after it is next."""
        end = read_void(self._job, self._security, void)
        if (end.job, end.round, end.attempt) != (self._job.digest, self.rounds_done + 1, len(self.voids)):
            raise MessageRefused(
                f"the void is of round {end.round} attempt {end.attempt}, which is not open",
                hint="Ask the keeper again",
            )
        batch = self._receipts.voided(end, void)
        changes = self._receipts.changes(end.round, end.attempt, end.context, batch)
        self._state.replace({**changes, f"{self._voids_prefix()}{end.attempt:04d}": void})
        body = {"round": end.round, "attempt": end.attempt, "context": end.context.hex(), "reason": end.reason}
        self._log.append_all([Event("round-void", body), receipts_event(end.round, end.attempt, end.context, batch)])
        self._forget_attempt()

    def finished(self, number: int) -> FinishedRound | None:
        """A finished round, for silos that come late; None if it is not finished."""
        return self._publishing.finished(number)

    def void_receipts(self, name: str) -> bytes:
        """The receipts of a silo for the voided attempts at the round that is next, joined, oldest first."""
        return self._receipts.of_round(self.rounds_done + 1).of(name)

    def left(self, name: str) -> None:
        """This silo has said goodbye, and knows that the job is done: it needs nothing any more. Durable."""
        self._state.put_once(_LEFT + name, b"")

    @property
    def gone(self) -> set[str]:
        """Silos that have said goodbye so, perhaps before a restart."""
        return {name.removeprefix(_LEFT) for name in self._state.names(_LEFT)}

    # --------------------------------------------------------------------------------------------------------- details

    def _current(self) -> Progress:
        found = Progress.of(self._state)
        assert found is not None
        return found

    def _current_attempt(self) -> Gathering:
        if self._attempt is None:
            raise MessageRefused("no round is open", hint="Ask for the next offer")
        return self._attempt

    def _voids_prefix(self) -> str:
        return f"void/{self.rounds_done + 1:08d}/"

    def _forget_attempt(self) -> None:
        if self._attempt is not None:
            self._attempt.spool.close()
        self._attempt = None
