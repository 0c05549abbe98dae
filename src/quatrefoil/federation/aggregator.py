"""The aggregator: adds ciphertexts, asks the keeper for the key of their sum, publishes the mean.

It is trusted with nothing but availability: what it receives of one silo is a ciphertext. It can publish a wrong mean,
which every silo would take; docs/protocol.md and SECURITY.md say so.

Rules (docs/protocol.md, "The aggregator"):

1. One contribution a silo and attempt. A second, different one is refused, and the first stays.
2. Who delivers a contribution is who the channel says it is; nobody can have another silo refused.
3. A refusal names the silo, is logged, and stops nobody else.
4. The sum is over exactly the contributors of the keeper's answer.
5. What is published is durable first.
6. One roster is proposed for an attempt, durable before it is sent. From then on it takes the contributions of that
   roster and no others, also after a restart.
7. In a job with proofs it adds nothing before the proof of that very contribution is verified.
8. Of every attempt that ends, each silo of the job gets a signed receipt of what became of its contribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quatrefoil.audit import Event, Log
from quatrefoil.audit.receipts import ReceiptBatch
from quatrefoil.contracts import IntegrityProof, PrivateAggregation, TransportSecurity
from quatrefoil.errors import CallerError, MessageRefused, PeerError, PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.accounts import account_of, refusals_of
from quatrefoil.federation.agreement import AgreedJob, read, require_author, sha256, shape_of
from quatrefoil.federation.directions import next_direction
from quatrefoil.federation.gathering import Gathering, Received
from quatrefoil.federation.leaves import job_event, roster_events
from quatrefoil.federation.messages import (
    Confirmation,
    Contribution,
    Job,
    KeyRelease,
    KeyRequest,
    OpenRound,
    RosterProposal,
    RoundContext,
    RoundOffer,
    RoundResult,
    RoundVoid,
    VoidRequest,
)
from quatrefoil.federation.norms import next_norm
from quatrefoil.federation.progress import NAME, Progress
from quatrefoil.federation.proving import JobProofs, Verified
from quatrefoil.federation.receipt_office import ReceiptOffice, RoundReceipts, contribution_in, receipts_event
from quatrefoil.federation.vectors import Arrays, decode_arrays, encode_arrays, model_digest, next_model
from quatrefoil.policy import Policy
from quatrefoil.state import State


@dataclass(frozen=True)
class FinishedRound:
    """What a silo needs to take a round's result, and what a person wants to know of it."""

    number: int
    offer: bytes
    release: bytes
    result: bytes
    contributors: tuple[str, ...]
    error_bound: float
    receipts: RoundReceipts


