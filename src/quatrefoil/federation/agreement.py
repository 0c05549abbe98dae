"""What every party checks of a job before it takes part, and of a message before it reads it: written once.

A job is agreed when the aggregator signed it, every silo on its roster signed its consent, all of them are certified
for the roles they play, and it says what this party's own policy says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from quatrefoil.contracts import PrivateAggregation, SumShape, Threshold, TransportSecurity, VerifiedStatement
from quatrefoil.errors import MessageRefused, ParametersRefused, PolicyError
from quatrefoil.federation.commitments import require_commitments
from quatrefoil.federation.messages import Consent, EnrolledJob, Job, Member, RoundContext
from quatrefoil.federation.proving import JobProofs, Subject
from quatrefoil.policy import Policy
from quatrefoil.wire import WireObject

Message = TypeVar("Message", bound=WireObject)

MOST_ATTEMPTS = 1 << 10
"""Attempts at one round, over all restarts of its aggregator: parties remember each of them until the round ends."""

_RECEIPT_KEY = 32
"""Bytes of an Ed25519 key."""


@dataclass(frozen=True)
class AgreedJob:
    """A job that has passed every check of :func:`agree`. ``encoded`` is the enrolled job it came from. ``threshold``:
    of its committee, of whom ``silent`` may not answer; None in a job with a keeper."""

    job: Job
    digest: bytes
    encoded: bytes
    threshold: Threshold | None = None
    silent: int = 0

    def member(self, name: str) -> Member:
        """The silo of this name, or ``MessageRefused``."""
        if (member := self._members.get(name)) is None:
            raise MessageRefused(f"{name} is not on the roster of job {self.job.name}", hint="Enrol it in a new job")
        return member

    @cached_property
    def _members(self) -> dict[str, Member]:
        """By name: a list searched for each of hundreds of silos would be searched for longer than proofs take."""
        return {member.name: member for member in self.job.roster}

    def weight(self, name: str) -> float:
        """A silo's share of the heaviest sample count: in (0, 1]. FedAvg weighs updates by it."""
        return self.member(name).samples / self.job.heaviest

    def subject(self, context: RoundContext, name: str, direction: bytes = b"") -> Subject:
        """Whose contribution to an attempt a proof is about; ``MessageRefused`` for a name not on the roster.
        ``direction``: the entries of the round's, for whoever proves or verifies."""
        member, weight, sizes = self.member(name), self.weight(name), self.job.layout.sizes
        return Subject(
            name,
            member.fingerprint,
            weight,
            shape_of(context),
            context.update_norm,
            layers=sizes,
            direction=context.direction,
            entries=direction,
        )

    def quorum(self, colluding: int) -> int:
        """How many silos must confirm a roster: so many that two quorums share more than ``colluding`` silos.

        Then an honest silo is in both, and confirms no second roster for the same updates.
        """
        return (len(self.job.roster) + colluding) // 2 + 1

    def context_matches(self, context: RoundContext) -> None:
        """Refuse a round context that contradicts the job."""
        job = self.job
        if (context.job, context.scheme_digest, context.length, context.clip) != (
            self.digest,
            job.scheme_digest,
            job.layout.length,
            job.clip,
        ):
            raise MessageRefused(
                f"the context of round {context.round} contradicts job {job.name}", hint="Ask the keeper's operator"
            )
        self.require_attempt(context.round, context.attempt)

    def require_attempt(self, number: int, attempt: int) -> None:
        """Refuse a round that the job does not have, and an attempt at it that no aggregator comes to."""
        job = self.job
        if not 1 <= number <= job.rounds:
            raise MessageRefused(
                f"round {number} is outside 1 to {job.rounds} of job {job.name}", hint="Agree on a new job"
            )
        if not 0 <= attempt < MOST_ATTEMPTS:
            raise MessageRefused(
                f"aggregator {job.aggregator.name} opens attempt {attempt} at round {number}, outside 0 to "
                f"{MOST_ATTEMPTS - 1}",
                hint="Ask the aggregator's operator why rounds are voided, and agree on a new job",
                party=job.aggregator.name,
            )

    def norm_matches(self, context: RoundContext, norm: float) -> None:
        """Refuse a round for any other norm than ``norm``, which this party computed from the published means."""
        if context.update_norm != norm:
            raise MessageRefused(
                f"aggregator {self.job.aggregator.name} opened round {context.round} for a norm of "
                f"{context.update_norm}, and the published means lead to {norm}",
                hint="Ask the aggregator's operator; nothing is sent under another norm",
            )

    def direction_matches(self, context: RoundContext, digest: bytes) -> None:
        """Refuse a round for any other direction than that of ``digest``, which this party computed itself."""
        if context.direction != digest:
            raise MessageRefused(
                f"aggregator {self.job.aggregator.name} opened round {context.round} for another direction than the "
                "published means lead to",
                hint="Ask the aggregator's operator; nothing is sent under another direction",
            )


