"""The public half of a batch, from what receipts open to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import EvidenceRejected
from quatrefoil.proofs.inference import LARGEST_BATCH, Batch
from quatrefoil.proven.exchanges import Opened
from quatrefoil.proven.statement import CommittedModel
from quatrefoil.quantised import Entrance, Values

_HINT = "Believe none of the answers, and keep the file as evidence"


def inputs_of(opened: Sequence[Opened], model: CommittedModel, entrance: Entrance) -> Values:
    """The integers (B, F) that all the requests' numbers are rounded to."""
    for one in opened:
        if one.inputs.shape[1:] != entrance.shape:
            raise EvidenceRejected(
                f"receipt {one.receipt.sequence} has inputs {one.inputs.shape[1:]}, not {entrance.shape}",
                hint=_HINT,
                check="receipts",
            )
    samples = np.concatenate([one.inputs for one in opened])
    if len(samples) > LARGEST_BATCH:
        raise EvidenceRejected(
            f"the receipts are of {len(samples):,} samples, over {LARGEST_BATCH:,} of one proof",
            hint="Prove fewer at once",
            check="receipts",
        )
    return entrance.enter(samples, model.input.exponent)


def outputs_of(opened: Sequence[Opened], model: CommittedModel, program_outputs: bytes, width: int) -> bytes:
    """The outputs (i32) that the proof has to be about. ``program_outputs``: what stands for them where answers are
    places: the largest of each has to be where the answer says."""
    if not model.largest and (program_outputs or any(one.answers.shape[1] != width for one in opened)):
        raise _unlike(f"the answers do not have {width} numbers each, or have them twice")
    answers = np.concatenate([one.answers for one in opened])
    if not model.largest:
        return answers.astype("<i4").tobytes()
    if len(program_outputs) != 4 * width * len(answers):
        raise _unlike(f"{len(program_outputs)} bytes of outputs for {len(answers)} answers")
    found: NDArray[np.int32] = np.frombuffer(program_outputs, "<i4").reshape(len(answers), width)
    if (found.argmax(axis=1) != answers).any():
        raise _unlike("an answer is not the place of the largest output")
    return program_outputs


def batch_of(inputs: Values, outputs: bytes, binding: bytes) -> Batch:
    return Batch(len(inputs), np.ascontiguousarray(inputs, "<i4").tobytes(), outputs, binding)


def _unlike(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check="answers")


__all__ = ["batch_of", "inputs_of", "outputs_of"]
