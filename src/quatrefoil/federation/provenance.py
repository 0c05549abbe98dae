"""The statement about a finished job: made by the aggregator, held by every silo against what it saw itself, and signed
by those who find it true.

Rules (docs/provenance.md):

1. One statement a job: the aggregator makes it once, a silo signs one of a job, also after a restart.
2. A silo signs only what its own state leads to, field by field. What it cannot know (refusals of others, what the
   aggregator runs, times) it passes on, and the page says so.
3. A job that begins with a model of an earlier job begins only after the statement about that model was verified.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from quatrefoil.audit import Event, Log, provenance
from quatrefoil.audit.ancestry import CLOCKS_APART, majority, signed_by
from quatrefoil.audit.dsse import IN_TOTO, Envelope, Notary, Signature, Verifier
from quatrefoil.audit.manifest import Manifest
from quatrefoil.audit.provenance import Statement
from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.accounts import RoundRefusals, accounts, refusals
from quatrefoil.federation.messages import EnrolledJob, Job
from quatrefoil.federation.refusals import LONGEST_REASON, refusals_logged
from quatrefoil.federation.statements import Arrays, difference, manifest_of, own_software, statement_of
from quatrefoil.federation.vectors import decode_arrays
from quatrefoil.policy import Policy
from quatrefoil.state import State

_STATEMENT, _STARTED, _INITIAL = "provenance/statement", "provenance/started", "provenance/initial"
_SIGNED = "provenance/signed/"
_HINT = "Ask the aggregator's operator; the model may be right all the same"


class AggregatorProvenance:
    """The aggregator's side: one object a job, made before its first round and again after a restart."""

    def __init__(
        self,
        initial: Arrays,
        parent: bytes | None,
        *,
        notary: Notary,
        policy: Policy,
        state: State,
        log: Log,
        clock: Callable[[], datetime],
        ancestors: Verifier | None = None,
    ) -> None:
        """``parent``: the envelope about ``initial``, None for a model without one. ``ancestors``: whom to believe of
        it, if not the roots of this job."""
        self._initial = manifest_of(initial)
        self._notary = notary
        self._policy = policy
        self._state = state
        self._log = log
        self._clock = clock
        self.parent = parent or b""
        """The envelope about the initial model, for the silos; empty for none."""
        self.parent_digest = (
            b"" if parent is None else _check_parent(parent, self._initial, ancestors or notary.verifier)
        )
        """What the job names it by."""
        self._started = _time_of(state.put_once(_STARTED, clock().astimezone(UTC).isoformat().encode()))

    @property
    def is_made(self) -> bool:
        return self._state.get(_STATEMENT) is not None

    def make(self, job: Job, model: Arrays) -> Envelope:
        """The envelope with every signature so far, once all rounds are done; durable and logged when it is new."""
        if self.is_made:
            return self.envelope()
        finished = accounts(self._state)
        refused = [refusals(self._state, one.number) for one in finished]
        statement = statement_of(
            job,
            self._policy,
            (self._initial, manifest_of(model)),
            finished,
            refused,
            own_software(),
            (self._started, max(self._started, self._clock().astimezone(UTC).replace(microsecond=0))),
        )
        provenance.check(statement)
        payload = statement.encode()
        signature = self._notary.sign(payload)
        self._state.put_once(_STATEMENT, parts.join([payload, signature.certificate, signature.signature]))
        _log_statement(self._log, statement, self.own())
        return self.envelope()

    def own(self) -> Envelope:
        """The envelope with the aggregator's signature alone: what silos are asked to sign."""
        return _stored_envelope(self._state)

    def envelope(self) -> Envelope:
        """The envelope with every signature so far: the aggregator's, then the silos', by name."""
        envelope = self.own()
        for name in self._state.names(_SIGNED):
            envelope = envelope.with_signature(_signature_in(_get(self._state, name)))
        return envelope

    def has_signed(self, silo: str) -> bool:
        return self._state.get(_SIGNED + silo) is not None

    def signed(self, silo: str, message: bytes) -> None:
        """Take the signature that the silo of this name delivered, or raise; refusals are logged."""
        with refusals_logged(self._log, "provenance"):
            own = self.own()
            signature = _signature_in(message)
            statement = provenance.read(own)
            if statement.may_sign().get(signature.keyid) != (silo, "silo"):
                raise MessageRefused(
                    f"{silo} brings a signature with a certificate that is not its own in the job",
                    hint="Sign with the certificate that it enrolled with",
                    party=silo,
                )
            signed_by(own.with_signature(signature), statement, self._notary.verifier)
            if self._state.put_once(_SIGNED + silo, message) == message:
                body = {"silo": silo, "statement": own.digest.hex()}
                self._log.append("provenance", body, {"envelope": own.with_signature(signature).encode()})

    def objected(self, silo: str, reason: str) -> None:
        """Log that a silo does not sign."""
        body = {"asked": "provenance", "silo": silo, "reason": f"does not sign: {reason}"[:LONGEST_REASON]}
        self._log.append("refusal", body)