def shape_of(context: RoundContext) -> SumShape:
    """What the aggregation backend needs to know of a round."""
    return SumShape(length=context.length, clip=context.clip, context=context.digest())


def read(security: TransportSecurity, signed: bytes, kind: type[Message], author: Member, role: str) -> Message:
    """The message of type ``kind`` that ``author`` signed in ``role``, or ``MessageRefused`` naming what differs."""
    statement = security.verify(signed)
    require_author(statement, author, role)
    return kind.decode(statement.body)


def require_author(statement: VerifiedStatement, author: Member, role: str) -> None:
    """Refuse a statement by anyone but ``author``, or in another role."""
    if (statement.signer, statement.role, statement.fingerprint) != (author.name, role, author.fingerprint):
        raise MessageRefused(
            f"signed by {statement.role} {statement.signer}, not by {role} {author.name} with the agreed certificate",
            hint="Check which certificate the sender uses; a new certificate needs a new enrolment",
        )


def check_job(job: Job, policy: Policy, aggregation: PrivateAggregation, proofs: JobProofs) -> None:
    """Refuse a job that differs from this party's own policy, schemes or limits, or that cannot be added up."""
    limits = policy.limits
    if job.policy != policy.digest():
        raise PolicyError(
            f"job {job.name} is under policy {job.policy.hex()[:16]}, this party's is {policy.digest().hex()[:16]}",
            hint="Every party of a job loads the same policy file",
        )
    scheme = aggregation.scheme
    if (job.scheme, job.scheme_digest) != (scheme.name, scheme.digest):
        raise PolicyError(
            f"job {job.name} adds with {job.scheme}, this party with {scheme.name}", hint="Use the same parameter set"
        )
    if job.clip != limits.clip or not 1 <= job.rounds <= limits.rounds:
        raise PolicyError(
            f"job {job.name} asks for clip {job.clip} and {job.rounds} rounds, "
            f"the policy for {limits.clip} and at most {limits.rounds}",
            hint="Start the job again with the policy's values",
        )
    proofs.check_job(job)
    if len(job.parent) not in (0, hashlib.sha256().digest_size):
        raise MessageRefused(f"job {job.name} names its parent in {len(job.parent)} bytes", hint="Check its version")
    _check_receipt_key(job, policy)
    _check_authority(job, policy)
    _check_roster(job.roster, policy, scheme.largest_roster)
    _check_upper(job, policy)


def agree(
    encoded: bytes,
    *,
    security: TransportSecurity,
    policy: Policy,
    aggregation: PrivateAggregation,
    proofs: JobProofs,
) -> AgreedJob:
    """The job in ``encoded`` (an :class:`EnrolledJob`) after every check, or the error that says which failed."""
    enrolled = EnrolledJob.decode(encoded)
    job = open_job(enrolled.job, security=security, policy=policy, aggregation=aggregation, proofs=proofs)
    digest = job.digest()
    if len(enrolled.consents) != len(job.roster):
        raise MessageRefused(
            f"job {job.name} has {len(enrolled.consents)} consents for a roster of {len(job.roster)}",
            hint="Wait until every silo has signed",
        )
    for member, signed in zip(job.roster, enrolled.consents, strict=True):
        if read(security, signed, Consent, member, "silo").job != digest:
            raise MessageRefused(f"{member.name} signed another job than {job.name}", hint="Ask it to sign this one")
    return AgreedJob(job, digest, encoded, policy.threshold, policy.key_authority.silent)


