"""The statement about a finished job: made by the aggregator, held by every silo against what it saw itself, and signed
by those who find it true.

Rules (docs/provenance.md):

1. One statement a job: the aggregator makes it once, a silo signs one of a job, also after a restart.
2. A silo signs only what its own state leads to, field by field. What it cannot know (refusals of others, what the
   aggregator runs, times) it passes on, and the page says so.
3. A job that begins with a model of an earlier job begins only after the statement about that model was verified.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil import _core
from quatrefoil.audit import Event, Log, provenance
from quatrefoil.audit.ancestry import CLOCKS_APART, majority, signed_by
from quatrefoil.audit.commitments import file_digest
from quatrefoil.audit.dsse import IN_TOTO, Envelope, Notary, Signature, Verifier
from quatrefoil.audit.manifest import Header, Manifest
from quatrefoil.audit.model_file import measure_arrays
from quatrefoil.audit.provenance import Statement
from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.accounts import RoundAccount, RoundRefusals, accounts, refusals
from quatrefoil.federation.messages import EnrolledJob, Job
from quatrefoil.federation.refusals import LONGEST_REASON, refusals_logged
from quatrefoil.federation.state import State
from quatrefoil.federation.vectors import MODEL_DOMAIN, ArrayLayout, Layout, decode_arrays
from quatrefoil.policy import Policy

_STATEMENT, _STARTED, _INITIAL = "provenance/statement", "provenance/started", "provenance/initial"
_SIGNED = "provenance/signed/"
_TYPES = {"<f4": "float32", "<f8": "float64"}
_HINT = "Ask the aggregator's operator; the model may be right all the same"

Arrays = Sequence[NDArray[np.floating]]


def manifest_of(arrays: Arrays) -> Manifest:
    """The manifest of a job's model: tensors called ``arr_0``, ``arr_1``, ..., as its ``.npz`` file has them."""
    return measure_arrays(list(arrays))


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
        statement = _statement(
            job,
            self._policy,
            (self._initial, manifest_of(model)),
            finished,
            refused,
            _software(),
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
        known = _statement(
            job,
            self._policy,
            (initial, manifest_of(model)),
            accounts(self._state),
            refused,
            said.software,
            (said.started_on, said.finished_on),
        )
        if (different := _difference(statement, known, "")) is not None:
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


def _statement(
    job: Job,
    policy: Policy,
    models: tuple[Manifest, Manifest],
    finished: Sequence[RoundAccount],
    refused: Sequence[RoundRefusals],
    software: provenance.Software,
    times: tuple[datetime, datetime],
) -> Statement:
    """The statement that follows from these values; ``models``: the first and the last."""
    initial, final = models
    training = provenance.Training(
        job=provenance.Job(job.name, job.digest(), job.policy, job.plan),
        parameters=provenance.Parameters(
            rounds=job.rounds,
            clip=job.clip,
            scheme=job.scheme,
            scheme_digest=job.scheme_digest,
            proofs=job.proofs,
            insecure=tuple(sorted(policy.accept_insecure)),
            update_norm=None if np.isinf(job.update_norm) else job.update_norm,
        ),
        layout=final.header,
        initial=provenance.Initial(job.model, provenance.ModelDigests.of(initial), job.parent or None),
        aggregator=provenance.Signer(job.aggregator.name, job.aggregator.fingerprint),
        keeper=provenance.Signer(job.keeper.name, job.keeper.fingerprint),
        silos=tuple(
            provenance.Silo(one.name, one.fingerprint, one.samples, one.data or None, one.code or None)
            for one in job.roster
        ),
        rounds=tuple(
            provenance.Round(
                number=one.number,
                attempt=one.attempt,
                context=one.context,
                contributors=one.contributors,
                refused=tuple(map(provenance.Refused, others.silos, others.reasons)),
                release=one.release,
                mean=one.mean,
                model=one.model,
                update_norm=None if np.isinf(one.update_norm) else one.update_norm,
            )
            for one, others in zip(finished, refused, strict=False)
        ),
        software=software,
        started_on=times[0].replace(microsecond=0),
        finished_on=times[1],
    )
    return Statement.about(training, final)


def _difference(said: Any, known: Any, where: str) -> str | None:
    """The first field in which two values of one form differ, as a path; None where they are equal."""
    if said == known:
        return None
    if dataclasses.is_dataclass(said) and type(said) is type(known):
        for field in dataclasses.fields(said):
            inner = f"{where}.{field.name}" if where else field.name
            if (found := _difference(getattr(said, field.name), getattr(known, field.name), inner)) is not None:
                return found
    if isinstance(said, tuple) and isinstance(known, tuple) and len(said) == len(known):
        for at, (one, other) in enumerate(zip(said, known, strict=True)):
            if (found := _difference(one, other, f"{where}[{at}]")) is not None:
                return found
    return where or "everything"


def _software() -> provenance.Software:
    file = getattr(_core, "__file__", None)
    kernel = None if file is None else file_digest(Path(file))
    return provenance.Software(metadata.version("quatrefoil"), kernel)


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


class JobDigest:
    """The digest by which a job names a model, computed while its file is measured (``measure_file``)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(MODEL_DOMAIN)
        self._possible = False

    def watch(self, header: Header) -> Callable[[bytes], None]:
        """What each piece of the canonical bytes is given to."""
        types = {name: dtype for dtype, name in _TYPES.items()}
        try:
            arrays = tuple(ArrayLayout(one.shape, types[one.dtype]) for one in header.tensors)
            self._hash.update(Layout(arrays).digest())
            self._possible = True
        except (KeyError, MessageRefused):  # no job makes such a model
            self._possible = False
        return self._hash.update

    @property
    def value(self) -> bytes | None:
        """32 bytes once the whole file was read; None for a model that no job could have made."""
        return self._hash.digest() if self._possible else None