class SiloProvenance:
    """A silo's side."""

    def __init__(
        self,
        *,
        security: TransportSecurity,
        notary: Notary,
        policy: Policy,
        state: State,
        log: Log,
        clock: Callable[[], datetime],
        ancestors: Verifier | None = None,
    ) -> None:
        self._security = security
        self._notary = notary
        self._policy = policy
        self._state = state
        self._log = log
        self._clock = clock
        self._ancestors = ancestors or notary.verifier

    def begin(self, enrolled_job: bytes, model: bytes, parent: bytes) -> None:
        """Before a job starts: that the model it begins with is the one its parent's statement is about.

        The job itself is checked by ``Silo.start``; what is remembered here is used only for a job that passes there.
        """
        with refusals_logged(self._log, "parent"):
            job = Job.decode(self._security.verify(EnrolledJob.decode(enrolled_job).job).body)
            initial = manifest_of(decode_arrays(model, job.layout))
            found = _check_parent(parent, initial, self._ancestors) if parent else b""
            if found != job.parent:
                raise MessageRefused(
                    f"job {job.name} names the statement {job.parent.hex()[:16] or 'of no parent'}, "
                    f"{found.hex()[:16] or 'none'} was sent",
                    hint="Ask the aggregator's operator for the statement about the initial model",
                )
            begun = self._clock().astimezone(UTC).isoformat().encode()
            self._state.put_once(_STARTED, begun)
            self._state.replace({_INITIAL: parts.join([job.digest(), initial.sha256, initial.root])})

    def sign(self, envelope: bytes, job: Job, model: Arrays) -> bytes:
        """This silo's signature on the aggregator's envelope, if it says of the job what this silo knows.

        Durable before it is returned, and the same bytes ever after; refused for a second statement.
        """
        with refusals_logged(self._log, "provenance"):
            offered = Envelope.decode(envelope)
            statement = provenance.read(offered)
            if not signed_by(offered, statement, self._notary.verifier).aggregator:
                raise EvidenceRejected("the statement is not signed by its aggregator", hint=_HINT)
            if (stored := self._state.get(_STATEMENT)) is not None:
                if _stored_envelope(self._state).payload != offered.payload:
                    raise MessageRefused("another statement about this job was signed before", hint=_HINT)
                return parts.join(parts.split(stored, 5)[3:])
            self._require_true(statement, job, model)
            own = self._notary.sign(offered.payload)
            theirs = next(one for one in offered.signatures if one.keyid == statement.predicate.aggregator.certificate)
            fields = [offered.payload, theirs.certificate, theirs.signature, own.certificate, own.signature]
            stored = self._state.put_once(_STATEMENT, parts.join(fields))
            _log_statement(self._log, statement, offered.with_signature(own))
            return parts.join(parts.split(stored, 5)[3:])

    def envelope(self) -> Envelope | None:
        """What this silo has signed, with the aggregator's signature and its own; None before."""
        stored = self._state.get(_STATEMENT)
        if stored is None:
            return None
        own = Signature(*parts.split(stored, 5)[3:])
        return _stored_envelope(self._state).with_signature(own)

    def _require_true(self, statement: Statement, job: Job, model: Arrays) -> None:
        if (begun := self._state.get(_INITIAL)) is None:
            raise MessageRefused("this silo has no account of how the job began", hint="Begin the next job with it")
        named, sha, root = parts.split(begun, 3)
        said = statement.predicate
        if named != job.digest():
            raise MessageRefused("this silo began another job", hint=_HINT)
        initial = Manifest(said.layout, root, sha)
        refused = [
            RoundRefusals(tuple(r.silo for r in one.refused), tuple(r.reason for r in one.refused))
            for one in said.rounds
        ]
        known = statement_of(
            job,
            self._policy,
            (initial, manifest_of(model)),
            accounts(self._state),
            refused,
            said.software,
            (said.started_on, said.finished_on),
        )
        if (different := difference(statement, known, "")) is not None:
            raise MessageRefused(f"the statement about job {job.name} lies in {different}", hint=_HINT)
        started, now = _time_of(_get(self._state, _STARTED)), self._clock()
        if not started - CLOCKS_APART <= said.finished_on <= now + CLOCKS_APART:
            raise MessageRefused(
                f"the statement says that the job ended at {said.finished_on:%Y-%m-%d %H:%M} UTC, which it did not",
                hint="Compare the clocks of aggregator and silo",
            )


