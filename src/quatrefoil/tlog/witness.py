"""A witness: cosigns checkpoints of logs that only grow, and keeps what shows that one did not. C2SP tlog-witness.

Property: of one log it never signs two checkpoints of which the older is not the beginning of the newer, whatever it is
sent, by however many at once, killed wherever it may be. The new checkpoint is durable before its signature leaves.

It knows a log by keys, and demands a signature of every one of them; of a log known by one key that is what C2SP says.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Protocol

from quatrefoil.errors import CallerError, EvidenceRejected, StateCorrupt
from quatrefoil.tlog.checkpoints import ML_DSA_44, Checkpoint, SignedCheckpoint, Signer, read_checkpoint, verify_note
from quatrefoil.tlog.evidence import Evidence, compare, disproved
from quatrefoil.tlog.merkle import EMPTY_ROOT, HASH_BYTES, LARGEST_SIZE, verify_consistency
from quatrefoil.tlog.notes import LARGEST_NOTE, Note, VerifierKey, canonical_base64

MOST_PROOF_LINES = 63
LARGEST_REQUEST = LARGEST_NOTE + 64 * (MOST_PROOF_LINES + 1)
"""Bytes of a request."""

MOST_EVIDENCE = 16
"""Pieces of evidence that are kept of one log; the first is enough."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)
_HINT = "See C2SP tlog-witness for what a witness cosigns"


class WitnessStore(Protocol):
    """Durable named values, of one process. ``replace`` sets several at once, all of them or none."""

    def get(self, name: str) -> bytes | None: ...

    def replace(self, changes: Mapping[str, bytes | None]) -> None: ...

    def names(self, prefix: str) -> list[str]: ...


class CosignatureRefused(EvidenceRejected):
    """A witness does not sign. ``status``: the HTTP status that C2SP tlog-witness gives it; ``evidence``: what the
    request showed of the log beside that, which the witness has kept."""

    status: ClassVar[int]

    def __init__(self, problem: str, *, hint: str = _HINT, evidence: Evidence | None = None) -> None:
        super().__init__(problem, hint=hint, check="cosignature")
        self.evidence = evidence


class RequestMalformed(CosignatureRefused):
    """Not of the form of a request, or an old size above the checkpoint's."""

    status = 400


class SignatureRefused(CosignatureRefused):
    """The checkpoint is not signed by the keys of its log."""

    status = 403


class LogUnknown(CosignatureRefused):
    """A log of which the witness was given no keys."""

    status = 404


class SizeConflict(CosignatureRefused):
    """The old size is not that of the newest checkpoint cosigned, which is ``size``."""

    status = 409

    def __init__(self, size: int, *, evidence: Evidence | None) -> None:
        super().__init__(
            f"the newest checkpoint that was cosigned has {size} leaves",
            hint=f"Prove consistency from {size}",
            evidence=evidence,
        )
        self.size = size

    @property
    def body(self) -> bytes:
        """Of the HTTP response, of type ``text/x.tlog.size``."""
        return f"{self.size}\n".encode()


class InconsistencyRefused(CosignatureRefused):
    """The checkpoint is not shown to continue the one cosigned before, or its root is impossible."""

    status = 422


