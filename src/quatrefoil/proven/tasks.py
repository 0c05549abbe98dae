"""Many answers in batches, each a task of ``quatrefoil.offline`` whose result is a file P."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil.audit.computations import OpeningKeys
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.offline import Task, threads
from quatrefoil.proofs import inference
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import VerifiedCommitment, WeightsCommitment
from quatrefoil.proven.folder import ModelFolder
from quatrefoil.proven.logged import Logged
from quatrefoil.proven.proof_file import ProofFile
from quatrefoil.proven.proving import prove_answers
from quatrefoil.proven.receipts import ProvenReceipt, Recorded
from quatrefoil.quantised import entrance_of
from quatrefoil.wire import WireObject


@dataclass(frozen=True)
class AnswersTask(WireObject):
    """What a batch is proven from. ``receipts``: with the inputs, also where these are to stay ``hidden``: a task is
    for the prover alone. ``statement``: the signed one about the model."""

    TYPE: ClassVar[str] = "urn:quatrefoil:answers-task"
    statement: bytes
    origin: str
    hidden: bool
    receipts: tuple[ProvenReceipt, ...]

    def recorded(self) -> list[Recorded]:
        return [
            Recorded(
                one.said,
                _integers(one.inputs, one.rows),
                _integers(one.outputs, one.rows),
                OpeningKeys(one.inputs_key, one.outputs_key),
            )
            for one in self.receipts
        ]


def tasks_of(
    folder: ModelFolder,
    recorded: Sequence[Recorded],
    logged: Logged,
    *,
    hidden: bool,
    batch: int,
) -> list[Task]:
    """Tasks of up to ``batch`` receipts each, in order. The same records give the same tasks."""
    if batch < 1:
        raise CallerError(f"batches of {batch} receipts", hint="Give 1 or more")
    entrance = entrance_of(folder.program.content)
    hashed = field_hash(entrance.size, entrance.low, entrance.high)
    found = []
    for start in range(0, len(recorded), batch):
        some = recorded[start : start + batch]
        shown = tuple(ProvenReceipt.of(one, _place(one, logged.places), hashed, hidden=False) for one in some)
        content = AnswersTask(logged.statement, logged.origin, hidden, shown).encode()
        found.append(Task(content, f"receipts {start + 1:,} to {start + len(some):,}"))
    return found


@dataclass(frozen=True)
class ProveAnswers:
    """What a process is given: the file P of a task, with an opening of the commitment in ``folder`` that it claims."""

    folder: Path

    def __call__(self, task: Task) -> bytes:
        said, folder = AnswersTask.decode(task.content), ModelFolder(self.folder)
        logged = Logged(said.origin, said.statement, {one.said.digest(): one.entry for one in said.receipts})
        return prove_answers(folder, said.recorded(), logged, hidden=said.hidden, threads=threads()).encode()


@dataclass(frozen=True)
class CheckAnswers:
    """Whether a result is the file P of a task: about the same receipts, and verified."""

    root: bytes

    def __call__(self, task: Task, content: bytes) -> None:
        said, file = AnswersTask.decode(task.content), ProofFile.decode(content)
        wanted = [(one.receipt, one.entry) for one in said.receipts]
        if (
            [(one.receipt, one.entry) for one in file.receipts] != wanted
            or (file.statement, file.origin, file.hidden) != (said.statement, said.origin, said.hidden)
            or file.commitment.root != self.root
        ):
            raise EvidenceRejected("the file is about other receipts", hint="It is proven again", check="file")
        inference.verify(_verified(file.commitment), file.batch(), file.proof, threads=threads())


@lru_cache(maxsize=4)
def _verified(commitment: WeightsCommitment) -> VerifiedCommitment:
    return inference.verify_commitment(commitment)


def _place(one: Recorded, places: Mapping[bytes, int]) -> int:
    digest = one.receipt.digest()
    if digest not in places:
        raise CallerError(
            f"the log has no receipt {one.receipt.sequence} of keyset {one.receipt.keyset.hex()[:16]}",
            hint="Give the server's log as it is now",
        )
    return places[digest]


def _integers(data: bytes, rows: int) -> NDArray[np.int32]:
    return np.frombuffer(data, "<i4").reshape(rows, -1).astype(np.int32)


__all__ = ["AnswersTask", "CheckAnswers", "ProveAnswers", "tasks_of"]
