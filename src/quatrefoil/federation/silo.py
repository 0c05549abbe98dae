"""The silo: has the data, trains, and sends one encrypted update an attempt.

Rules (docs/protocol.md, "The silo"):

1. It joins by an invitation, and signs one job of a name: the roster, counts, policy and initial model in it:
   ``joining``.
2. It sends one message for an attempt at a round, recorded before it is sent; a retry resends the same bytes:
   ``outbox``.
3. It encrypts for another attempt at a round only against the keeper's void of every attempt it has sent to.
4. It trains only from the model that the published sums of the earlier rounds lead to, and goes only forward:
   ``offer_checks``.
5. It encrypts only after the evidence of the sealing key's holder was appraised: ``offer_checks``.
6. It confirms one roster for the updates of a round, and none that sets a small group apart: ``confirmations``.
7. It takes a result only with the aggregator's receipts of its contributions, and only if they are true: ``receipts``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from quatrefoil.audit import Event, Log
from quatrefoil.contracts import (
    FloatVector,
    IntegrityProof,
    IsolationAppraiser,
    PrivateAggregation,
    TransportSecurity,
)
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.accounts import account_of
from quatrefoil.federation.agreement import AgreedJob, agree, read, sha256
from quatrefoil.federation.authorities import read_offer, read_void
from quatrefoil.federation.commitments import NOTHING, Commitments
from quatrefoil.federation.confirmations import Confirmations, check_proposal
from quatrefoil.federation.contributing import Contributing
from quatrefoil.federation.dealing import Dealer
from quatrefoil.federation.fitting import Fitting, difference
from quatrefoil.federation.joining import Joining
from quatrefoil.federation.member import Member
from quatrefoil.federation.messages import (
    Job,
    OpenRound,
    RosterProposal,
    RoundContext,
)
from quatrefoil.federation.offer_checks import CheckedOffer, OfferChecks
from quatrefoil.federation.outbox import Outbox
from quatrefoil.federation.progress import NAME, Progress
from quatrefoil.federation.proving import JobProofs
from quatrefoil.federation.receipt_checks import Published, ReceiptChecks, ReceiptShelf, Voided
from quatrefoil.federation.refusals import refusals_logged
from quatrefoil.federation.results import require_model, take_result
from quatrefoil.federation.vectors import (
    Arrays,
    decode_arrays,
    encode_arrays,
    model_digest,
)
from quatrefoil.policy import Policy
from quatrefoil.state import State


class Silo:
    """Bytes in, bytes out. ``samples`` is the number of samples that it trains on, which every party learns, and so do
    they what it ``commits`` to."""

    def __init__(
        self,
        *,
        security: TransportSecurity,
        aggregation: PrivateAggregation,
        proofs: IntegrityProof | None,
        appraiser: IsolationAppraiser | None,
        policy: Policy,
        samples: int,
        state: State,
        log: Log,
        clock: Callable[[], datetime],
        commits: Commitments = NOTHING,
    ) -> None:
        """``appraiser``: of the keeper's evidence; None exactly where the policy appoints a committee."""
        if (appraiser is None) != policy.key_authority.is_committee:
            raise CallerError(
                f"policy {policy.name} has a {policy.key_authority.kind}, and evidence of it is "
                f"{'not ' if appraiser is None else ''}to be appraised",
                hint="Give an appraiser of a keeper's evidence, and none of a committee's",
            )
        self._security = security
        self._aggregation = aggregation
        self._proofs = JobProofs(proofs, policy)
        self._policy = policy
        self._state = state
        self._log = log
        self._clock = clock
        self._outbox = Outbox(state)
        self._confirmations = Confirmations(state)
        self._joining = Joining(
            security=security,
            aggregation=aggregation,
            proofs=self._proofs,
            policy=policy,
            samples=samples,
            commits=commits,
            state=state,
            log=log,
            clock=clock,
        )
        self._offers = OfferChecks(security=security, proofs=self._proofs, appraiser=appraiser, outbox=self._outbox)
        self._fitting = Fitting(policy, log)
        self._dealer = Dealer(security, aggregation, log, most=policy.key_authority.liars)
        self._contributing = Contributing(security, aggregation, self._proofs, self._dealer)
        self._member = Member(
            security=security, aggregation=aggregation, proofs=self._proofs, policy=policy, state=state, log=log
        )
        self._job: AgreedJob | None = None
        self._length = 0
        if (encoded := state.get("job/enrolled")) is not None:
            self._job = self._agree(encoded)
            self._joining.require_own(self._job.job, CallerError)

    # ----------------------------------------------------------------------------------------------------- enrolment

    def enrol(self, invitation: bytes) -> bytes:
        """A signed :class:`Enrolment` for an :class:`Invitation` that an aggregator signed for this silo."""
        return self._joining.enrol(invitation)

    def consent(self, signed_job: bytes) -> bytes:
        """A signed :class:`Consent` to a signed :class:`Job`, if it says of this silo what this silo says of itself."""
        job, signed = self._joining.consent(signed_job)
        self._length = job.layout.length
        return signed

    def start(self, enrolled_job: bytes, model: bytes) -> None:
        """Begin a job that every silo has signed, from its initial model. A job that has begun is left as it is."""
        with refusals_logged(self._log, "start"):
            job = self._agree(enrolled_job)
            if not self._joining.has_signed(job.job):
                raise MessageRefused(f"this silo has not signed job {job.job.name}", hint="Sign it first")
            if self._job is not None and self._job.digest != job.digest:
                raise MessageRefused(
                    f"job {self._job.job.name} is running on this state", hint="Use a new --state folder"
                )
            if self._job is None:
                arrays = decode_arrays(model, job.job.layout)
                require_model(model_digest(arrays, job.job.layout), job.job.model, "initial model")
                begun = Progress(0, model, self._policy.limits.update_norm)
                self._state.replace({"job/enrolled": enrolled_job, NAME: begun.encode()})
                self._job = job

    # --------------------------------------------------------------------------------------------------------- rounds

    @property
    def started(self) -> bool:
        """Whether a job that every silo signed has begun."""
        return self._job is not None

    @property
    def job(self) -> Job:
        """The job that was started."""
        return self._agreed().job

    @property
    def length(self) -> int:
        """Values in the model of the job that was signed or started; 0 before."""
        return self._length if self._job is None else self._job.job.layout.length

    @property
    def model(self) -> Arrays:
        """The current model: what the next update is trained from."""
        return decode_arrays(self._current().model, self.job.layout)

    @property
    def minimum_silos(self) -> int:
        """How many contributions a round of its job needs, by the policy that all its silos hold the job to."""
        return self._policy.limits.minimum_silos

    @property
    def rounds_done(self) -> int:
        """How many rounds' results have been accepted."""
        return self._current().rounds

    def check_offer(self, offer: bytes, voids: Sequence[bytes] = ()) -> RoundContext:
        """The context of a round that this silo may train for, after every check but those on the update itself."""
        with refusals_logged(self._log, "offer"):
            return self._checked(offer, voids).context

    def recorded(self, context: RoundContext) -> bytes | None:
        """The message that was recorded for this attempt, to be sent again as it is; None before there is one."""
        return self._outbox.recorded(context)

    def contribute(self, offer: bytes, trained: Sequence[NDArray[np.floating]], voids: Sequence[bytes] = ()) -> bytes:
        """This silo's message for an offered attempt: ``trained`` minus the current model, encrypted and signed.

        The parts: signed :class:`Contribution`, sealed key, ciphertext, proof (empty in a job without). Called again
        for the same attempt, it returns the bytes that were recorded first, whatever ``trained`` holds.
        """
        return self._contribute(offer, lambda: difference(trained, self.model, self.job.layout), voids)

    def contribute_update(self, offer: bytes, update: FloatVector, voids: Sequence[bytes] = ()) -> bytes:
        """:meth:`contribute` for who has the update itself: a model that it is added to and taken from again rounds
        it, and the sum of a group must not be rounded."""
        return self._contribute(offer, lambda: update, voids)

    def _contribute(self, offer: bytes, update: Callable[[], FloatVector], voids: Sequence[bytes]) -> bytes:
        with refusals_logged(self._log, "contribute"):
            checked = self._checked(offer, voids)
            context = checked.context
            if (recorded := self.recorded(context)) is not None:
                return recorded
            message = self._encrypt(context, self._fitting.clipped(update(), self.rounds_done + 1, self._held))
            recorded = self._outbox.record(context, message)
            sent = {
                "round": context.round,
                "attempt": context.attempt,
                "context": context.digest().hex(),
                "bytes": len(message),
            }
            self._log.append_all([*checked.measurements(), Event("contribution", sent)])
            return recorded

    def confirm(self, offer: bytes, signed_proposal: bytes, voids: Sequence[bytes] = ()) -> bytes:
        """A signed :class:`Confirmation` of the roster that the aggregator proposes for an offered attempt.

        Durable before it is returned. Refused for a second roster of the same updates, for one that leaves this
        silo's contribution changed, and for one that sets a small group apart: ``confirmations``, ``rosters``.
        """
        with refusals_logged(self._log, "confirm"):
            context = self._checked(offer, voids).context
            job = self._agreed()
            proposal = read(self._security, signed_proposal, RosterProposal, job.job.aggregator, "aggregator")
            recorded = self.recorded(context)
            sent = None if recorded is None else sha256(parts.split(recorded, 4)[0])
            check_proposal(proposal, context, job.job, self._security.name, sent, self._policy.limits.minimum_silos)
            signed = self._confirmations.confirm(
                context,
                proposal,
                minimum_group=self._policy.limits.minimum_roster_group,
                voids=[read_void(job, self._security, void) for void in voids],
                sign=self._security.sign,
            )
            self._log.append(
                "confirmation",
                {
                    "round": context.round,
                    "attempt": context.attempt,
                    "context": context.digest().hex(),
                    "contributors": list(proposal.contributors),
                },
            )
            return signed

    # ----------------------------------------------------------------------------------------------- in a committee

    def member_key(self, request: bytes) -> bytes:
        """As a member: a signed ``MemberKey`` for the aggregator's signed ``OpenRound``."""
        with refusals_logged(self._log, "key"):
            return self._member.key(self._agreed(), self._next(), request)

    def check_shares(self, offer: bytes, request: bytes) -> bytes:
        """As a member: a signed ``ShareReport`` for the aggregator's signed ``ShareRequest``."""
        with refusals_logged(self._log, "shares"):
            return self._member.check_shares(self._agreed(), self._next(), offer, request)

    def open_shares(self, offer: bytes, reports: Sequence[bytes]) -> bytes:
        """As a dealer: a signed ``OpenedShare`` for each of these reports, in which members complain of this silo."""
        with refusals_logged(self._log, "open"):
            job = self._agreed()
            context = read_offer(job, self._security, offer).context
            if (recorded := self.recorded(context)) is None:
                raise MessageRefused("this silo has sent nothing in that attempt", hint="Ask the aggregator's operator")
            return self._dealer.open(job, context, sha256(parts.split(recorded, 4)[0]), reports)

    def member_answer(self, offer: bytes, request: bytes) -> bytes:
        """As a member: signed ``MemberAnswer`` and the sum of its shares, joined, for a ``MemberRequest``."""
        with refusals_logged(self._log, "answer"):
            return self._member.answer(self._agreed(), self._next(), offer, request)

    def member_void(self, offer: bytes, request: bytes) -> bytes:
        """As a member: a signed ``RoundVoid`` for the aggregator's signed ``VoidRequest``."""
        with refusals_logged(self._log, "void"):
            return self._member.void(self._agreed(), self._next(), offer, request)

    # ------------------------------------------------------------------------------------------- receipts and results

    def acknowledged(self, context: RoundContext) -> None:
        """The aggregator has taken this silo's contribution to this attempt, and owes a receipt of it. Durable."""
        self._shelf().acknowledge(context)

    def take_void_receipts(self, receipts: bytes, voids: Sequence[bytes]) -> None:
        """Check and keep the receipts of the voided attempts at the round that is next, joined, oldest first.

        ``voids``: the keeper's, in the same order. ``EvidenceRejected`` where one is missing or not true.
        """
        with refusals_logged(self._log, "receipts"):
            number = self.rounds_done + 1
            voided = Voided(number, tuple(sha256(void) for void in voids))
            self._shelf().take_voids(voided, receipts, self._outbox.of_round(number))

    def accept(self, offer: bytes, release: bytes, result: bytes, receipts: bytes) -> Arrays:
        """The next model, from the mean update of a finished round: the model plus exactly what was published.

        ``result`` joins the signed :class:`RoundResult` and the mean as little-endian float64; ``receipts`` joins this
        silo's receipts for every attempt at the round. ``EvidenceRejected`` where one is missing or not true.
        """
        with refusals_logged(self._log, "result"):
            job = self._agreed()
            context = read_offer(job, self._security, offer).context
            job.context_matches(context)
            if context.round == self.rounds_done:
                return self.model
            if context.round != self.rounds_done + 1:
                raise MessageRefused(
                    f"the result of round {context.round} arrived, {self.rounds_done + 1} is next",
                    hint="Send them in order",
                )
            require_model(context.model, model_digest(self.model, job.job.layout), "model of the round")
            self._offers.require_bounds(job, context, self._current())
            taken = take_result(
                job, context, self.model, release=release, result=result, security=self._security, policy=self._policy
            )
            contributors = taken.contributors
            published = Published(context, contributors, sha256(release), sha256(taken.signed))
            kept = self._shelf().changes(published, receipts, self._outbox.of_round(context.round))
            progress = Progress(context.round, encode_arrays(taken.model, job.job.layout), taken.norm, taken.direction)
            account = account_of(context, contributors, taken.announced)
            self._advance(context, contributors, progress, {**kept, **account})
            self._log.append(
                "round-accepted",
                {
                    "round": context.round,
                    "context": context.digest().hex(),
                    "contributors": list(contributors),
                    "model": taken.announced.model.hex(),
                },
            )
            return taken.model

    # -------------------------------------------------------------------------------------------------------- details

    def _agree(self, enrolled_job: bytes) -> AgreedJob:
        return agree(
            enrolled_job,
            security=self._security,
            policy=self._policy,
            aggregation=self._aggregation,
            proofs=self._proofs,
        )

    def _agreed(self) -> AgreedJob:
        if self._job is None:
            raise CallerError("no job has been started", hint="Call start() with the job that every silo signed")
        return self._job

    def _current(self) -> Progress:
        found = Progress.of(self._state)
        if found is None:
            raise CallerError("no job has been started", hint="Call start() with the job that every silo signed")
        return found

    def _checked(self, offer: bytes, voids: Sequence[bytes]) -> CheckedOffer:
        """An offer after every check. Of attempts that are void no share is shown any more."""
        checked = self._offers.check(self._agreed(), self._current(), offer, voids)
        for context in checked.voided:
            self._dealer.forget(context)
        return checked

    def _next(self) -> OpenRound:
        """What the next round is opened with, by what this silo knows; the attempt aside."""
        job, current = self._agreed(), self._current()
        digest = model_digest(self.model, job.job.layout)
        direction = self._proofs.direction_digest(current.direction)
        return OpenRound(job.digest, current.rounds + 1, 0, digest, current.norm, direction)

    def _held(self, update: FloatVector) -> FloatVector:
        return self._fitting.held(update, self.job.layout, self._current())

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        return self._contributing.message(self._agreed(), context, update, self._current().direction)

    def _shelf(self) -> ReceiptShelf:
        checks = ReceiptChecks(self._agreed(), security=self._security, policy=self._policy, clock=self._clock)
        return ReceiptShelf(checks, self._state, self._log)

    def _advance(
        self,
        context: RoundContext,
        contributors: Sequence[str],
        progress: Progress,
        kept: Mapping[str, bytes | None],
    ) -> None:
        changes = {**self._outbox.emptied(), **self._confirmations.after_round(context.round, contributors)}
        changes |= self._member.after_round(context.round)
        self._state.replace({**changes, **kept, NAME: progress.encode()})
        self._member.wipe()
        self._dealer.forget()
