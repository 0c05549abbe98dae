"""What a receipt commits to of a computation, opened: integers in and out, or the hashes of those that stay hidden.

Property: what :func:`open_receipt` gives is what the receipt commits to, and nothing else opens it; it rests on SHA-256
and on the field hash. docs/inference-receipts.md says what a receipt commits to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil.audit import computations
from quatrefoil.audit.computations import KEY_BYTES, OpeningKeys
from quatrefoil.audit.inference_receipts import InferenceReceipt
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.proofs.field_hash import FieldHash
from quatrefoil.proven.statement import CommittedModel
from quatrefoil.wire import WireObject

_HINT = "Keep receipt and record as evidence, and ask the server's operator"
MOST_ROWS = 1 << 14


@dataclass(frozen=True, repr=False)
class Recorded:
    """What a server keeps of one answer, for proofs: ``inputs`` (rows, F) and ``outputs`` (rows, F), integers, and the
    keys that open the receipt's commitments to them."""

    receipt: InferenceReceipt
    inputs: NDArray[np.int32]
    outputs: NDArray[np.int32]
    keys: OpeningKeys


@dataclass(frozen=True)
class ProvenReceipt(WireObject):
    """One receipt of a batch. ``entry``: its place in the log; ``receipt``: encoded, without its signature; ``inputs``:
    of ``rows`` samples, i32 little endian, with the key that opens them; or, where they stay hidden, their field hashes
    and no key; ``outputs``: i32, with their key."""

    TYPE: ClassVar[str] = "urn:quatrefoil:proven-receipt"
    entry: int
    receipt: bytes
    rows: int
    inputs: bytes
    inputs_key: bytes
    outputs: bytes
    outputs_key: bytes

    @property
    def said(self) -> InferenceReceipt:
        """``EvidenceRejected`` where it is no receipt."""
        try:
            return InferenceReceipt.decode(self.receipt)
        except MessageRefused as error:
            raise EvidenceRejected(f"a receipt is none: {error.problem}", hint=_HINT, check="receipts") from None

    @classmethod
    def of(cls, recorded: Recorded, entry: int, field_hash: FieldHash, *, hidden: bool) -> ProvenReceipt:
        """What an auditor is shown of a record."""
        inputs, key = _packed(recorded.inputs), recorded.keys.inputs
        if hidden:
            inputs, key = b"".join(computations.hashes_of(field_hash, recorded.inputs, key)), b""
        opened = (_packed(recorded.outputs), recorded.keys.outputs)
        return cls(entry, recorded.receipt.encode(), len(recorded.inputs), inputs, key, *opened)


def require_answer(receipt: InferenceReceipt, model: CommittedModel) -> None:
    """``EvidenceRejected`` unless the receipt is of a whole answer of ``model`` and of its committed weights, and says
    what was computed."""
    if receipt.model != model.model:
        raise _wrong(receipt, f"is of the model {receipt.model.hex()[:16]}, and not of {model.model.hex()[:16]}")
    if receipt.status != 200 or not receipt.complete:
        raise _wrong(receipt, f"is of no whole answer: its status is {receipt.status}")
    if receipt.commitment != model.commitment:
        named = (
            f"the committed weights {receipt.commitment.hex()[:16]}" if receipt.commitment else "no committed weights"
        )
        raise _wrong(receipt, f"names {named}, and the proof is against {model.commitment.hex()[:16]}")
    if not receipt.inputs:
        raise _wrong(
            receipt, "says nothing of what was computed: its server was not in audit mode, or no model answered"
        )


def open_receipt(
    shown: ProvenReceipt, model: CommittedModel, field_hash: FieldHash, *, hidden: bool
) -> InferenceReceipt:
    """The receipt, which commits to the inputs (or their hashes) and outputs beside it; ``EvidenceRejected`` where it
    does not, or is no answer of ``model``."""
    receipt = shown.said
    require_answer(receipt, model)
    width = 8 * field_hash.rows if hidden else 4 * field_hash.size
    if not 1 <= shown.rows <= MOST_ROWS or len(shown.inputs) != width * shown.rows:
        raise _wrong(receipt, f"is beside {len(shown.inputs)} bytes of inputs for {shown.rows} rows")
    if len(shown.inputs_key) != (0 if hidden else KEY_BYTES) or len(shown.outputs_key) != KEY_BYTES:
        raise _wrong(receipt, "is beside keys of another length")
    if not shown.outputs or len(shown.outputs) % (4 * shown.rows):
        raise _wrong(receipt, f"is beside {len(shown.outputs)} bytes of outputs for {shown.rows} rows")
    if hidden:
        hashes = tuple(shown.inputs[start : start + width] for start in range(0, len(shown.inputs), width))
    else:
        try:
            hashes = computations.hashes_of(field_hash, _rows(shown.inputs, shown.rows), shown.inputs_key)
        except CallerError as error:
            raise _wrong(receipt, f"is beside inputs that no model takes: {error.problem}") from None
    computations.require_inputs(receipt, hashes)
    computations.require_outputs(receipt, shown.outputs_key, _rows(shown.outputs, shown.rows))
    return receipt


def _packed(array: NDArray[np.int32]) -> bytes:
    return np.ascontiguousarray(array, "<i4").tobytes()


def _rows(data: bytes, rows: int) -> NDArray[np.int32]:
    found: NDArray[np.int32] = np.frombuffer(data, "<i4").reshape(rows, -1)
    return found


def _wrong(receipt: InferenceReceipt, what: str) -> EvidenceRejected:
    return EvidenceRejected(
        f"receipt {receipt.sequence} of keyset {receipt.keyset.hex()[:16]} {what}",
        hint=_HINT,
        check="receipts",
        party=receipt.issuer,
    )


__all__ = ["ProvenReceipt", "Recorded", "open_receipt", "require_answer"]
