"""From a model's bytes to the statement about it, to who signed that, to the model before, and so on to the first.

Property: a chain that passes shows that every named party's key signed what the statements say, that each model began
where the one before ended, and that the bytes at hand are those of the last one. It does not show that what the parties
say is true; docs/provenance.md says which of them could know.

Every check has a name and is made, or said not to have been possible: what fails does not end the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from quatrefoil.audit import provenance
from quatrefoil.audit.dsse import Envelope, Verifier
from quatrefoil.audit.manifest import Manifest
from quatrefoil.audit.provenance import NO_PARENT, ModelDigests, Statement
from quatrefoil.errors import EvidenceRejected

CLOCKS_APART = timedelta(minutes=10)
"""How far the clocks of two hosts may differ before a time is taken for wrong."""

MOST_GENERATIONS = 1 << 10
_NOT_LOOKED_AT = "cannot be told: a signature does not hold"
_HINT = "Nothing may be concluded from what fails; ask for the file named, or keep both as evidence"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``generation``: 0 for the model at hand, 1 for the one it started from, ..."""

    name: str
    generation: int
    passed: bool
    detail: str


@dataclass(frozen=True)
class Signed:
    """Whose signatures on a statement hold."""

    aggregator: bool
    silos: tuple[str, ...]


@dataclass(frozen=True)
class Ancestry:
    """What was found. ``generations``: the statements that could be read, the newest first."""

    checks: tuple[Check, ...]
    generations: tuple[Statement, ...]

    @property
    def valid(self) -> bool:
        return all(check.passed for check in self.checks)

    def require(self) -> None:
        """``EvidenceRejected`` naming the first check that failed."""
        for check in self.checks:
            if not check.passed:
                where = "" if check.generation == 0 else f" (generation {check.generation} back)"
                raise EvidenceRejected(f"{check.name}{where}: {check.detail}", hint=_HINT, check=check.name)


@dataclass(frozen=True)
class Model:
    """A model at hand: its manifest, and its digest as a job names it, where it is one that a job could have made."""

    manifest: Manifest
    job_digest: bytes | None


def signed_by(envelope: Envelope, statement: Statement, verifier: Verifier) -> Signed:
    """Who signed, or ``EvidenceRejected`` when one signature does not hold or is of somebody the statement does not
    name. One key counts once, however often it is certified."""
    may_sign = statement.may_sign()
    keys: list[object] = []
    found: list[tuple[str, str]] = []
    for signature in envelope.signatures:
        if (expected := may_sign.get(signature.keyid)) is None:
            raise _rejected(
                f"signed with certificate {signature.keyid.hex()[:16]}, of no party that the statement names"
            )
        party = verifier.verify(envelope, signature, claimed=statement.predicate.finished_on)
        if (party.name, party.role) != expected:
            raise _rejected(
                f"{party.role} {party.name} signed where the statement names {' '.join(reversed(expected))}"
            )
        if party.public_key in keys:
            raise _rejected(f"{party.role} {party.name} signed with a key that has signed already")
        keys.append(party.public_key)
        found.append(expected)
    silos = sorted(name for name, role in found if role == "silo")
    return Signed(any(role == "aggregator" for _, role in found), tuple(silos))


def majority(silos: int) -> int:
    """More than half."""
    return silos // 2 + 1


def examine(
    model: Model,
    envelope: bytes,
    ancestors: Iterable[bytes],
    *,
    verifier: Verifier,
    signatures: int | None = None,
) -> Ancestry:
    """Every check on ``model``, the envelope about it, and as many generations before as there are.

    ``ancestors``: contents of files among which earlier envelopes are looked for; what is none is left alone.
    ``signatures``: how many silos must have signed each statement (None: more than half of its job's).
    """
    walk = _Walk(verifier, signatures)
    opened = walk.open(0, lambda: Envelope.decode(envelope))
    if opened is not None:
        walk.check("model", 0, lambda: _require_model(model, opened.statement))
        walk.all_of(opened, _by_digest(ancestors))
    return Ancestry(tuple(walk.checks), tuple(walk.generations))


@dataclass(frozen=True)
class _Opened:
    envelope: Envelope
    statement: Statement


