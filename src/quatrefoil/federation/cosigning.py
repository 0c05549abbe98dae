"""The aggregator's side of witnesses: which checkpoint of its log it asks its silos to cosign, and who has.

One checkpoint is cosigned at a time: the one that covers the end of a round, which every silo is shown after it has
taken the round's result. What is logged meanwhile makes newer checkpoints, and waits for the end of the next round. So
``cosigned``, the entry about a round's cosignatures, is covered by the checkpoint of the next round; the last round's
cosignatures are in no entry, but under the checkpoint itself, in the file ``witnessed``.
"""

from __future__ import annotations

from quatrefoil.audit import TileLog
from quatrefoil.audit.witnesses import WitnessStatement, introduced, key_in
from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import EvidenceRejected, MessageRefused, PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import read
from quatrefoil.federation.messages import Job
from quatrefoil.policy import MOST_WITNESSES, Policy
from quatrefoil.state import State
from quatrefoil.tlog.checkpoints import SignedCheckpoint, read_checkpoint
from quatrefoil.tlog.merkle import consistency_proof
from quatrefoil.tlog.notes import Note, NoteSignature, VerifierKey, read_signatures
from quatrefoil.tlog.witness import AddCheckpoint

_CHECKPOINT, _STATEMENT = "cosigning/checkpoint", "cosigning/statement/"