@dataclass(frozen=True)
class AddCheckpoint:
    """The body of an ``add-checkpoint`` request: a signed checkpoint, and the proof that it continues a tree of ``old``
    leaves."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        lines = [f"old {self.old}", *(base64.b64encode(one).decode() for one in self.proof), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint

    @classmethod
    def decode(cls, body: bytes) -> AddCheckpoint:
        """Parse strictly; ``RequestMalformed``. The checkpoint has still to be read."""
        if len(body) > LARGEST_REQUEST:
            raise RequestMalformed(f"the request has {len(body)} bytes, over the limit of {LARGEST_REQUEST}")
        head, found, checkpoint = body.partition(b"\n\n")
        if not found:
            raise RequestMalformed("the request has no empty line before its checkpoint")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise RequestMalformed("the request begins with what is not ASCII") from None
        size = _OLD.fullmatch(first)
        if size is None or int(size[1]) > LARGEST_SIZE:
            raise RequestMalformed("the request does not begin with a line `old SIZE`")
        if len(lines) > MOST_PROOF_LINES:
            raise RequestMalformed(f"the proof has {len(lines)} lines, over the limit of {MOST_PROOF_LINES}")
        request = cls(int(size[1]), tuple(map(_hash, lines)), checkpoint)
        if request.encode() != body:
            raise RequestMalformed("the request is not written canonically")
        return request


class Witness:
    """Of any number of logs, with one key. For several threads at once; its ``store`` belongs to one process."""

    def __init__(
        self,
        signer: Signer,
        logs: Mapping[str, Sequence[VerifierKey]],
        store: WitnessStore,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """``signer``: an ML-DSA-44 key under the witness's own name. ``logs``: the keys of each, by origin."""
        if signer.verifier.kind != ML_DSA_44:
            raise CallerError("a witness cosigns with ML-DSA-44", hint="Give it such a key, under its own name")
        self._signer = signer
        self._store = store
        self._clock = clock
        self._logs: dict[str, tuple[VerifierKey, ...]] = {}
        self._turn = threading.RLock()
        for origin, keys in logs.items():
            self.follow(origin, keys)

    @property
    def verifier(self) -> VerifierKey:
        """What verifies this witness's signatures."""
        return self._signer.verifier

    def follow(self, origin: str, keys: Sequence[VerifierKey]) -> None:
        """Cosign a log from now on. ``EvidenceRejected`` where it was followed under other keys before: one origin is
        one log, and a second one under its name would escape what is remembered of the first."""
        if not keys:
            raise CallerError(f"no key of log {origin} is given", hint="Give every key that signs its checkpoints")
        written = "".join(f"{key.encode()}\n" for key in keys).encode()
        with self._turn:
            known = self._store.get(_name("log", origin))
            if known is not None and known != written:
                raise EvidenceRejected(
                    f"log {origin} is shown under other keys than it had",
                    hint="Ask its operator why; a log that begins anew takes another origin",
                    check="owner",
                )
            if known is None:
                self._store.replace({_name("log", origin): written})
            self._logs[origin] = tuple(keys)

    def size(self, origin: str) -> int:
        """Leaves of the newest checkpoint that was cosigned; 0 before the first."""
        latest = self._latest(origin)
        return 0 if latest is None else latest.checkpoint.size

    def latest(self, origin: str) -> bytes | None:
        """The newest checkpoint that was cosigned, with the log's signatures and this witness's."""
        return self._store.get(_name("latest", origin))

    def evidence(self, origin: str) -> list[Evidence]:
        """What contradicted a checkpoint that was cosigned, in the order in which it came."""
        found = (self._store.get(name) for name in self._store.names(_name("evidence", origin)))
        return [Evidence.decode(one) for one in found if one is not None]

    # ------------------------------------------------------------------------------------------------------- requests

    def add_checkpoint(self, body: bytes) -> bytes:
        """The answer to an ``add-checkpoint`` request: a signature line, after the checkpoint is durable.

        Raises the subclass of :class:`CosignatureRefused` whose ``status`` the specification names.
        """
        request = AddCheckpoint.decode(body)
        with self._turn:
            signed = self._verified(request.checkpoint)
            latest = self._latest(signed.checkpoint.origin)
            evidence = None if latest is None else self._keep(latest, compare(latest, signed))
            self._check(request, signed, latest, evidence)
            return self._cosign(signed, latest)

    def examine(self, checkpoint: bytes) -> Evidence | None:
        """Hold a checkpoint that came another way (from another silo, say) up to the one remembered. What contradicts
        is kept and returned; None means no more than that these two do not contradict each other by themselves."""
        with self._turn:
            signed = self._verified(checkpoint)
            latest = self._latest(signed.checkpoint.origin)
            return None if latest is None else self._keep(latest, compare(latest, signed))

    def _verified(self, checkpoint: bytes) -> SignedCheckpoint:
        """A checkpoint under the keys of its log. An empty tree with a wrong root goes through: that is 422."""
        try:
            note = Note.decode(checkpoint)
            parsed = _parse(note.text)
        except EvidenceRejected as error:
            raise RequestMalformed(error.problem) from None
        keys = self._logs.get(parsed.origin)
        if keys is None:
            raise LogUnknown(f"log {parsed.origin} is not one that this witness follows")
        try:
            signed = verify_note(note, parsed, keys)
            signed.require(keys)
        except EvidenceRejected as error:
            raise SignatureRefused(error.problem) from None
        return signed

    def _check(
        self,
        request: AddCheckpoint,
        signed: SignedCheckpoint,
        latest: SignedCheckpoint | None,
        evidence: Evidence | None,
    ) -> None:
        new = signed.checkpoint
        known = Checkpoint(new.origin, 0, EMPTY_ROOT) if latest is None else latest.checkpoint
        if request.old > new.size:
            raise RequestMalformed(f"the old size {request.old} is above the checkpoint's {new.size}")
        if request.old != known.size:
            raise SizeConflict(known.size, evidence=evidence)
        if new.size == 0 and new.root != EMPTY_ROOT:
            raise InconsistencyRefused(f"an empty tree of {new.origin} has another root than it can have")
        try:
            verify_consistency(known.size, known.root, new.size, new.root, request.proof)
        except EvidenceRejected as error:
            if latest is not None and 0 < known.size < new.size:
                evidence = self._keep(latest, disproved(latest, signed, request.proof))
            raise InconsistencyRefused(f"{new.origin}: {error.problem}", evidence=evidence) from None

    def _cosign(self, signed: SignedCheckpoint, latest: SignedCheckpoint | None) -> bytes:
        at = self._clock()
        before = None if latest is None else latest.by(self.verifier)
        if before is not None and before.at is not None:
            at = max(at, before.at)  # a clock that was set back must not have a larger tree signed at an earlier time
        line = self._signer.sign(signed.checkpoint, at)
        own = tuple(
            one for one in signed.note.signatures if any(verified.key.signed(one) for verified in signed.signed)
        )
        note = Note(signed.note.text, (*own, line))
        self._store.replace({_name("latest", signed.checkpoint.origin): note.encode()})
        return line.line.encode()

    def _latest(self, origin: str) -> SignedCheckpoint | None:
        content = self._store.get(_name("latest", origin))
        if content is None:
            return None
        try:
            return read_checkpoint(content, (*self._logs.get(origin, ()), self.verifier))
        except EvidenceRejected as error:
            raise StateCorrupt(
                f"the witness's newest checkpoint of {origin} does not hold: {error.problem}",
                hint="Restore its state from where it was last; never go on from an older copy",
            ) from None

    def _keep(self, latest: SignedCheckpoint, found: Evidence | None) -> Evidence | None:
        """Keep evidence, durably, once for each pair of checkpoints."""
        if found is None:
            return None
        origin = latest.checkpoint.origin
        known = self.evidence(origin)
        if len(known) < MOST_EVIDENCE and all(_sides(one) != _sides(found) for one in known):
            self._store.replace({f"{_name('evidence', origin)}/{len(known):04d}": found.encode()})
        return found


