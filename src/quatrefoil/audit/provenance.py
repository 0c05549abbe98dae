"""Where a model comes from: an in-toto statement (Statement v1) about one training run.

The statement says which model came out, from which it started, under which policy, plan and parameters, who
contributed to every round, and what each silo said of its data and code. docs/provenance.md says what each field is
worth: who signs it has checked some, and repeats the others.

The model before is named by its root and by the SHA-256 of the statement about it (of the payload, not of the file: the
file grows by signatures). A statement cannot name itself, or a later one that names it, so ancestry has no circles.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from quatrefoil.audit import dsse, json_form
from quatrefoil.audit.dsse import Envelope
from quatrefoil.audit.json_form import named, said_as
from quatrefoil.audit.manifest import Header, Manifest
from quatrefoil.errors import EvidenceRejected

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:quatrefoil:predicate:training:v1"

NO_PARENT = "none: initial model given as is"
NO_BOUND = "no bound"
COMMITTEE = "a committee of silos, as the job names them"
NOT_COMMITTED = "not committed"
NOT_STATED = "not stated"

MOST_ROUNDS = 1 << 20
MOST_SILOS = 1 << 12
LONGEST_TEXT = 1 << 10
_HINT = "Ask the aggregator's operator; a statement that does not hold is no evidence"


@dataclass(frozen=True)
class ModelDigests:
    """``sha256``: of the canonical bytes; ``quatrefoil_model_v1``: the root of :mod:`quatrefoil.audit.manifest`."""

    sha256: bytes
    quatrefoil_model_v1: bytes

    @classmethod
    def of(cls, manifest: Manifest) -> ModelDigests:
        return cls(manifest.sha256, manifest.root)


@dataclass(frozen=True)
class Subject:
    """A model, by the name of the job that made it."""

    name: str
    digest: ModelDigests


@dataclass(frozen=True)
class Job:
    """Digests of the job that every silo signed, of its policy, and of the plan that the policy led to."""

    name: str
    digest: bytes
    policy: bytes
    plan: bytes


@dataclass(frozen=True)
class Parameters:
    """What the job agreed on. ``proofs``: the scheme, "" in a job without; ``insecure``: accepted stand-ins."""

    rounds: int
    clip: float
    scheme: str
    scheme_digest: bytes
    proofs: str
    insecure: tuple[str, ...]
    update_norm: float | None = said_as(NO_BOUND)


@dataclass(frozen=True)
class Initial:
    """The model that the first round started from. ``digest``: as the job names it; ``statement``: SHA-256 of the
    statement about it."""

    digest: bytes
    model: ModelDigests
    statement: bytes | None = said_as(NO_PARENT)


@dataclass(frozen=True)
class Signer:
    """A party by name and certificate (SHA-256 of its DER)."""

    name: str
    certificate: bytes


@dataclass(frozen=True)
class Silo:
    """A silo, and what it signed when it enrolled: how many samples, a commitment to them, a digest of its code."""

    name: str
    certificate: bytes
    samples: int
    data: bytes | None = said_as(NOT_COMMITTED)
    code: bytes | None = said_as(NOT_STATED)


@dataclass(frozen=True)
class Refused:
    """A silo that was refused in an attempt, and why, by the aggregator's account."""

    silo: str
    reason: str


@dataclass(frozen=True)
class Round:
    """One round. ``attempt`` counts from 0, so it is also how many attempts before were void. ``context``,
    ``release``, ``mean`` and ``model``: digests of the round's context, of the keeper's signed release (which names the
    contributors), of the published mean update, and of the model that it led to. ``update_norm``: what an update might
    have."""

    number: int
    attempt: int
    context: bytes
    contributors: tuple[str, ...]
    refused: tuple[Refused, ...]
    release: bytes
    mean: bytes
    model: bytes
    update_norm: float | None = said_as(NO_BOUND)


@dataclass(frozen=True)
class Software:
    """What the aggregator says it runs: version of Quatrefoil, and SHA-256 of its kernel's file."""

    version: str
    kernel: bytes | None = said_as(NOT_STATED)


@dataclass(frozen=True)
class Training:
    """The predicate. Times are the aggregator's."""

    job: Job
    parameters: Parameters
    layout: Header
    initial: Initial
    aggregator: Signer
    silos: tuple[Silo, ...]
    rounds: tuple[Round, ...]
    software: Software
    started_on: datetime
    finished_on: datetime
    keeper: Signer | None = said_as(COMMITTEE)  # noqa: RUF009