@dataclass(frozen=True)
class Arrived:
    """A contribution as its silo signed it, with a proof that has not been looked at yet. ``verify`` looks at it:
    heavy, free of the aggregator's state, and so for any thread."""

    name: str
    contribution: Contribution
    signed: bytes
    sealed_key: bytes
    ciphertext: bytes
    verify: Callable[[], Verified]
    proof: bytes
    """As it came, empty for none."""


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
    ) -> None:
        """``receipt_key``: signs receipts beside this party's identity, exactly where the policy asks for it."""
        self._job = job
        self._security = security
        self._aggregation = aggregation
        self._proofs = JobProofs(proofs, policy)
        self._proofs.check_job(job.job)
        self._policy = policy
        self._state = state
        self._log = log
        self._attempt: Gathering | None = None
        self._receipts = ReceiptOffice(
            job, security=security, policy=policy, state=state, clock=clock, classical=receipt_key
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
        digest = model_digest(self.model, self._job.job.layout)
        current = self._current()
        direction = self._proofs.direction_digest(current.direction)
        wanted = OpenRound(self._job.digest, number, len(self.voids), digest, current.norm, direction)
        return self._security.sign(wanted.encode())

    def void_request(self, reason: str) -> bytes:
        """A signed :class:`VoidRequest` for the keeper, of the attempt that is next or open."""
        wanted = VoidRequest(self._job.digest, self.rounds_done + 1, len(self.voids), reason)
        return self._security.sign(wanted.encode())

    def opened(self, offer: bytes) -> RoundContext:
        """Take the keeper's signed :class:`RoundOffer`; contributions to it can be received from now on."""
        context = read(self._security, offer, RoundOffer, self._job.job.keeper, "keeper").context
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
        self._attempt = Gathering(context, offer, self._aggregation, current.direction, self._proposed(context))
        self._log.append(
            "round-opened", {"round": context.round, "attempt": context.attempt, "context": context.digest().hex()}
        )
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
        attempt = self._current_attempt()
        proof, arrived = b"", contribution_in(message)
        try:
            signed, sealed_key, ciphertext, proof = parts.split(message, 4)
            statement = self._security.verify(signed)
            member = self._job.member(name)
            require_author(statement, member, "silo")
            contribution = Contribution.decode(statement.body)
            if contribution.context != attempt.context.digest():
                arrived = b""  # nothing of this attempt: what it is of has its own receipt
                raise MessageRefused(
                    f"{name} contributes to another round or attempt", hint="Take the current offer", party=name
                )
            if (contribution.ciphertext, contribution.sealed_key) != (sha256(ciphertext), sha256(sealed_key)):
                raise MessageRefused(
                    f"what {name} sent is not what it signed", hint="Send the recorded bytes again", party=name
                )
            if self._is_repeated(name, contribution):
                return None
        except PeerError as error:
            self._refuse(name, error.problem, proof, arrived)
            raise
        subject = self._job.subject(attempt.context, name, attempt.direction)
        return Arrived(
            name,
            contribution,
            signed,
            sealed_key,
            ciphertext,
            lambda: self._proofs.verify(subject, contribution, ciphertext, proof),
            proof,
        )

    def admit(self, arrived: Arrived, verified: Callable[[], Verified]) -> None:
        """Add a contribution to the sum, if ``verified`` gives what its ``verify`` gave, and does not raise.

        The attempt may have gone on since it was examined: one that comes too late for it is refused.
        """
        name = arrived.name
        attempt = self._current_attempt()
        if arrived.contribution.context != attempt.context.digest():
            raise MessageRefused(
                f"the attempt that {name} contributed to has ended meanwhile", hint="Take the current offer", party=name
            )
        try:
            verified()
            if not self._is_repeated(name, arrived.contribution):
                attempt.add(name, Received(arrived.signed, arrived.sealed_key, arrived.ciphertext, arrived.proof))
                self._receipts.delivered(arrived.contribution.context, name, sha256(arrived.signed))
        except PeerError as error:
            self._refuse(name, error.problem, arrived.proof, sha256(arrived.signed))
            raise

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
        attempt = self._current_attempt()
        received = attempt.received.get(name)
        attempt.exclude(name)
        self._refuse(name, reason, contribution=sha256(received.signed) if received else b"")

    # ------------------------------------------------------------------------------------------------------ confirming

    def propose(self) -> bytes:
        """A signed :class:`RosterProposal` for the silos: from here on the attempt's roster is closed.

        A proposal is durable, because silos confirm only one: after a restart it is the same again, and
        ``MessageRefused`` names the silos whose contributions it still lacks.
        """
        attempt = self._current_attempt()
        attempt.sealed()
        name, signed = _proposal_name(attempt.context), self._security.sign(attempt.roster().encode())
        if self._state.get(name) is None:
            self._log.append_all(roster_events(attempt, signed))
        stored = self._state.put_once(name, signed)
        attempt.proposal = self._proposed(attempt.context)
        return stored

    def confirm(self, name: str, signed: bytes) -> None:
        """Take the confirmation that the silo called ``name`` delivered. What is refused is logged and raised; one of
        an earlier attempt, come late, changes nothing."""
        attempt = self._current_attempt()
        if attempt.proposal is None:
            raise MessageRefused("no roster has been proposed", hint="Ask for the next offer")
        try:
            confirmation = read(self._security, signed, Confirmation, self._job.member(name), "silo")
            if confirmation.context != attempt.proposal.context:
                return
            if confirmation.proposal != attempt.proposal.digest():
                raise MessageRefused(f"{name} confirms another roster", hint="Confirm the one proposed", party=name)
        except PeerError as error:
            self._log_refusal(name, error.problem)
            raise
        attempt.confirmations.setdefault(name, signed)

    def declined(self, name: str, reason: str) -> None:
        """Log that a silo will not confirm the proposed roster."""
        self._log_refusal(name, f"does not confirm the roster: {reason}")

    @property
    def confirmed(self) -> list[str]:
        """Silos that have confirmed the proposed roster, sorted."""
        return sorted(self._current_attempt().confirmations)

    @property
    def quorum(self) -> int:
        """How many silos must confirm."""
        return self._job.quorum(self._policy.limits.colluding_silos)

    # ------------------------------------------------------------------------------------------------------- finishing

    def key_request(self) -> bytes:
        """A signed :class:`KeyRequest` for the proposed roster with its confirmations; before there is a proposal, for
        everything received, which the keeper can only check. ``PolicyError`` under the policy's minimum."""
        attempt = self._current_attempt()
        minimum = self._policy.limits.minimum_silos
        if len(attempt.received) < minimum:
            raise PolicyError(
                f"{len(attempt.received)} of at least {minimum} silos contributed to round {attempt.context.round}",
                hint="Wait for more, or void the round",
            )
        confirmations = tuple(attempt.confirmations[name] for name in sorted(attempt.confirmations))
        return self._security.sign(KeyRequest(attempt.context.digest(), attempt.sealed(), confirmations).encode())

    def finish(self, answer: bytes) -> FinishedRound:
        """Decrypt the sum with the keeper's answer, and publish the mean: durable before it is returned."""
        attempt = self._current_attempt()
        signed, key = parts.split(answer, 2)
        release = read(self._security, signed, KeyRelease, self._job.job.keeper, "keeper")
        digest = attempt.context.digest()
        if release.context != digest or release.key != sha256(key):
            raise MessageRefused(
                "the keeper's answer belongs to another round, or its key was changed", hint="Ask the keeper again"
            )
        missing = [name for name in release.contributors if name not in attempt.received]
        if missing:
            raise MessageRefused(
                f"the keeper answered for {', '.join(missing)}, whose contribution is not here",
                hint="Receive it again first",
            )
        shape = shape_of(attempt.context)
        total = attempt.total(release.contributors)
        decrypted = self._aggregation.decrypt(total, key, shape=shape, count=len(release.contributors))
        weight = sum(self._job.weight(name) for name in release.contributors)
        mean = np.ascontiguousarray(decrypted.values / weight, dtype="<f8").tobytes()
        return self._publish(attempt, release.contributors, signed, mean, decrypted.error_bound / weight)

    def voided(self, void: bytes) -> None:
        """Take the keeper's signed :class:`RoundVoid` of the attempt that is next or open; the one after it is next."""
        end = read(self._security, void, RoundVoid, self._job.job.keeper, "keeper")
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
        self._attempt = None

    def finished(self, number: int) -> FinishedRound | None:
        """A finished round, for silos that come late; None if it is not finished."""
        stored = self._state.get(f"finished/{number:08d}")
        if stored is None:
            return None
        offer, release, result, bound = parts.split(stored, 4)
        contributors = KeyRelease.decode(self._security.verify(release).body).contributors
        error_bound = float(np.frombuffer(bound, "<f8")[0])
        return FinishedRound(number, offer, release, result, contributors, error_bound, self._receipts.of_round(number))

    def void_receipts(self, name: str) -> bytes:
        """The receipts of a silo for the voided attempts at the round that is next, joined, oldest first."""
        return self._receipts.of_round(self.rounds_done + 1).of(name)

    # --------------------------------------------------------------------------------------------------------- details

    def _current(self) -> Progress:
        found = Progress.of(self._state)
        assert found is not None
        return found

    def _current_attempt(self) -> Gathering:
        if self._attempt is None:
            raise MessageRefused("no round is open", hint="Ask for the next offer")
        return self._attempt

    def _proposed(self, context: RoundContext) -> RosterProposal | None:
        """The roster that was closed for this attempt, perhaps before a restart."""
        stored = self._state.get(_proposal_name(context))
        return None if stored is None else RosterProposal.decode(self._security.verify(stored).body)

    def _voids_prefix(self) -> str:
        return f"void/{self.rounds_done + 1:08d}/"

    def _is_repeated(self, name: str, contribution: Contribution) -> bool:
        earlier = self._current_attempt().received.get(name)
        if earlier is None:
            return False
        if Contribution.decode(self._security.verify(earlier.signed).body) == contribution:
            return True
        raise MessageRefused(
            f"{name} sent a second, different contribution", hint="Send the recorded bytes again", party=name
        )

    def _publish(
        self, attempt: Gathering, contributors: tuple[str, ...], release: bytes, mean: bytes, error_bound: float
    ) -> FinishedRound:
        layout = self._job.job.layout
        context = attempt.context
        model = next_model(self.model, mean, layout)
        digest = model_digest(model, layout)
        values = np.frombuffer(mean, "<f8")
        norm = next_norm(self._policy.limits, context.update_norm, values)
        direction = next_direction(self._policy.limits, values)
        announced = RoundResult(context.digest(), sha256(release), sha256(mean), digest)
        signed, batch = self._announce(attempt, contributors, release, announced)
        result = parts.join([signed, mean])
        body = {
            "round": context.round,
            "attempt": context.attempt,
            "context": context.digest().hex(),
            "contributors": list(contributors),
            # Not who sent something else besides: a silo cannot make the account of a round contradict itself.
            "refused": {name: reason for name, reason in attempt.refused.items() if name not in contributors},
            **attempt.proofs(contributors),
            "error_bound": error_bound,
            "model": digest.hex(),
        }
        issued = receipts_event(context.round, context.attempt, context.digest(), batch)
        self._log.append_all([Event("round-finished", body, {"release": release, "result": signed}), issued])
        self._state.replace(
            {
                **self._receipts.changes(context.round, context.attempt, context.digest(), batch),
                _announcement(context): None,
                f"finished/{context.round:08d}": parts.join(
                    [attempt.offer, release, result, np.float64(error_bound).astype("<f8").tobytes()]
                ),
                NAME: Progress(context.round, encode_arrays(model, layout), norm, direction).encode(),
                **account_of(context, contributors, announced),
                **refusals_of(context, contributors, attempt.refused),
            }
        )
        self._attempt = None
        receipts = self._receipts.of_round(context.round)
        return FinishedRound(context.round, attempt.offer, release, result, contributors, error_bound, receipts)

    def _announce(
        self, attempt: Gathering, contributors: Sequence[str], release: bytes, result: RoundResult
    ) -> tuple[bytes, ReceiptBatch]:
        """The signed result and the receipts that name it: durable, so that a restart publishes the same bytes."""
        context = attempt.context
        name = _announcement(context)
        if (stored := self._state.get(name)) is None:
            signed = self._security.sign(result.encode())
            included = {one: sha256(attempt.received[one].signed) for one in contributors}
            batch = self._receipts.finished(context, included, release=release, result=signed)
            stored = self._state.put_once(name, parts.join([signed, batch.encode()]))
        signed, encoded = parts.split(stored, 2)
        return signed, ReceiptBatch.decode(encoded)

    def _refuse(self, name: str, reason: str, proof: bytes = b"", contribution: bytes = b"") -> None:
        """``contribution``: SHA-256 of what is refused, where it is of this attempt."""
        attempt = self._current_attempt()
        attempt.refused[name] = reason
        if contribution and name not in attempt.received:
            self._receipts.delivered(attempt.context.digest(), name, contribution, refused=reason)
        self._log_refusal(name, reason, proof)

    def _log_refusal(self, name: str, reason: str, proof: bytes = b"") -> None:
        """``proof``: what came with what is refused."""
        context = self._current_attempt().context
        body = {"round": context.round, "attempt": context.attempt, "silo": name, "reason": reason}
        self._log.append("refusal", body | ({"proof": sha256(proof).hex()} if proof else {}))


def _announcement(context: RoundContext) -> str:
    return f"announced/{context.digest().hex()}"


def _proposal_name(context: RoundContext) -> str:
    return f"proposal/{context.digest().hex()}"
