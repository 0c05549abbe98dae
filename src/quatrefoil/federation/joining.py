"""How a silo joins: it enrols for an invitation, and signs one job of a name that says of it what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from quatrefoil.audit import Log
from quatrefoil.contracts import PrivateAggregation, TransportSecurity, VerifiedStatement
from quatrefoil.errors import MessageRefused, QuatrefoilError
from quatrefoil.federation.agreement import open_job, statement_digest
from quatrefoil.federation.commitments import Commitments
from quatrefoil.federation.messages import Consent, Enrolment, Invitation, Job
from quatrefoil.federation.proving import JobProofs
from quatrefoil.federation.refusals import refusals_logged
from quatrefoil.policy import Policy
from quatrefoil.state import State


class Joining:
    """A silo before a job begins. ``samples`` and ``commits``: what it says of itself."""

    def __init__(
        self,
        *,
        security: TransportSecurity,
        aggregation: PrivateAggregation,
        proofs: JobProofs,
        policy: Policy,
        samples: int,
        commits: Commitments,
        state: State,
        log: Log,
        clock: Callable[[], datetime],
    ) -> None:
        self._security = security
        self._aggregation = aggregation
        self._proofs = proofs
        self._policy = policy
        self._samples = samples
        self._commits = commits
        self._state = state
        self._log = log
        self._clock = clock

    def enrol(self, invitation: bytes) -> bytes:
        """A signed :class:`Enrolment` for an :class:`Invitation` that an aggregator signed for this silo."""
        with refusals_logged(self._log, "invitation"):
            statement = self._security.verify(invitation)
            _require_role(statement, "aggregator")
            wanted = Invitation.decode(statement.body)
            if wanted.silo != self._security.name:
                raise MessageRefused(
                    f"the invitation is for {wanted.silo}, not {self._security.name}", hint="Ask for your own"
                )
            if wanted.expires <= self._clock().timestamp():
                raise MessageRefused(
                    f"the invitation to job {wanted.job} has expired", hint="Ask the aggregator for a new one"
                )
            if wanted.policy != self._policy.digest():
                raise MessageRefused(
                    f"the invitation is to a job under policy {wanted.policy.hex()[:16]}, "
                    f"this silo's is {self._policy.digest().hex()[:16]}",
                    hint="Compare the two policy files; every party of a job loads the same one",
                )
            self._log.append("enrolment", {"job": wanted.job, "aggregator": statement.signer, "samples": self._samples})
            enrolment = Enrolment(statement_digest(statement), self._samples, self._commits.data, self._commits.code)
            return self._security.sign(enrolment.encode())

    def consent(self, signed_job: bytes) -> tuple[Job, bytes]:
        """A job that its aggregator signed, with a signed :class:`Consent` to it, if it says of this silo what this
        silo says of itself. One job of a name, also after a restart."""
        with refusals_logged(self._log, "job"):
            job = open_job(
                signed_job,
                security=self._security,
                policy=self._policy,
                aggregation=self._aggregation,
                proofs=self._proofs,
            )
            mine = next((member for member in job.roster if member.name == self._security.name), None)
            if mine is None or mine.samples != self._samples:
                counted = "is missing" if mine is None else f"counts {mine.samples} samples, not {self._samples}"
                raise MessageRefused(
                    f"{self._security.name} {counted} on the roster of job {job.name}", hint="Enrol again"
                )
            self.require_own(job, MessageRefused)
            digest = job.digest()
            if self._state.put_once(_name(job), digest) != digest:
                raise MessageRefused(
                    f"another job named {job.name} was signed before", hint="Give the new job a new name"
                )
            self._log.append("consent", {"job": digest.hex(), "name": job.name, "roster": [m.name for m in job.roster]})
            return job, self._security.sign(Consent(digest).encode())

    def require_own(self, job: Job, refusal: type[QuatrefoilError]) -> None:
        """The job says of this silo's data and code what this silo says, also after a restart."""
        for member in job.roster:
            if member.name == self._security.name and (member.data, member.code) != (
                self._commits.data,
                self._commits.code,
            ):
                raise refusal(
                    f"{member.name} is on the roster of job {job.name} with other data or other code than it has now",
                    hint="Put the data and code back with which it enrolled, or enrol in a new job",
                )

    def has_signed(self, job: Job) -> bool:
        """Whether this silo has signed exactly this job."""
        return self._state.get(_name(job)) == job.digest()


def _require_role(statement: VerifiedStatement, role: str) -> None:
    if statement.role != role:
        raise MessageRefused(
            f"signed by {statement.role} {statement.signer}, not by an {role}", hint="Check the sender"
        )


def _name(job: Job) -> str:
    return f"consent/{job.name}"


__all__ = ["Joining"]
