"""What a silo checks of an offered attempt before anything of its update is in it.

The attempt is of its job, of the round that is next for it, from its own model; what it has sent to before is void; and
the evidence of the sealing key's holder was appraised for the key of exactly this context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quatrefoil.audit import Event
from quatrefoil.contracts import Appraisal, IsolationAppraiser, TransportSecurity
from quatrefoil.errors import MessageRefused
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.authorities import read_offer, read_void
from quatrefoil.federation.messages import RoundContext
from quatrefoil.federation.outbox import Outbox
from quatrefoil.federation.progress import Progress
from quatrefoil.federation.proving import JobProofs
from quatrefoil.federation.results import require_model
from quatrefoil.federation.vectors import decode_arrays, model_digest


@dataclass(frozen=True)
class CheckedOffer:
    """An offer after every check, and what its evidence was found to show: None with a committee, which gives none.
    ``voided``: contexts of the attempts that are void."""

    context: RoundContext
    evidence: bytes
    appraisal: Appraisal | None
    voided: frozenset[bytes] = frozenset()

    def measurements(self) -> list[Event]:
        """For the log: where the keeper's evidence shows that it holds keys, and by which appraisal policy."""
        if self.appraisal is None:
            return []
        body = {
            "context": self.context.digest().hex(),
            "enclave": self.appraisal.kind,
            "isolation": self.appraisal.isolation,
            "appraisal": self.appraisal.policy.hex(),
        }
        return [Event("measurement", body, {"evidence": self.evidence})]


class OfferChecks:
    """``appraiser``: of the keeper's evidence; None with a committee. ``outbox``: what this silo has sent."""

    def __init__(
        self,
        *,
        security: TransportSecurity,
        proofs: JobProofs,
        appraiser: IsolationAppraiser | None,
        outbox: Outbox,
    ) -> None:
        self._security = security
        self._proofs = proofs
        self._appraiser = appraiser
        self._outbox = outbox

    def check(self, job: AgreedJob, current: Progress, offer: bytes, voids: Sequence[bytes]) -> CheckedOffer:
        """An offer of the round after ``current``, from its model and within its bounds, by evidence that was
        appraised; and ``voids`` of every other attempt that this silo has sent to."""
        wanted = read_offer(job, self._security, offer)
        context = wanted.context
        job.context_matches(context)
        if context.round != current.rounds + 1:
            raise MessageRefused(
                f"round {context.round} was offered, {current.rounds + 1} is next", hint="Send the results in between"
            )
        model = decode_arrays(current.model, job.job.layout)
        require_model(context.model, model_digest(model, job.job.layout), "model of the round")
        self.require_bounds(job, context, current)
        voided = frozenset(read_void(job, self._security, void).context for void in voids)
        self._outbox.require_voids(context, voided)
        # Last, since what is appraised is the key of exactly this context.
        appraisal = None
        if self._appraiser is not None:
            appraisal = self._appraiser.appraise(wanted.evidence, report_data=context.digest())
        return CheckedOffer(context, wanted.evidence, appraisal, voided)

    def require_bounds(self, job: AgreedJob, context: RoundContext, current: Progress) -> None:
        """The norm and the direction of the round are those that ``current`` leads to."""
        job.norm_matches(context, current.norm)
        job.direction_matches(context, self._proofs.direction_digest(current.direction))


__all__ = ["CheckedOffer", "OfferChecks"]
