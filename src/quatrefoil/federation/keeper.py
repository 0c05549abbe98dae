"""The keeper: holds the one key of a round with which the sum of the silos' keys can be learnt, and answers once.

Rules (docs/protocol.md, "The keeper"):

1. One sealing key for each attempt at a round, made here, held in memory only, wiped at the answer.
2. One answer for an attempt: a roster that the keeper derives itself from signed contributions, of at least
   ``minimum_silos`` silos. It is durable before it is given; asking again gives the same bytes, to the job's
   aggregator only.
3. An attempt that was opened and has no answer when the keeper starts is voided: its key is gone, so the void takes
   nothing from anybody. An ending, answer or void, is stored once and never changed.
4. It answers for a roster only if a quorum of the job's silos has confirmed exactly that roster, each at most once
   for the updates of a round. Any two quorums share an honest silo: so not even a keeper that was started on an old
   disk, or on a copy of one, answers for a second roster.
5. Answered rosters of a job set no group of fewer than ``minimum_roster_group`` silos apart: ``rosters``.

6. In a job with proofs, a key is used only if the proof that its silo signed a claim of is about that very key.

The keeper sees keys and never ciphertexts. Together with the aggregator it reads everything: SECURITY.md.
"""

from __future__ import annotations

from quatrefoil.audit import Event, Log
from quatrefoil.contracts import IntegrityProof, IsolationAttester, PrivateAggregation, TransportSecurity
from quatrefoil.errors import MessageRefused, PolicyError
from quatrefoil.federation import directions
from quatrefoil.federation.agreement import AgreedJob, agree, read, require_author, sha256
from quatrefoil.federation.attempts import ANSWER, VOID, Attempts, Ending, Offered
from quatrefoil.federation.messages import (
    Introduction,
    KeyRelease,
    KeyRequest,
    Member,
    OpenRound,
    RosterProposal,
    RoundContext,
    RoundOffer,
    RoundVoid,
    VoidRequest,
)
from quatrefoil.federation.norms import check_possible
from quatrefoil.federation.proving import JobProofs
from quatrefoil.federation.quorum import require_quorum
from quatrefoil.federation.refusals import FewRefusals
from quatrefoil.federation.rosters import check_rosters
from quatrefoil.federation.sealed_keys import OpenAttempt, SealedKeys, wipe
from quatrefoil.policy import Policy
from quatrefoil.state import State

LARGEST_NONCE = 64
"""Bytes of an :class:`Introduction`'s nonce: whoever asks has no more signed than that."""


