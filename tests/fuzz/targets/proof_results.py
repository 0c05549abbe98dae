"""Files in a folder of results, whoever wrote them: each is the file P of its task and verifies, or is refused."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from tests.fuzz import rooms
from tests.fuzz.held import refused_or, refused_or_same

import made_inferences as made
from quatrefoil.audit.computations import computation, opening_keys
from quatrefoil.offline import Task
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import InferenceProver, WeightsCommitment, Witness
from quatrefoil.proofs.openings import Openings
from quatrefoil.proven import CommittedModel, Port, ProofFile, ProvenReceipt, Recorded
from quatrefoil.proven.proof_file import batch_of
from quatrefoil.proven.statement import sign_statement
from quatrefoil.proven.tasks import AnswersTask, CheckAnswers
from quatrefoil.state import MemoryState
from quatrefoil.transport import system_clock

# Two numbers in, one Dense, its two sums out. Its weights are the identity.
PROGRAM = b"QFPROG01" + struct.pack("<2I2i2I4I", 1, 2, 0, 255, 9, 1, 0, 0, 2, 0)
WEIGHTS = struct.pack("<6i", 1, 0, 0, 1, 0, 0)
OPENINGS = 4


@cache
def _made() -> tuple[AnswersTask, ProofFile]:
    """A task, and its result."""
    openings = Openings(MemoryState(), OPENINGS)
    prover = InferenceProver(PROGRAM, OPENINGS, WEIGHTS, b"s" * 32)
    commitment = WeightsCommitment(PROGRAM, OPENINGS, prover.root, prover.prove_range(openings.claim("a range")), ())
    inputs, keys = np.array([[1, 2]], "i4"), opening_keys(b"s" * 32)
    hashed = field_hash(2, 0, 255)
    said = computation(hashed, inputs, inputs, keys)
    receipt = made.receipt(inputs=said.inputs, outputs=said.outputs, commitment=prover.root)
    program, now = hashlib.sha256(PROGRAM).digest(), int(system_clock().timestamp())
    model = CommittedModel(made.MODEL, prover.root, program, OPENINGS, Port("x", 64), Port("y", 64), now)
    signed, origin = sign_statement(model, rooms.member("ward", "workload")), "quatrefoil/0/ward"
    shown = ProvenReceipt.of(Recorded(receipt, inputs, inputs, keys), 7, hashed, hidden=False)
    batch = batch_of(signed, origin, [shown], hidden=False)
    proof = prover.prove(openings.claim("an answer"), batch, Witness(inputs, ()))
    return AnswersTask(signed, origin, False, (shown,)), ProofFile(signed, commitment, origin, False, (shown,), proof)


def seeds() -> list[bytes]:
    """The result and the task, and the result about rows, inputs and outputs that it is not about."""
    task, file = _made()
    (shown,) = task.receipts
    changed: list[dict[str, Any]] = [
        {"rows": 0},
        {"rows": 2},
        {"rows": 1 << 40},
        {"inputs": b""},
        {"outputs": b"\1"},
        {"inputs": bytes(8), "outputs": bytes(8)},
        {"entry": 8},
        {"outputs_key": b""},
    ]
    altered = [replace(file, receipts=(replace(shown, **one),)) for one in changed]
    altered += [replace(file, hidden=True), replace(file, proof=b""), replace(file, receipts=())]
    return [file.encode(), task.encode(), *(one.encode() for one in altered)]


def one(data: bytes) -> None:
    """As a result of the task; and as a task, whose records are taken out of it."""
    task, file = _made()
    check = CheckAnswers(file.commitment.root)
    if refused_or(lambda: check(Task(task.encode(), "receipts 1"), data) or True) is not None:
        found = ProofFile.decode(data)
        assert vars(found.batch()) == vars(file.batch()), "a result about something else was taken"
    else:
        assert data != file.encode()
    said = refused_or_same(lambda: AnswersTask.decode(data), AnswersTask.encode, data)
    if said == task:
        assert [one.receipt for one in said.recorded()] == [one.said for one in task.receipts]
