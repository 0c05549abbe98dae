"""A silo as a witness of its aggregator's log: it cosigns what continues the log, and stops at anything else.

Rules (docs/witnesses.md):

1. It cosigns the log that the aggregator of its job has signed a statement for, under one set of keys for ever.
2. It cosigns a checkpoint after it has verified that the last one it cosigned is its beginning, and after the new one
   is durable.
3. What contradicts a checkpoint that it cosigned ends the job: both signed checkpoints are kept, logged, and named.
4. Under a quorum it leaves the job only with a checkpoint that it has cosigned itself, and that so many silos have.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from quatrefoil.audit import Log, ownership
from quatrefoil.audit.ownership import Owner
from quatrefoil.audit.witnesses import (
    KnownWitness,
    WitnessStatement,
    cosigners,
    introduced,
    key_in,
    read_witnessed,
    said,
)
from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import EvidenceRejected, MessageRefused, StateCorrupt
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import require_author
from quatrefoil.federation.messages import Job
from quatrefoil.policy import Policy
from quatrefoil.state import State
from quatrefoil.tlog.checkpoints import Signer, read_checkpoint
from quatrefoil.tlog.evidence import Evidence
from quatrefoil.tlog.notes import MOST_SIGNATURES
from quatrefoil.tlog.witness import CosignatureRefused, Witness, with_statements
from quatrefoil.transport import TrustAnchor

_STATEMENT = "witness/statement"


class SiloWitness:
    """Bytes in, bytes out. ``signer``: the key of this silo's witness; ``state`` remembers what it cosigned."""

    def __init__(
        self,
        signer: Signer,
        *,
        security: TransportSecurity,
        trust: TrustAnchor,
        policy: Policy,
        state: State,
        log: Log,
        clock: Callable[[], datetime],
    ) -> None:
        self._witness = Witness(signer, {}, state, clock=clock)
        self._security = security
        self._trust = trust
        self._quorum = policy.witnesses
        self._state = state
        self._log = log
        self._clock = clock
        self._owner: tuple[Owner, bytes] | None = None

    @property
    def statement(self) -> bytes:
        """Signed: with which key this silo cosigns. Always the same bytes."""
        stored = self._state.get(_STATEMENT)
        if stored is None:
            signed = self._security.sign(said(self._witness.verifier, self._clock()))
            stored = self._state.put_once(_STATEMENT, signed)
            body = introduced(self._security.name, self._witness.verifier)
            self._log.append("witness", body, {"statement": stored})
        if WitnessStatement.decode(self._security.verify(stored).body).key != self._witness.verifier.encode():
            raise StateCorrupt(
                "this silo has said that it cosigns with another key than it has now",
                hint="Restore the folder witness-key, or begin another job with a new --state folder",
            )
        return stored

    def meet(self, owner: bytes, aggregator: str) -> None:
        """Follow the log of the job's aggregator from now on. ``owner``: its signed statement; empty where it keeps no
        log that can be cosigned, which is refused where the policy asks for witnesses."""
        if not owner:
            if self._quorum:
                raise EvidenceRejected(
                    f"the policy asks for {self._quorum} witnesses, and aggregator {aggregator} keeps no signed log",
                    hint="Ask its operator which version it runs",
                    check="owner",
                    party=aggregator,
                )
            return
        found = ownership.verify(owner, self._trust, clock=self._clock)
        if (found.name, found.role) != (aggregator, "aggregator"):
            raise EvidenceRejected(
                f"aggregator {aggregator} shows the log of {found.role} {found.name}",
                hint="Ask its operator for its own log",
                check="owner",
                party=aggregator,
            )
        self._witness.follow(found.origin, found.keys)
        self._owner = found, owner

    @property
    def follows(self) -> bool:
        """Whether there is a log to cosign."""
        return self._owner is not None

    @property
    def size(self) -> int:
        """Leaves of the newest checkpoint that this silo cosigned."""
        return self._witness.size(self._met()[0].origin)

    def cosign(self, request: bytes) -> bytes:
        """The answer to an ``add-checkpoint`` request of the aggregator: lines of signatures, after the checkpoint is
        durable and logged. ``EvidenceRejected`` naming the aggregator where the log does not continue."""
        owner, _ = self._met()
        before = self._witness.latest(owner.origin)
        try:
            lines = self._witness.add_checkpoint(request)
        except CosignatureRefused as refused:
            raise self._accused(refused.problem, refused.evidence) from None
        latest = self._witness.latest(owner.origin)
        assert latest is not None
        self._log_witnessed(before, latest)
        return lines

    def require_quorum(self, final: bytes, job: Job) -> tuple[str, ...]:
        """The silos that cosigned the last checkpoint of the job, which the aggregator shows with their statements.

        ``EvidenceRejected`` naming the aggregator where it is another one than this silo has cosigned, or where fewer
        than the policy's ``witnesses`` have.
        """
        owner, _ = self._met()
        checkpoint, statements = parts.split(final, 2)
        known = [self._known(one, job) for one in parts.split_list(statements, MOST_SIGNATURES)]
        signed = read_witnessed(checkpoint, owner, known)
        if (evidence := self._witness.examine(checkpoint)) is not None:
            raise self._accused("its last checkpoint is another one than it had this silo cosign", evidence)
        latest = self._witness.latest(owner.origin)
        mine = None if latest is None else read_checkpoint(latest, owner.keys).checkpoint
        if mine != signed.checkpoint:
            raise self._accused("its last checkpoint is not the one that it had this silo cosign last", None)
        names = cosigners(signed, known)
        if len(names) < self._quorum:
            raise EvidenceRejected(
                f"aggregator {owner.name} ends the job with {len(names)} witnesses of its log "
                f"({', '.join(names) or 'none'}), and the policy asks for {self._quorum}",
                hint="Ask its operator, and the silos that are missing, what they have seen",
                check="witnesses",
                party=owner.name,
            )
        return names

    def _known(self, signed: bytes, job: Job) -> KnownWitness:
        statement = self._security.verify(signed)
        member = next((one for one in job.roster if one.name == statement.signer), None)
        if member is None:
            raise MessageRefused(
                f"{statement.role} {statement.signer} is shown as a witness, and is not on the roster",
                hint="Ask the aggregator's operator",
            )
        require_author(statement, member, "silo")
        key = key_in(WitnessStatement.decode(statement.body), member.name)
        return KnownWitness(member.name, statement.role, statement.fingerprint, key)

    def _met(self) -> tuple[Owner, bytes]:
        if self._owner is None:
            raise MessageRefused("the aggregator has shown no log to cosign", hint="Ask `witness` first")
        return self._owner

    def _log_witnessed(self, before: bytes | None, latest: bytes) -> None:
        owner, _ = self._met()
        new = read_checkpoint(latest, owner.keys).checkpoint
        if before is None or read_checkpoint(before, owner.keys).checkpoint != new:
            body = {"origin": new.origin, "size": new.size, "root": new.root.hex()}
            self._log.append("witnessed", body, {"checkpoint": latest})

    def _accused(self, problem: str, evidence: Evidence | None) -> EvidenceRejected:
        """The refusal of a log, logged with what shows it."""
        owner, statement = self._met()
        reason = f"aggregator {owner.name} shows a log that this silo does not cosign: {problem}"
        body = {"silo": self._security.name, "reason": reason}
        if evidence is None:
            self._log.append("refusal", body)
            hint = "Compare its log with those of the other silos before anything is run with it again"
        else:
            file = with_statements(evidence, statement, [self.statement]).encode()
            entry = self._log.append("refusal", body | {"evidence": evidence.why}, {"evidence": file})
            hint = (
                "Give `quatrefoil audit monitor --evidence` the file "
                f"{entry.attached['evidence'].sha256} in log/payload of this silo's state: it holds both checkpoints"
            )
        return EvidenceRejected(reason, hint=hint, check="cosignature", party=owner.name)