def with_statements(evidence: Evidence, owner: bytes, witnesses: Sequence[bytes] = ()) -> Evidence:
    """Evidence that says whose keys these are."""
    return replace(evidence, owner=owner, witnesses=tuple(witnesses))


def _name(what: str, origin: str) -> str:
    """Of a value in the store. Origins hold slashes; their hashes none, and C2SP names a log by it too."""
    return f"witness/{what}/{hashlib.sha256(origin.encode()).hexdigest()}"


def _parse(text: str) -> Checkpoint:
    """A checkpoint; one of an empty tree with any root, which the specification has refused later than the rest."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[1] != "0" or (root := _hash_or_none(lines[2])) is None:
        return Checkpoint.parse(text)
    lines[2] = base64.b64encode(EMPTY_ROOT).decode()
    return replace(Checkpoint.parse("\n".join(lines)), root=root)


def _sides(evidence: Evidence) -> tuple[str, str, str]:
    first, second = (Note.decode(side).text for side in (evidence.first, evidence.second))
    return evidence.why, first, second


def _hash(line: str) -> bytes:
    if (found := _hash_or_none(line)) is None:
        raise RequestMalformed(f"a line of the proof is no hash of {HASH_BYTES} bytes in base64")
    return found


def _hash_or_none(line: str) -> bytes | None:
    found = canonical_base64(line)
    return found if found is not None and len(found) == HASH_BYTES else None
