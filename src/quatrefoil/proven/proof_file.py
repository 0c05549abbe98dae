"""The file P of a proof of answers: all that its check needs but the consortium's root, and the log."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.proofs.inference import LARGEST_BATCH, Batch, WeightsCommitment
from quatrefoil.proven.binding import Binding, Place
from quatrefoil.proven.receipts import ProvenReceipt
from quatrefoil.wire import WireObject


@dataclass(frozen=True)
class ProofFile(WireObject):
    """``statement``: signed, about the model; ``origin``: of the log; ``hidden``: whether inputs stay hidden."""

    TYPE: ClassVar[str] = "urn:quatrefoil:proof-of-answers"
    statement: bytes
    commitment: WeightsCommitment
    origin: str
    hidden: bool
    receipts: tuple[ProvenReceipt, ...]
    proof: bytes

    def batch(self) -> Batch:
        """What the proof has to be about. ``MessageRefused`` where that is nothing, ``CallerError`` where too much."""
        return batch_of(self.statement, self.origin, self.receipts, hidden=self.hidden)


def batch_of(statement: bytes, origin: str, receipts: Sequence[ProvenReceipt], *, hidden: bool) -> Batch:
    """The samples of all receipts, in order, bound to these and to their places in the log.

    Every sample's output is as long as every other's: only what all receipts have together is held to the program, and
    an entry of one receipt's answer would pass for the beginning of the next one's.
    """
    places = tuple(Place(hashlib.sha256(one.receipt).digest(), one.entry) for one in receipts)
    binding = Binding(hashlib.sha256(statement).digest(), origin, places)
    size = sum(one.rows for one in receipts)
    if size > LARGEST_BATCH:
        raise CallerError(f"the receipts are of {size:,} samples, over {LARGEST_BATCH:,}", hint="Prove fewer at once")
    first = receipts[0]
    if any(len(one.outputs) * first.rows != len(first.outputs) * one.rows for one in receipts):
        raise MessageRefused(
            "receipts of one proof have outputs of different lengths", hint="Prove answers of one model, each whole"
        )
    inputs, outputs = (b"".join(parts) for parts in ((r.inputs for r in receipts), (r.outputs for r in receipts)))
    return Batch(size, inputs, outputs, binding.digest(), hidden)


__all__ = ["ProofFile", "batch_of"]
