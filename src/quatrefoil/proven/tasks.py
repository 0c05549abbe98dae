"""Many answers in batches, each a task of ``quatrefoil.offline`` whose result is a file P."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil.audit.computations import OpeningKeys
from quatrefoil.errors import CallerError, EvidenceRejected, HostError
from quatrefoil.offline import Task, threads
from quatrefoil.proofs import inference
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import VerifiedCommitment, WeightsCommitment
from quatrefoil.proven.folder import STATE, ModelFolder
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
    recorded: Iterable[Recorded],
    logged: Logged,
    *,
    hidden: bool,
    batch: int,
) -> Iterator[Task]:
    """Tasks of up to ``batch`` receipts each, in order, each made when it is asked for: only its records are held then.
    The same records give the same tasks."""
    if batch < 1:
        raise CallerError(f"batches of {batch} receipts", hint="Give 1 or more")
    entrance = entrance_of(folder.program.content)
    hashed = field_hash(entrance.size, entrance.low, entrance.high)
    reading, done = iter(recorded), 0
    while some := tuple(islice(reading, batch)):
        shown = tuple(ProvenReceipt.of(one, _place(one, logged.places), hashed, hidden=False) for one in some)
        content = AnswersTask(logged.statement, logged.origin, hidden, shown).encode()
        yield Task(content, f"receipts {done + 1:,} to {done + len(some):,}")
        done += len(some)


@dataclass(frozen=True)
class ProveAnswers:
    """What a process is given: the file P of a task, with an opening of the commitment in ``folder`` that it claims.

    ``counted``: which folder of which machine that is, by :func:`counted_in`. A copy of it would use openings a second
    time, and is refused before one is claimed.
    """

    folder: Path
    counted: str

    def __call__(self, task: Task) -> bytes:
        if self.counted != counted_in(self.folder):
            raise CallerError(
                "the openings of this commitment are counted on another machine, or in another folder",
                hint="Prove on the machine that has the folder: a copy of it has forgotten what is used",
            )
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


def counted_in(folder: Path) -> str:
    """What tells the folder in which openings are counted from a copy of it, also on another machine: the kernel's boot
    id (proc(5)), and device and number of the file that they are counted in. Good until the machine starts again."""
    try:
        boot, counted = Path("/proc/sys/kernel/random/boot_id").read_text().strip(), (folder / STATE).stat()
    except OSError as error:
        raise HostError(
            f"where openings are counted cannot be told ({error.strerror})",
            hint="Name the folder of `quatrefoil model commit`, on a machine with /proc",
        ) from None
    return f"{boot}/{counted.st_dev}/{counted.st_ino}"


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


__all__ = ["AnswersTask", "CheckAnswers", "ProveAnswers", "counted_in", "tasks_of"]