def read_parent(path: Path) -> bytes:
    """The envelope in a file, not looked at."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CallerError(
            f"{path} cannot be read ({error.strerror})", hint="Name the provenance.json of a job"
        ) from None


def _check_parent(envelope: bytes, initial: Manifest, verifier: Verifier) -> bytes:
    """SHA-256 of the statement in ``envelope``, if it is about ``initial`` and its aggregator and more than half of its
    silos signed it."""
    opened = Envelope.decode(envelope)
    statement = provenance.read(opened)
    signed = signed_by(opened, statement, verifier)
    training = statement.predicate
    if not signed.aggregator or len(signed.silos) < majority(len(training.silos)):
        raise EvidenceRejected(
            f"the statement about the initial model is signed by {len(signed.silos)} of {len(training.silos)} silos"
            + ("" if signed.aggregator else " and not by its aggregator"),
            hint="Run that job's aggregator again until more than half have signed",
        )
    if statement.model.quatrefoil_model_v1 != initial.root:
        raise EvidenceRejected(
            f"the statement given for the initial model is about {statement.model.quatrefoil_model_v1.hex()[:16]}, "
            f"the model is {initial.root.hex()[:16]}",
            hint="Give the statement and the model of one job",
        )
    return opened.digest


def _log_statement(log: Log, statement: Statement, envelope: Envelope) -> None:
    training = statement.predicate
    model = {"job": training.job.digest.hex(), "root": statement.model.quatrefoil_model_v1.hex()}
    said = {"job": training.job.digest.hex(), "statement": envelope.digest.hex()}
    log.append_all(
        [
            Event("model", model, {"manifest": training.layout.leaf()}),
            Event("provenance", said, {"envelope": envelope.encode()}),
        ]
    )


def _signature_in(message: bytes) -> Signature:
    return Signature(*parts.split(message, 2))


def _stored_envelope(state: State) -> Envelope:
    payload, certificate, signature = parts.split_list(_get(state, _STATEMENT), 5)[:3]
    return Envelope(IN_TOTO, payload, (Signature(certificate, signature),))


def _get(state: State, name: str) -> bytes:
    value = state.get(name)
    if value is None:
        raise CallerError("there is no statement about this job yet", hint="Finish its rounds first")
    return value


def _time_of(stored: bytes) -> datetime:
    return datetime.fromisoformat(stored.decode())