@dataclass(frozen=True)
class Statement:
    """An in-toto statement with one subject."""

    subject: tuple[Subject, ...]
    predicate_type: str
    predicate: Training
    type: str = named("_type")

    @classmethod
    def about(cls, training: Training, model: Manifest) -> Statement:
        """The statement that ``training`` led to ``model``."""
        subject = Subject(training.job.name, ModelDigests.of(model))
        return cls((subject,), PREDICATE_TYPE, training, STATEMENT_TYPE)

    @property
    def model(self) -> ModelDigests:
        """The model that it is about."""
        return self.subject[0].digest

    def encode(self) -> bytes:
        """The payload of an envelope."""
        return json_form.encode(self)

    def may_sign(self) -> dict[bytes, tuple[str, str]]:
        """Name and role of every party that may sign, by the SHA-256 of its certificate."""
        training = self.predicate
        silos = {silo.certificate: (silo.name, "silo") for silo in training.silos}
        return silos | {training.aggregator.certificate: (training.aggregator.name, "aggregator")}


def read(envelope: Envelope) -> Statement:
    """The statement in an envelope, consistent in itself, or ``EvidenceRejected``. Signatures are not looked at."""
    if envelope.payload_type != dsse.IN_TOTO:
        raise _wrong(f"the payload is {envelope.payload_type[:60]!r}, no in-toto statement")
    statement = json_form.decode(Statement, envelope.payload, "statement", limit=dsse.LARGEST_PAYLOAD)
    if statement.type != STATEMENT_TYPE or statement.predicate_type != PREDICATE_TYPE:
        raise _wrong(f"the statement is {statement.predicate_type[:80]!r}, not about training")
    check(statement)
    return statement


def check(statement: Statement) -> None:
    """``EvidenceRejected`` where the parts of a statement do not go together."""
    training = statement.predicate
    if len(statement.subject) != 1 or statement.subject[0].name != training.job.name:
        raise _wrong("the statement is not about one model with the name of its job")
    for model in (statement.model, training.initial.model):
        _require_digests(model.sha256, model.quatrefoil_model_v1)
    job, parameters = training.job, training.parameters
    _require_digests(job.digest, job.policy, job.plan, parameters.scheme_digest, training.initial.digest)
    _require_digests(training.initial.statement, training.software.kernel)
    _require_digests(training.aggregator.certificate, None if training.keeper is None else training.keeper.certificate)
    if not 1 <= parameters.rounds <= MOST_ROUNDS or len(training.rounds) != parameters.rounds:
        raise _wrong(f"{len(training.rounds)} rounds are listed of {parameters.rounds}")
    if training.finished_on < training.started_on:
        raise _wrong("the training ended before it began")
    _check_silos(training)
    for number, one in enumerate(training.rounds, 1):
        _check_round(one, number, {silo.name for silo in training.silos})
    if len(training.rounds) == 0 or len({one.context for one in training.rounds}) != len(training.rounds):
        raise _wrong("two rounds have one context")


def _check_silos(training: Training) -> None:
    names = [silo.name for silo in training.silos]
    if not 1 <= len(names) <= MOST_SILOS or names != sorted(set(names)):
        raise _wrong("the silos are none, too many, not sorted, or one is there twice")
    for silo in training.silos:
        _require_digests(silo.certificate, silo.data, silo.code)
        if silo.samples < 1:
            raise _wrong(f"{silo.name[:80]} has no samples")
    certificates = {silo.certificate for silo in training.silos} | {training.aggregator.certificate}
    if len(certificates) != len(names) + 1:
        raise _wrong("two parties have one certificate")


def _check_round(one: Round, number: int, silos: set[str]) -> None:
    if one.number != number:
        raise _wrong(f"round {one.number} stands where {number} is next")
    _require_digests(one.context, one.release, one.mean, one.model)
    contributors, refused = list(one.contributors), [entry.silo for entry in one.refused]
    if not contributors or contributors != sorted(set(contributors)) or not silos >= set(contributors):
        raise _wrong(f"the contributors to round {number} are none, not sorted, or not silos of the job")
    if refused != sorted(set(refused)) or not silos >= set(refused) or set(refused) & set(contributors):
        raise _wrong(f"who is refused in round {number} is not sorted, no silo of the job, or contributed")
    if any(len(entry.reason) > LONGEST_TEXT for entry in one.refused):
        raise _wrong(f"a reason in round {number} is over {LONGEST_TEXT} characters")


def _require_digests(*digests: bytes | None) -> None:
    if any(digest is not None and len(digest) != hashlib.sha256().digest_size for digest in digests):
        raise _wrong("a digest does not have 32 bytes")


def _wrong(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT)
