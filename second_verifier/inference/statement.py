"""What a proof of answers is about, and its digest (docs/inference-proofs.md, Transcript)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from bounded_update import blake3
from bounded_update.errors import Rejected
from bounded_update.field import P
from bounded_update.transcript import TRANSCRIPT, content

from .shape import Shape

PROTOCOL: Final = b"quatrefoil/proof/inference/v1"

Batch = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Statement:
    """`inputs` are integers, or with hidden inputs the elements of their hashes; one list a sample."""

    shape: Shape
    root: bytes
    inputs: Batch
    outputs: Batch
    binding: bytes

    def __post_init__(self) -> None:
        if len(self.root) != 32 or len(self.binding) != 32:
            raise ValueError("the root of the weights and the binding have 32 bytes each")

    def to_bytes(self) -> bytes:
        shape = self.shape
        program = shape.program.to_bytes()
        numbers = (
            *(shape.batch, shape.openings, int(shape.hidden), shape.ell),
            *shape.code.to_numbers(),
            *shape.weights.to_numbers(),
            *shape.row_code.to_numbers(),
        )
        return (
            struct.pack("<I", len(program))
            + program
            + struct.pack(f"<{len(numbers)}I", *numbers)
            + self.root
            + content(batch_bytes(self.inputs, "<Q" if shape.hidden else "<i"))
            + content(batch_bytes(self.outputs, "<i"))
            + self.binding
        )

    @cached_property
    def digest(self) -> bytes:
        return blake3.digest(PROTOCOL + self.to_bytes(), TRANSCRIPT)


def batch_bytes(batch: Batch, entry: str = "<i") -> bytes:
    return b"".join(struct.pack(entry, x) for sample in batch for x in sample)


def check_batch(statement: Statement) -> None:
    """As many entries as the shape has, inputs in their range, outputs of 32 bits."""
    shape = statement.shape
    program = shape.program
    if len(statement.inputs) != shape.batch or len(statement.outputs) != shape.batch:
        raise Rejected("the statement has another number of samples than the batch")
    if any(len(sample) != program.outputs for sample in statement.outputs):
        raise Rejected("an output has another number of entries than the program gives")
    if not all(-(1 << 31) <= x < 1 << 31 for sample in statement.outputs for x in sample):
        raise Rejected("an entry of an output has more than 32 bits")
    argmax = program.argmax
    if argmax is not None:
        features = program.given(len(program.steps))[0].features
        if not all(0 <= place < features for sample in statement.outputs for place in sample):
            raise Rejected(f"an output is no place of {features} values")
    if shape.hash is not None:
        if any(len(sample) != shape.hash.rows for sample in statement.inputs):
            raise Rejected("a hash of an input has another number of elements")
        if not all(0 <= x < P for sample in statement.inputs for x in sample):
            raise Rejected("an element of a hash is not below p")
        return
    if any(len(sample) != program.values[0].features for sample in statement.inputs):
        raise Rejected("an input has another number of entries than the program takes")
    check_range(statement)


def check_range(statement: Statement) -> None:
    program = statement.shape.program
    if not all(program.low <= x <= program.high for sample in statement.inputs for x in sample):
        raise Rejected("an entry of an input is outside the range of the program")
