"""A witness of any party's log, that is asked by files: a server's log, say, whose folder it can read.

Property: as of every witness (:mod:`quatrefoil.tlog.witness`): it cosigns what continues the tree that it cosigned
last, and remembers that durably before its signature is given out. What contradicts it is kept as evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from quatrefoil.audit import witnesses
from quatrefoil.audit.log import LOG_FOLDER
from quatrefoil.audit.party_log import PartyLog
from quatrefoil.audit.witnesses import WitnessStatement
from quatrefoil.errors import CallerError, EvidenceRejected, StateCorrupt
from quatrefoil.state import SqliteState
from quatrefoil.tlog import LogReader, Note, NoteSignature, Source, read_checkpoint
from quatrefoil.tlog.notes import MOST_SIGNATURES, read_signatures
from quatrefoil.tlog.witness import AddCheckpoint, CosignatureRefused, Witness, with_statements
from quatrefoil.transport import Identity, TrustAnchor, files, statement

STATE_FILE = "witness.sqlite"
_STATEMENT = "witness/statement"


@dataclass(frozen=True)
class Cosigned:
    """``note``: the checkpoint with the signatures that it had and this witness's. ``statement``: signed, with which
    key the witness cosigns. ``before``: entries that it had cosigned until then."""

    note: bytes
    statement: bytes
    name: str
    size: int
    before: int


def cosign(
    source: Source,
    checkpoint: bytes | None,
    state: Path,
    *,
    identity: Identity,
    trust: TrustAnchor,
    clock: Callable[[], datetime],
) -> Cosigned:
    """Cosign a checkpoint of the log in ``source``, its newest where none is given, as the witness of ``identity``.
    ``state``: where that witness has its key and remembers; it is made if it is new.

    ``EvidenceRejected`` where the log does not continue what was cosigned: the proof of it is then in ``state``.
    """
    log = PartyLog(source, trust, clock=clock)
    if log.owner.name == identity.name:
        raise CallerError(f"the log is of {identity.name} itself", hint="Have another party cosign it")
    signed = log.reader.signed if checkpoint is None else read_checkpoint(checkpoint, log.owner.keys)
    if checkpoint is not None and signed.checkpoint.size > log.size:
        raise EvidenceRejected(
            f"the checkpoint has {signed.checkpoint.size} entries, and the log here {log.size}",
            hint="Ask for the log as it is now",
            check="checkpoint",
        )
    signer = witnesses.key_of(state, identity, trust)
    with _remembered(state) as memory:
        witness = Witness(signer, {log.owner.origin: log.owner.keys}, memory, clock=clock)
        before, size = witness.size(log.owner.origin), signed.checkpoint.size
        if before > size:
            problem = f"{identity.name} has cosigned {before} entries of it, and the checkpoint has {size}"
            shown = witness.examine(Note(signed.note.text, _of_log(signed.note, log)).encode())
            raise _kept(CosignatureRefused(problem, evidence=shown), log, state)
        proof = tuple(LogReader(source, signed).consistency_proof(before)) if before else ()
        asked = AddCheckpoint(before, proof, Note(signed.note.text, _of_log(signed.note, log)).encode())
        try:
            line = read_signatures(witness.add_checkpoint(asked.encode()).decode())
        except CosignatureRefused as refused:
            raise _kept(refused, log, state) from None
        own = [one for one in signed.note.signatures if not witness.verifier.signed(one)]
        if len(own) + 1 > MOST_SIGNATURES:
            raise CallerError(f"the checkpoint has {len(own)} signatures already", hint="Leave some witnesses out")
        said = _statement(memory, witness, identity, clock)
    return Cosigned(Note(signed.note.text, (*own, *line)).encode(), said, signer.name, size, before)


def log_source(state: Path) -> Path:
    """The folder of the log in a party's state, or the folder itself."""
    return state / LOG_FOLDER if (state / LOG_FOLDER).is_dir() else state


@contextmanager
def _remembered(state: Path) -> Iterator[SqliteState]:
    memory = SqliteState(state / STATE_FILE)
    try:
        yield memory
    finally:
        memory.close()


def _of_log(note: Note, log: PartyLog) -> tuple[NoteSignature, ...]:
    """The lines that the witness has to see: other witnesses' are nothing to it."""
    return tuple(one for one in note.signatures if any(key.signed(one) for key in log.owner.keys))


def _statement(memory: SqliteState, witness: Witness, identity: Identity, clock: Callable[[], datetime]) -> bytes:
    """Always the same bytes."""
    stored = memory.get(_STATEMENT)
    if stored is None:
        said = statement.sign(witnesses.said(witness.verifier, clock()), identity)
        stored = memory.put_once(_STATEMENT, said)
    if WitnessStatement.decode(statement.Signed.decode(stored).body).key != witness.verifier.encode():
        raise StateCorrupt(
            "this witness has said that it cosigns with another key than it has now",
            hint="Restore its folder, or begin with a new one",
        )
    return stored


def _kept(refused: CosignatureRefused, log: PartyLog, state: Path) -> EvidenceRejected:
    hint = "Ask its operator why, and cosign nothing of it"
    if refused.evidence is not None:
        file = state / "evidence" / f"{len(list((state / 'evidence').glob('*'))):04d}.json"
        files.write_new(file, with_statements(refused.evidence, log.statement).encode())
        hint = f"Keep {file}, and give it to whoever relies on this log"
    return EvidenceRejected(
        f"the log of {log.owner.name} is not cosigned: {refused.problem}",
        hint=hint,
        check="consistency",
        party=log.owner.name,
    )


__all__ = ["Cosigned", "cosign", "log_source"]