def open_job(
    signed: bytes,
    *,
    security: TransportSecurity,
    policy: Policy,
    aggregation: PrivateAggregation,
    proofs: JobProofs,
) -> Job:
    """The job that its aggregator signed and that fits this party's policy; consents are not looked at."""
    statement = security.verify(signed)
    job = Job.decode(statement.body)
    require_author(statement, job.aggregator, "aggregator")
    check_job(job, policy, aggregation, proofs)
    return job


def statement_digest(statement: VerifiedStatement) -> bytes:
    """32 bytes that name what was signed, and by which certificate."""
    return sha256(statement.fingerprint + statement.body)


def sha256(data: bytes) -> bytes:
    """SHA-256: names what travels beside a signed message."""
    return hashlib.sha256(data).digest()


def _check_receipt_key(job: Job, policy: Policy) -> None:
    expected = _RECEIPT_KEY if policy.signs_receipts_twice else 0
    if len(job.receipt_key) != expected:
        raise PolicyError(
            f"job {job.name} has a receipt key of {len(job.receipt_key)} bytes, and the policy asks for {expected}",
            hint="The aggregator gives an Ed25519 key exactly where audit.receipts asks for one",
        )


def _check_upper(job: Job, policy: Policy) -> None:
    if len(job.upper) not in (0, hashlib.sha256().digest_size):
        raise MessageRefused(
            f"job {job.name} names its upper job in {len(job.upper)} bytes", hint="Check the aggregator's version"
        )
    if bool(job.upper) != policy.goes_up:
        raise PolicyError(
            f"job {job.name} {'goes up to another job' if job.upper else 'stands alone'}, and by policy {policy.name} "
            f"its place is {policy.place!r}",
            hint='The aggregator is started with --upper exactly where the policy says place = "group" under [tree]',
        )
    if job.heaviest != (expected := heaviest(job.roster, policy, job.upper)):
        raise MessageRefused(
            f"job {job.name} weighs a count of {job.heaviest} as 1, and it is {expected} that does",
            hint="Ask the aggregator's operator: another number costs every silo precision",
        )


def heaviest(roster: Collection[Member], policy: Policy, upper: bytes) -> int:
    """The sample count that weighs 1: the largest on the roster; in a group of a tree the largest that the policy
    takes, which all groups have in common, so that their sums can be added."""
    return policy.limits.largest_sample_count if upper else max(member.samples for member in roster)


def _check_authority(job: Job, policy: Policy) -> None:
    """A keeper with a name, or the committee that the policy appoints among the roster."""
    if not policy.key_authority.is_committee:
        if job.members or not job.keeper.name:
            raise PolicyError(
                f"job {job.name} has no keeper, and the policy asks for one", hint="Make the job under the same policy"
            )
        return
    appointed = policy.key_authority.appointed(tuple(member.name for member in job.roster))
    if (job.members, job.keeper.name) != (appointed, ""):
        raise PolicyError(
            f"job {job.name} has {', '.join(job.members) or 'nobody'} for its committee, and the policy appoints "
            f"{', '.join(appointed)}, and no keeper",
            hint="Make the job under the same policy",
        )


def _check_roster(roster: Collection[Member], policy: Policy, largest: int) -> None:
    limits = policy.limits
    names = [member.name for member in roster]
    if names != sorted(set(names)) or len({member.fingerprint for member in roster}) != len(names):
        raise MessageRefused(
            "the roster is not sorted, or names a silo or certificate twice", hint="Ask the aggregator's operator"
        )
    if len(names) < limits.minimum_silos:
        raise PolicyError(
            f"{len(names)} silos are fewer than the policy's minimum of {limits.minimum_silos}", hint="Enrol more silos"
        )
    if len(names) < policy.witnesses:
        raise PolicyError(
            f"the policy asks for {policy.witnesses} witnesses, and the roster has {len(names)} silos: "
            f"{', '.join(names)}",
            hint="Enrol more silos, or agree on fewer witnesses",
        )
    if len(names) > largest:
        raise ParametersRefused(
            f"{len(names)} silos are more than the {largest} that the aggregation scheme holds",
            hint="Choose a parameter set for more silos (value_bits in the policy)",
        )
    for member in roster:
        require_commitments(member.name, member.data, member.code)
        if not 1 <= member.samples <= limits.largest_sample_count:
            raise PolicyError(
                f"{member.name} counts {member.samples} samples, outside 1 to {limits.largest_sample_count}",
                hint="Correct its count, or agree on another largest_sample_count",
            )
