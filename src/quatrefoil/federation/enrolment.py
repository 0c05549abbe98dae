"""How a job comes to be, at the aggregator: invitations out, enrolments in, one job, everybody's consent.

After the last consent nothing of it changes: the rounds bind the job's hash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from quatrefoil.audit import Log
from quatrefoil.contracts import IntegrityProof, PrivateAggregation, TransportSecurity, VerifiedStatement
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.federation.agreement import AgreedJob, agree, check_job, heaviest, read, statement_digest
from quatrefoil.federation.commitments import require_commitments
from quatrefoil.federation.messages import Consent, EnrolledJob, Enrolment, Invitation, Job, Member
from quatrefoil.federation.proving import JobProofs
from quatrefoil.federation.vectors import Layout
from quatrefoil.policy import Policy
from quatrefoil.state import State

INVITATION_LIFE = timedelta(days=7)


@dataclass(frozen=True)
class JobTerms:
    """What the operator decides: the job's name, whom to invite, who keeps keys (``authorities.NOBODY`` where a
    committee does), what is trained for how long. ``parent``: SHA-256 of the statement about the model that it starts
    from, empty for none."""

    name: str
    silos: tuple[str, ...]
    keeper: Member
    layout: Layout
    model: bytes
    rounds: int
    plan: bytes
    receipt_key: bytes
    """The aggregator's public Ed25519 key for receipts, raw; empty where the policy asks for none."""
    parent: bytes = b""
    upper: bytes = b""
    """The digest of the job that this group's sums go up to, empty for none."""