class Keeper:
    """Bytes in, bytes out; every method returns bytes for the aggregator or raises a ``QuatrefoilError``."""

    def __init__(
        self,
        *,
        security: TransportSecurity,
        aggregation: PrivateAggregation,
        proofs: IntegrityProof | None,
        attester: IsolationAttester,
        policy: Policy,
        state: State,
        log: Log,
    ) -> None:
        self._security = security
        self._aggregation = aggregation
        self._proofs = JobProofs(proofs, policy)
        self._sealed = SealedKeys(security, aggregation, self._proofs)
        self._attester = attester
        self._policy = policy
        self._attempts = Attempts(state)
        self._log = log
        self._refusals = FewRefusals(log, state)
        self._open: dict[bytes, OpenAttempt] = {}
        # Its own certificate, as others see it: taken from a signature of its own.
        own = security.verify(security.sign(b"quatrefoil/self"))
        self._own = Member(own.signer, own.fingerprint, 0)
        self._void_lost_attempts()

    def introduce(self, nonce: bytes) -> bytes:
        """A signed :class:`Introduction`: the certificate that this keeper signs with, which a job names."""
        if len(nonce) > LARGEST_NONCE:
            raise MessageRefused(f"a nonce of {len(nonce)} bytes is over {LARGEST_NONCE}", hint="Send 16 bytes")
        return self._security.sign(Introduction(nonce).encode())

    def open_round(self, enrolled_job: bytes, request: bytes) -> bytes:
        """A signed :class:`RoundOffer` for a signed :class:`OpenRound`. The same request gives the same offer."""
        job = agree(
            enrolled_job,
            security=self._security,
            policy=self._policy,
            aggregation=self._aggregation,
            proofs=self._proofs,
        )
        wanted = read(self._security, request, OpenRound, job.job.aggregator, "aggregator")
        # Logged are refusals of the job's aggregator alone: nobody else fills the log, and that one not without end.
        with self._refusals.logged("open", lambda: self._asked_of(job)):
            self._check_mine(job)
            if wanted.job != job.digest:
                raise MessageRefused("the request opens a round of another job", hint="Send it with its own job")
            name = Attempts.name_of(job.digest, wanted.round, wanted.attempt)
            if self._attempts.is_opened(name):
                return self._offer_again(name, wanted)
            self._check_may_open(job, wanted)
        return self._new_attempt(job, wanted, name)

    def check(self, request: bytes) -> None:
        """Whether the keys of a signed :class:`KeyRequest` can be used and its roster be answered for.

        Asked before the silos confirm the roster, so that they confirm none that has to be changed. Answers nothing:
        a silo whose key cannot be used is named in what is raised.
        """
        wanted, name = self._wanted(request)
        with self._refusals.logged("check", lambda: name):
            if (ending := self._ending(name)) is not None:
                _answer_again(ending, wanted)
                return
            attempt = self._open[wanted.context]
            proposal, keys = self._sealed.open(attempt, wanted.contributions)
            for key in keys:
                wipe(key)
            self._check_roster(attempt, proposal.contributors)

    def answer(self, request: bytes) -> bytes:
        """Signed :class:`KeyRelease` and combined key, joined by ``parts``, for a signed :class:`KeyRequest`."""
        wanted, name = self._wanted(request)
        with self._refusals.logged("answer", lambda: name):
            if (ending := self._ending(name)) is not None:
                return _answer_again(ending, wanted)
            attempt = self._open[wanted.context]
            proposal, keys = self._sealed.open(attempt, wanted.contributions)
            try:
                self._check_roster(attempt, proposal.contributors)
                require_quorum(
                    proposal,
                    wanted.confirmations,
                    job=attempt.job,
                    colluding_silos=self._policy.limits.colluding_silos,
                    security=self._security,
                )
                combined = self._aggregation.combine_keys(keys)
            finally:
                for key in keys:
                    wipe(key)
        return self._release(attempt, proposal, combined)

    def void(self, request: bytes) -> bytes:
        """The signed :class:`RoundVoid` of an attempt for a signed :class:`VoidRequest`: ends it if it is open.

        Refused once the attempt has been answered.
        """
        statement = self._security.verify(request)
        wanted = VoidRequest.decode(statement.body)
        name = Attempts.name_of(wanted.job, wanted.round, wanted.attempt)
        offered = self._attempts.offered(name)
        ending = self._ending(name)
        if ending is None:
            require_author(statement, offered.aggregator, "aggregator")
            ending = self._void(name, offered.context, f"asked for by {statement.signer}: {wanted.reason[:200]}")
        if ending.kind != VOID:
            raise MessageRefused("the attempt has been answered and cannot be voided", hint="Use the answer")
        return ending.signed

    # ------------------------------------------------------------------------------------------------------ opening

    def _check_mine(self, job: AgreedJob) -> None:
        named = job.job.keeper
        if named.name != self._own.name:
            raise MessageRefused(f"job {job.job.name} names {named.name} as its keeper", hint="Ask that keeper")
        if named.fingerprint != self._own.fingerprint:
            raise MessageRefused(
                f"job {job.job.name} names another certificate of {named.name} than this one",
                hint="Start the keeper with that certificate, or agree on a new job",
            )

    def _asked_of(self, job: AgreedJob) -> str:
        """What refusals to open a round of a job count for: its newest attempt, or without one its aggregator."""
        return self._attempts.newest(job.digest) or f"aggregator/{job.job.aggregator.name}"

    def _offer_again(self, name: str, wanted: OpenRound) -> bytes:
        offered = self._attempts.offered(name)
        held_to = (offered.context.model, offered.context.update_norm, offered.context.direction)
        if held_to != (wanted.model, wanted.update_norm, wanted.direction):
            raise MessageRefused(
                f"round {wanted.round} attempt {wanted.attempt} is open for another model, norm or direction",
                hint="Void it first",
            )
        if (ending := self._ending(name)) is not None and ending.kind == VOID:
            raise ending.voided()
        return offered.offer

    def _check_may_open(self, job: AgreedJob, wanted: OpenRound) -> None:
        job.require_attempt(wanted.round, wanted.attempt)
        check_possible(self._policy.limits, wanted.round, wanted.update_norm)
        directions.check_possible(self._policy.limits, wanted.round, wanted.direction)
        for earlier in range(wanted.attempt):
            ending = self._attempts.ending(Attempts.name_of(job.digest, wanted.round, earlier))
            if ending is None or ending.kind != VOID:
                raise MessageRefused(
                    f"attempt {earlier} at round {wanted.round} has no void: attempt {wanted.attempt} cannot be opened",
                    hint="Finish or void the earlier attempt",
                )
        if any(number > wanted.round for number in self._attempts.rounds(job.digest)):
            raise MessageRefused(
                f"a later round than {wanted.round} has been opened already", hint="Rounds only go forward"
            )

    def _new_attempt(self, job: AgreedJob, wanted: OpenRound, name: str) -> bytes:
        recipient = self._security.new_recipient()
        context = RoundContext(
            job=job.digest,
            round=wanted.round,
            attempt=wanted.attempt,
            model=wanted.model,
            scheme_digest=job.job.scheme_digest,
            length=job.job.layout.length,
            clip=job.job.clip,
            update_norm=wanted.update_norm,
            direction=wanted.direction,
            sealing_key=recipient.public,
        )
        digest = context.digest()
        evidence = self._attester.collect(digest)
        offer = self._security.sign(RoundOffer(context, evidence).encode())
        opened = {**_where(context), "context": digest.hex(), **self._held_in()}
        measured = {"context": digest.hex(), **self._held_in()}
        self._log.append_all(
            [Event("measurement", measured, {"evidence": evidence}), Event("round-opened", opened, {"offer": offer})]
        )
        self._attempts.open(name, Offered(context, offer, job.job.aggregator))
        self._open[digest] = OpenAttempt(job, context, recipient)
        return offer

    def _held_in(self) -> dict[str, object]:
        """For the log: where this keeper says that it holds keys. Silos log what they found that its evidence shows."""
        return {"enclave": self._attester.kind, "isolation": self._attester.isolation}

    # ---------------------------------------------------------------------------------------------------- answering

    def _wanted(self, request: bytes) -> tuple[KeyRequest, str]:
        """A key request of the job's aggregator, and the name of its attempt."""
        statement = self._security.verify(request)
        wanted = KeyRequest.decode(statement.body)
        name = self._attempts.find(wanted.context)
        require_author(statement, self._attempts.offered(name).aggregator, "aggregator")
        return wanted, name

    def _check_roster(self, attempt: OpenAttempt, contributors: tuple[str, ...]) -> None:
        limits = self._policy.limits
        if len(contributors) < limits.minimum_silos:
            raise PolicyError(
                f"{len(contributors)} silos contributed, the policy's minimum is {limits.minimum_silos}",
                hint="Wait for more silos, or void the round",
            )
        earlier = [names for _, names in self._attempts.rosters(attempt.job.digest)]
        check_rosters(earlier, contributors, limits.minimum_roster_group)

    def _release(self, attempt: OpenAttempt, proposal: RosterProposal, combined: bytes) -> bytes:
        context = attempt.context
        digest = context.digest()
        body = KeyRelease(digest, proposal.contributors, proposal.contributions, sha256(combined))
        release = self._security.sign(body.encode())
        name = Attempts.name_of(context.job, context.round, context.attempt)
        # Logged before it is given: an answer that nobody can find in the log must not exist. A crash between the two
        # leaves an entry for an attempt that is then voided; the log shows both.
        self._log.append(
            "key-release",
            {
                **_where(context),
                "context": digest.hex(),
                "contributors": list(proposal.contributors),
                **self._held_in(),
            },
            {"release": release},
        )
        ending = self._attempts.end(name, Ending(ANSWER, body.encode(), release, combined))
        self._forget(digest)
        return ending.answer()

    # ------------------------------------------------------------------------------------------------------- endings

    def _void_lost_attempts(self) -> None:
        for name in self._attempts.without_ending():
            self._void(name, self._attempts.offered(name).context, "the keeper restarted and its sealing key is gone")

    def _ending(self, name: str) -> Ending | None:
        """How the attempt ended, or None while its key is here. One whose key was never kept ends now."""
        ending, context = self._attempts.ending(name), self._attempts.offered(name).context
        if ending is not None:
            self._forget(context.digest())
        elif context.digest() not in self._open:
            ending = self._void(name, context, "its sealing key is gone")
        return ending

    def _void(self, name: str, context: RoundContext, reason: str) -> Ending:
        digest = context.digest()
        held = digest in self._open
        void = RoundVoid(context.job, context.round, context.attempt, digest, held, reason).encode()
        entry = {"context": digest.hex(), "unanswered": held, "reason": reason}
        self._log.append("round-void", {**_where(context), **entry})
        ending = self._attempts.end(name, Ending(VOID, void, self._security.sign(void), b""))
        self._forget(digest)
        return ending

    def _forget(self, context: bytes) -> None:
        if (attempt := self._open.pop(context, None)) is not None:
            attempt.recipient.wipe()


def _answer_again(ending: Ending, wanted: KeyRequest) -> bytes:
    if ending.kind == VOID:
        raise ending.voided()
    answered = KeyRelease.decode(ending.body)
    # A request for more gets the answer that there is: whoever lost it gathers again, and the late may be in time.
    if not {sha256(sealed.contribution) for sealed in wanted.contributions} >= set(answered.contributions):
        raise MessageRefused(
            f"the attempt was answered for {', '.join(answered.contributors)} and is answered only once",
            hint="Ask with the contributions of all of them",
        )
    return ending.answer()


def _where(context: RoundContext) -> dict[str, object]:
    return {"job": context.job.hex(), "round": context.round, "attempt": context.attempt}