class _Walk:
    def __init__(self, verifier: Verifier, signatures: int | None) -> None:
        self._verifier = verifier
        self._signatures = signatures
        self.checks: list[Check] = []
        self.generations: list[Statement] = []

    def check(self, name: str, generation: int, what: Callable[[], str]) -> None:
        """Make one check: ``what`` gives its detail, or ``EvidenceRejected``."""
        try:
            passed, detail = True, what()
        except EvidenceRejected as error:
            passed, detail = False, error.problem
        self.checks.append(Check(name, generation, passed, detail))

    def open(self, generation: int, envelope: Callable[[], Envelope]) -> _Opened | None:
        """The check that there is a statement, and what it is."""
        found: list[_Opened] = []

        def read() -> str:
            opened = envelope()
            found.append(_Opened(opened, provenance.read(opened)))
            return f"job {found[0].statement.predicate.job.name}, statement {opened.digest.hex()}"

        self.check("statement", generation, read)
        return found[0] if found else None

    def all_of(self, newest: _Opened, ancestors: Mapping[bytes, Envelope]) -> None:
        """From ``newest`` to the first model, or to where the chain breaks."""
        current: _Opened | None = newest
        for generation in range(MOST_GENERATIONS):
            assert current is not None
            self.generations.append(current.statement)
            self._one(generation, current)
            wanted = current.statement.predicate.initial.statement
            if wanted is None:
                return self.check("ancestry", generation, lambda: NO_PARENT)
            before = self.open(generation + 1, partial(_find, ancestors, wanted))
            if before is None:
                return None
            self.check("parent", generation + 1, partial(_require_parent, current.statement, before.statement))
            current = before
        return self.check("ancestry", MOST_GENERATIONS, _too_long)

    def _one(self, generation: int, opened: _Opened) -> None:
        statement = opened.statement
        self.check("time", generation, partial(_require_time, statement, self._verifier))
        found: list[Signed] = []

        def read() -> str:
            found.append(signed_by(opened.envelope, statement, self._verifier))
            return f"{len(opened.envelope.signatures)} signatures hold, by certificates that the statement names"

        self.check("signatures", generation, read)
        signed = found[0] if found else None
        self.check("aggregator", generation, partial(_require_aggregator, signed, statement))
        self.check("silos", generation, partial(_require_silos, signed, statement, self._signatures))


def _by_digest(files: Iterable[bytes]) -> dict[bytes, Envelope]:
    found: dict[bytes, Envelope] = {}
    for content in files:
        try:
            envelope = Envelope.decode(content)
        except EvidenceRejected:
            continue  # a folder holds other files too; an envelope that is wanted and damaged is missing below
        # Of two copies of one statement, the one that more have signed.
        held = found.get(envelope.digest)
        if held is None or len(held.signatures) < len(envelope.signatures):
            found[envelope.digest] = envelope
    return found


def _find(ancestors: Mapping[bytes, Envelope], wanted: bytes) -> Envelope:
    if wanted not in ancestors:
        raise _rejected(f"the statement {wanted.hex()} about the model before is missing, or was altered")
    return ancestors[wanted]


def _require_model(model: Model, statement: Statement) -> str:
    if ModelDigests.of(model.manifest) != statement.model:
        raise _rejected(
            f"the model has root {model.manifest.root.hex()}, the statement is about "
            f"{statement.model.quatrefoil_model_v1.hex()}"
        )
    if model.manifest.header != statement.predicate.layout:
        raise _rejected("the statement lists other tensors than the model has")
    if model.job_digest != statement.predicate.rounds[-1].model:
        raise _rejected("the model is not the one that the last round led to")
    return f"root {model.manifest.root.hex()}"


def _require_time(statement: Statement, verifier: Verifier) -> str:
    training = statement.predicate
    if training.finished_on > verifier.now() + CLOCKS_APART:
        raise _rejected(f"the training is said to end on {training.finished_on:%Y-%m-%d %H:%M} UTC, which is to come")
    return (
        f"{training.started_on:%Y-%m-%d %H:%M} to {training.finished_on:%Y-%m-%d %H:%M} UTC, by the aggregator's clock"
    )


def _require_aggregator(signed: Signed | None, statement: Statement) -> str:
    name = statement.predicate.aggregator.name
    if signed is None:
        raise _rejected(_NOT_LOOKED_AT)
    if not signed.aggregator:
        raise _rejected(f"the aggregator {name} has not signed")
    return f"{name} signed"


def _require_silos(signed: Signed | None, statement: Statement, needed: int | None) -> str:
    names = [silo.name for silo in statement.predicate.silos]
    needed = majority(len(names)) if needed is None else needed
    if signed is None:
        raise _rejected(_NOT_LOOKED_AT)
    missing = ", ".join(sorted(set(names) - set(signed.silos))) or "nobody"
    counted = f"{len(signed.silos)} of {len(names)} silos signed ({', '.join(signed.silos) or 'none'}; not: {missing})"
    if len(signed.silos) < needed:
        raise _rejected(f"{counted}, and {needed} must")
    return f"{counted}; {needed} must"


def _require_parent(child: Statement, parent: Statement) -> str:
    initial = child.predicate.initial
    if initial.model != parent.model or child.predicate.layout != parent.predicate.layout:
        raise _rejected(
            f"the training began with {initial.model.quatrefoil_model_v1.hex()}, "
            f"its parent's statement is about {parent.model.quatrefoil_model_v1.hex()}"
        )
    if initial.digest != parent.predicate.rounds[-1].model:
        raise _rejected("the training began with another model than the last round of its parent led to")
    if parent.predicate.finished_on > child.predicate.started_on + CLOCKS_APART:
        raise _rejected("the parent's training ended after this one began")
    return f"began with {initial.model.quatrefoil_model_v1.hex()}, which is what {parent.predicate.job.name} led to"


def _too_long() -> str:
    raise _rejected(f"there are more than {MOST_GENERATIONS} generations")


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT)