class Enrolments:
    """Gathers a job. Everything that it accepts is durable, so that a restart goes on where it stopped."""

    def __init__(
        self,
        terms: JobTerms,
        *,
        security: TransportSecurity,
        aggregation: PrivateAggregation,
        proofs: IntegrityProof | None,
        policy: Policy,
        state: State,
        log: Log,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
    ) -> None:
        if len(set(terms.silos)) != len(terms.silos) or not terms.silos:
            raise CallerError("the silos to invite are none, or one of them twice", hint="Name each silo once")
        self._terms = terms
        self._security = security
        self._aggregation = aggregation
        self._proofs = JobProofs(proofs, policy)
        self._policy = policy
        self._state = state
        self._log = log
        self._clock = clock
        self._random = random
        self._made: tuple[bytes, Job] | None = None
        # Its own certificate, as others see it: taken from a signature of its own.
        self._own = security.verify(security.sign(b"quatrefoil/self"))

    def go_up(self, upper: bytes) -> None:
        """Make the job that of a group, whose sums go up to the job of this digest. A job that goes up to another one
        is ``CallerError``."""
        stored = self._state.get("job/signed")
        if stored is not None and (made := Job.decode(self._security.verify(stored).body)).upper != upper:
            raise CallerError(
                f"this state holds job {made.name}, which goes up to job {made.upper.hex()[:16] or 'none'}, and the "
                f"upper job is {upper.hex()[:16]}",
                hint="Start it with the upper state that it was made with, or give a new job a new --state folder",
            )
        self._terms = replace(self._terms, upper=upper)

    @property
    def invited(self) -> frozenset[str]:
        """The silos of the job."""
        return frozenset(self._terms.silos)

    def invite(self, silo: str) -> bytes:
        """The signed :class:`Invitation` of a silo: always the same bytes for one silo of one job."""
        if silo not in self._terms.silos:
            raise MessageRefused(
                f"{silo} is not invited to job {self._terms.name}", hint="Name it when the job is made"
            )
        expires = int((self._clock() + INVITATION_LIFE).timestamp())
        invitation = Invitation(self._terms.name, silo, self._policy.digest(), expires, self._random(16))
        return self._state.put_once(f"invitation/{silo}", self._security.sign(invitation.encode()))

    def enrol(self, signed: bytes) -> str:
        """Accept a signed :class:`Enrolment`; returns the silo's name. The same one again changes nothing."""
        statement = self._security.verify(signed)
        if statement.role != "silo" or statement.signer not in self._terms.silos:
            raise MessageRefused(
                f"{statement.role} {statement.signer} is not invited to job {self._terms.name}",
                hint="Ask for an invitation",
            )
        enrolment = Enrolment.decode(statement.body)
        self._check_invitation(statement.signer, enrolment)
        stored = self._state.put_once(f"enrolment/{statement.signer}", signed)
        if stored != signed and self._member(stored) != _member(statement, enrolment):
            raise MessageRefused(
                f"{statement.signer} has enrolled already, with another certificate, count or commitment",
                hint="An invitation is used once; start a new job",
            )
        if stored == signed:
            body = {"job": self._terms.name, "silo": statement.signer, "samples": enrolment.samples}
            self._log.append("enrolment", body | _committed(enrolment))
        return statement.signer

    def missing(self) -> list[str]:
        """Invited silos that have not enrolled."""
        return [silo for silo in sorted(self._terms.silos) if self._state.get(f"enrolment/{silo}") is None]

    def unsigned(self) -> list[str]:
        """Invited silos that have not consented to the job."""
        return [silo for silo in sorted(self._terms.silos) if self._state.get(f"consent/{silo}") is None]

    def job(self) -> bytes:
        """The signed :class:`Job` over everyone invited, once all have enrolled."""
        if self._made is None:
            self._made = self._make_job()
        return self._made[0]

    def consent(self, signed: bytes) -> str:
        """Accept a silo's signed :class:`Consent`; returns its name."""
        job = self._job()
        signer = self._security.verify(signed).signer
        member = next((member for member in job.roster if member.name == signer), None)
        if member is None:
            raise MessageRefused(f"{signer} is not on the roster of job {job.name}", hint="Enrol it in a new job")
        if read(self._security, signed, Consent, member, "silo").job != job.digest():
            raise MessageRefused(f"{signer} signed another job than {job.name}", hint="Ask it to sign this one")
        if self._state.put_once(f"consent/{signer}", signed) == signed:
            self._log.append("consent", {"job": job.digest().hex(), "silo": signer})
        return signer

    def agreed(self) -> AgreedJob | None:
        """The job with everybody's consent, or None while a consent is missing."""
        if self._state.get("job/signed") is None:
            return None
        consents = [self._state.get(f"consent/{member.name}") for member in self._job().roster]
        if any(consent is None for consent in consents):
            return None
        return self._agree([consent for consent in consents if consent is not None])

    def _make_job(self) -> tuple[bytes, Job]:
        if missing := self.missing():
            raise MessageRefused(
                f"still waiting for {', '.join(missing)} to enrol", hint="Wait, or make the job without them"
            )
        job = self._job_of_terms()
        if (signed := self._state.get("job/signed")) is not None:
            if (stored := Job.decode(self._security.verify(signed).body)) != job:
                raise CallerError(
                    f"this state holds job {stored.name}, made with other terms, policy or certificate",
                    hint="Start it as it was made, or give the new job a new --state folder",
                )
            return signed, job
        check_job(job, self._policy, self._aggregation, self._proofs)
        return self._state.put_once("job/signed", self._security.sign(job.encode())), job

    def _agree(self, consents: Sequence[bytes]) -> AgreedJob:
        encoded = EnrolledJob(self.job(), tuple(consents)).encode()
        return agree(
            encoded,
            security=self._security,
            policy=self._policy,
            aggregation=self._aggregation,
            proofs=self._proofs,
        )

    def _job_of_terms(self) -> Job:
        scheme = self._aggregation.scheme
        roster = tuple(self._member(self._enrolment(silo)) for silo in sorted(self._terms.silos))
        return Job(
            name=self._terms.name,
            policy=self._policy.digest(),
            plan=self._terms.plan,
            scheme=scheme.name,
            scheme_digest=scheme.digest,
            layout=self._terms.layout,
            clip=self._policy.limits.clip,
            proofs=self._proofs.scheme,
            update_norm=self._policy.limits.update_norm,
            rounds=self._terms.rounds,
            model=self._terms.model,
            receipt_key=self._terms.receipt_key,
            parent=self._terms.parent,
            heaviest=heaviest(roster, self._policy, self._terms.upper),
            upper=self._terms.upper,
            aggregator=Member(self._own.signer, self._own.fingerprint, 0),
            keeper=self._terms.keeper,
            roster=roster,
            members=self._members(),
        )

    def _members(self) -> tuple[str, ...]:
        authority = self._policy.key_authority
        return authority.appointed(tuple(sorted(self._terms.silos))) if authority.is_committee else ()

    def _job(self) -> Job:
        self.job()
        assert self._made is not None
        return self._made[1]

    def _check_invitation(self, silo: str, enrolment: Enrolment) -> None:
        issued = self._state.get(f"invitation/{silo}")
        if issued is None or statement_digest(self._security.verify(issued)) != enrolment.invitation:
            raise MessageRefused(
                f"{silo} enrols with an invitation that was not issued to it", hint="Use the invitation it was sent"
            )
        invitation = Invitation.decode(self._security.verify(issued).body)
        if invitation.expires <= self._clock().timestamp():
            raise MessageRefused(f"the invitation of {silo} has expired", hint="Make a new job with new invitations")
        require_commitments(silo, enrolment.data, enrolment.code)
        limit = self._policy.limits.largest_sample_count
        if not 1 <= enrolment.samples <= limit:
            raise MessageRefused(
                f"{silo} counts {enrolment.samples} samples, outside 1 to {limit}", hint="Correct the count", party=silo
            )

    def _enrolment(self, silo: str) -> bytes:
        stored = self._state.get(f"enrolment/{silo}")
        assert stored is not None
        return stored

    def _member(self, signed: bytes) -> Member:
        statement = self._security.verify(signed)
        return _member(statement, Enrolment.decode(statement.body))


def _member(statement: VerifiedStatement, enrolment: Enrolment) -> Member:
    return Member(statement.signer, statement.fingerprint, enrolment.samples, enrolment.data, enrolment.code)


def _committed(enrolment: Enrolment) -> dict[str, str]:
    """What was committed to, for the log; nothing is said of what was not."""
    return {name: value.hex() for name, value in (("data", enrolment.data), ("code", enrolment.code)) if value}
