"""Records of answers read back, by whoever they were sealed to: each held to its receipt before it is given out."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from quatrefoil.audit import inference_receipts
from quatrefoil.audit.computations import hashes_of, require_inputs, require_outputs, rho_of
from quatrefoil.audit.inference_receipts import InferenceReceipt
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, MessageRefused, StateCorrupt
from quatrefoil.proofs.field_hash import FieldHash
from quatrefoil.serving.record_writer import CONTEXT, KEY_BYTES, MAGIC, NAME, Record, nonce
from quatrefoil.tlog.records import MARK_BYTES
from quatrefoil.transport import Clock, TrustAnchor, sealed

LARGEST_RECORD = 1 << 30
_HEAD = struct.Struct(">I32s")
_HINT = "Restore the file from a copy; the answers that it lacks cannot be proven"


@dataclass(frozen=True, repr=False, eq=False)
class AnswerRecord:
    """One answer, as its receipt has it. ``receipt``: as it was signed, ``said``: what it says. ``inputs`` (rows, size)
    and ``outputs`` (rows, features), in 32 bits. ``rho``: of each row, the bytes that it is read from. ``inputs_key``
    and ``output_key``: what opens the receipt's two commitments."""

    keyset: Keyset
    sequence: int
    receipt: bytes
    said: InferenceReceipt
    inputs: NDArray[np.int32]
    outputs: NDArray[np.int32]
    rho: tuple[bytes, ...]
    inputs_key: bytes
    output_key: bytes


def read_records(
    folder: Path,
    field_hash: FieldHash,
    *,
    key: sealed.RecipientKey,
    trust: TrustAnchor,
    sender: str,
    clock: Clock,
    report: Callable[[str], None],
) -> Iterator[AnswerRecord]:
    """Every record in ``folder``, keyset after keyset, in the order of writing. ``field_hash``: of the model's input.

    ``sender``: certified name of the server that must have written it. ``report``: told of a record that was being
    written when the process stopped, which no receipt was given out of. ``MessageRefused`` where ``key`` does not open
    a file, or another party wrote it; ``StateCorrupt`` where one was damaged or edited; ``EvidenceRejected`` naming
    the receipt where a record does not fit its receipt.
    """
    files = sorted(folder.glob(NAME.format("*")))
    if not files:
        raise CallerError(f"{folder} holds no records of answers", hint="Name the folder of `quatrefoil serve --audit`")
    for path in files:
        try:
            with path.open("rb") as file:
                yield from _answers(path.name, file, field_hash, key, trust, sender, clock, report)
        except OSError as error:
            raise HostError(
                f"{path} cannot be read ({error.strerror})", hint="Check its disk and permissions"
            ) from None


def _answers(
    name: str,
    file: BinaryIO,
    field_hash: FieldHash,
    key: sealed.RecipientKey,
    trust: TrustAnchor,
    sender: str,
    clock: Clock,
    report: Callable[[str], None],
) -> Iterator[AnswerRecord]:
    contents = _contents(name, file, report)
    if (header := next(contents, None)) is None:
        return
    opened = io.BytesIO()
    sealed.open_early(
        io.BytesIO(header),
        opened,
        key=key,
        trust=trust,
        sender=sender,
        context=CONTEXT,
        judged=sealed.Judged.AT_CLAIMED_TIME,
        clock=clock,
    )
    secret = opened.getvalue()
    keyset = Keyset.decode(secret[KEY_BYTES:])
    if name != NAME.format(keyset.digest().hex()):
        raise StateCorrupt(f"{name} is of another keyset than its name says", hint=_HINT)
    cipher, last = AESGCM(secret[:KEY_BYTES]), 0
    for content in contents:
        number = int.from_bytes(content[:8], "big")
        try:
            record = Record.decode(cipher.decrypt(nonce(number), content[8:], keyset.digest()))
        except (InvalidTag, MessageRefused, ValueError, OverflowError):
            raise StateCorrupt(f"{name} has a record that its key does not open, number {number}", hint=_HINT) from None
        if number <= last:
            raise StateCorrupt(f"{name} has record {number} after record {last}", hint=_HINT)
        last = number
        yield _held(record, keyset, field_hash)


def _held(record: Record, keyset: Keyset, field_hash: FieldHash) -> AnswerRecord:
    """The record, if its receipt is signed under the keyset and about these inputs and outputs."""
    said = inference_receipts.verify(record.receipt, keyset)
    try:
        inputs, outputs = (
            np.frombuffer(part, "<i4").reshape(record.rows, -1).astype(np.int32)
            for part in (record.inputs, record.outputs)
        )
        require_inputs(said, hashes_of(field_hash, inputs, record.inputs_key))
        require_outputs(said, record.outputs_key, outputs)
    except (EvidenceRejected, CallerError, ValueError) as error:
        why = getattr(error, "problem", "its integers are no whole rows")
        raise EvidenceRejected(
            f"the record of receipt {said.sequence} does not fit it: {why}", hint=_HINT, check="record"
        ) from None
    rho = tuple(rho_of(record.inputs_key, row, field_hash.rho_bytes) for row in range(record.rows))
    return AnswerRecord(
        keyset, said.sequence, record.receipt, said, inputs, outputs, rho, record.inputs_key, record.outputs_key
    )


def _contents(name: str, file: BinaryIO, report: Callable[[str], None]) -> Iterator[bytes]:
    """The content of each whole record. A torn one at the end is told; one that is damaged before the end is
    ``StateCorrupt``."""
    start = file.read(len(MAGIC) + MARK_BYTES)
    if not start.startswith(MAGIC[: len(start)]):
        raise StateCorrupt(f"{name} holds no records of answers of this version", hint=_HINT)
    mark = start[len(MAGIC) :]
    while head := file.read(MARK_BYTES + _HEAD.size):
        length, digest = _HEAD.unpack(head[MARK_BYTES:]) if len(head) == MARK_BYTES + _HEAD.size else (-1, b"")
        whole = head[:MARK_BYTES] == mark and 0 <= length <= LARGEST_RECORD
        content = file.read(length) if whole else b""
        if not whole or len(content) != length or hashlib.sha256(content).digest() != digest:
            _require_torn(name, head + content, file, mark)
            report(f"{name} ends in a record that was not written whole: no receipt of it was given out")
            return
        yield content
    if len(start) < len(MAGIC) + MARK_BYTES:
        report(f"{name} was begun and holds nothing")


def _require_torn(name: str, begun: bytes, file: BinaryIO, mark: bytes) -> None:
    """``StateCorrupt`` where another record begins after this one."""
    window = begun[1:]
    while window:
        if mark in window:
            raise StateCorrupt(f"{name} has a damaged record before its last", hint=_HINT)
        more = file.read(1 << 20)
        window = window[-MARK_BYTES:] + more if more else b""


__all__ = ["AnswerRecord", "read_records"]