class Cosigning:
    """Bytes in, bytes out, for one agreed job. A restart goes on with the checkpoint and signatures it had."""

    def __init__(self, job: Job, *, policy: Policy, security: TransportSecurity, state: State, log: TileLog) -> None:
        self._job = job
        self._quorum = policy.witnesses
        self._security = security
        self._state = state
        self._log = log
        self._keys: dict[str, VerifierKey] = {}
        for name in state.names(_STATEMENT):
            signed = state.get(name)
            assert signed is not None
            silo = name.removeprefix(_STATEMENT)
            self._keys[silo] = self._read(silo, signed)
        self._round = 0
        self._target: SignedCheckpoint | None = None
        self._lines: dict[str, NoteSignature] = {}
        if (stored := state.get(_CHECKPOINT)) is not None:
            number, note = parts.split(stored, 2)
            self._round = int.from_bytes(number, "big")
            self._take_up(note)
            self._publish()  # a crash may have come between the last signature and the file

    def _take_up(self, note: bytes) -> None:
        found = read_checkpoint(note, (*self._log.keys.verifiers, *self._keys.values()))
        own = tuple(one for one in found.note.signatures if one.name == found.checkpoint.origin)
        self._target = SignedCheckpoint(found.checkpoint, Note(found.note.text, own), found.signed)
        self._lines = {
            silo: line for silo, key in self._keys.items() for line in found.note.signatures if key.signed(line)
        }

    # ------------------------------------------------------------------------------------------------------ the silos

    def register(self, silo: str, statement: bytes) -> bytes:
        """Take a silo's signed statement of the key it cosigns with; the answer is that of whose log this is."""
        key = self._read(silo, statement)
        if self._keys.get(silo, key) != key:
            raise MessageRefused(
                f"{silo} cosigns with another key than it said in this job",
                hint="Restore its folder witness-key",
                party=silo,
            )
        if silo not in self._keys:
            # Logged first: a statement that is in no log ties no cosignature to anybody.
            self._log.append("witness", introduced(silo, key), {"statement": statement})
            self._state.put_once(_STATEMENT + silo, statement)
            self._keys[silo] = key
        return self._log.owner

    def request(self, silo: str, size: int) -> bytes:
        """An ``add-checkpoint`` request for a silo that has cosigned ``size`` leaves; empty before the first round is
        finished."""
        if self._target is None:
            return b""
        target = self._target.checkpoint
        if size > target.size:
            raise MessageRefused(
                f"{silo} has cosigned {size} leaves of {target.origin}, which has {target.size} to cosign: "
                "the log is an old copy",
                hint="Restore the aggregator's state from where it was last, or begin another job",
            )
        proof = consistency_proof(size, target.size, self._log.reader().node)
        return AddCheckpoint(size, tuple(proof), self._target.note.encode()).encode()

    def take(self, silo: str, size: int, lines: bytes) -> None:
        """Take a silo's cosignature of the checkpoint of ``size`` leaves. One of an earlier checkpoint comes late, and
        changes nothing; so does one beyond what a note can hold."""
        if self._target is None or size != self._target.checkpoint.size or silo in self._lines:
            return
        key = self._keys.get(silo)
        if key is None:
            raise MessageRefused(f"{silo} has not said which key it cosigns with", hint="Ask `witness` first")
        line = _line_of(silo, self._target, key, lines)
        if len(self._lines) >= MOST_WITNESSES:
            return
        self._lines[silo] = line
        self._store()
        self._publish()

    # ----------------------------------------------------------------------------------------------------- the rounds

    def begin(self, number: int) -> None:
        """Have the newest checkpoint cosigned, which covers the end of round ``number``. Again for a round that was
        begun, before a restart perhaps, changes nothing."""
        if number <= self._round:
            return
        if self._target is not None and self._lines:
            target = self._target.checkpoint
            body = {
                "round": self._round,
                "size": target.size,
                "root": target.root.hex(),
                "witnesses": sorted(self._lines),
            }
            self._log.append("cosigned", body, {"checkpoint": self._note().encode()})
        self._round = number
        self._take_up(self._log.checkpoint)
        self._store()

    @property
    def cosigned(self) -> tuple[str, ...]:
        """The silos that have cosigned the checkpoint that is cosigned now."""
        return tuple(sorted(self._lines))

    @property
    def has_quorum(self) -> bool:
        """Whether the checkpoint of the round that ended last has the policy's quorum."""
        return len(self._lines) >= self._quorum

    def require_quorum(self) -> None:
        """``PolicyError`` naming who is missing, unless it has."""
        if self.has_quorum:
            return
        missing = sorted({member.name for member in self._job.roster} - set(self._lines))
        raise PolicyError(
            f"{len(self._lines)} silos cosigned the log at the end of the job, and the policy asks for {self._quorum} "
            f"witnesses; missing {', '.join(missing)}",
            hint="See what they refuse or start them, and run the aggregator again on the same state",
        )

    @property
    def final(self) -> bytes:
        """For the silos: the checkpoint with its cosignatures, and the statements of who made them."""
        statements = [self._state.get(_STATEMENT + silo) for silo in sorted(self._lines)]
        return parts.join([self._note().encode(), parts.join([one for one in statements if one is not None])])

    # --------------------------------------------------------------------------------------------------------- details

    def _read(self, silo: str, signed: bytes) -> VerifierKey:
        member = next((one for one in self._job.roster if one.name == silo), None)
        if member is None:
            raise MessageRefused(f"{silo} is not on the roster of job {self._job.name}", hint="Enrol it in a new job")
        return key_in(read(self._security, signed, WitnessStatement, member, "silo"), silo)

    def _note(self) -> Note:
        assert self._target is not None
        note = self._target.note
        return Note(note.text, (*note.signatures, *(self._lines[silo] for silo in sorted(self._lines))))

    def _store(self) -> None:
        self._state.replace({_CHECKPOINT: parts.join([self._round.to_bytes(8, "big"), self._note().encode()])})

    def _publish(self) -> None:
        """Put the checkpoint beside the log, once a quorum has cosigned it."""
        if len(self._lines) < max(self._quorum, 1):
            return
        note = self._note()
        self._log.keep_witnessed(note.encode())
        if Note.decode(self._log.checkpoint).text == note.text:  # nothing was logged since
            self._log.cosigned([self._lines[silo] for silo in sorted(self._lines)], tuple(self._keys.values()))


def _line_of(silo: str, target: SignedCheckpoint, key: VerifierKey, lines: bytes) -> NoteSignature:
    """The line of this key, after it has been verified for this very checkpoint."""
    try:
        signatures = read_signatures(lines.decode())
        read_checkpoint(Note(target.note.text, signatures).encode(), [key])
    except (EvidenceRejected, UnicodeDecodeError) as error:
        problem = error.problem if isinstance(error, EvidenceRejected) else "it is not text"
        raise MessageRefused(
            f"{silo} sent a cosignature that does not hold: {problem}", hint="Check its version", party=silo
        ) from None
    return next(line for line in signatures if key.signed(line))
