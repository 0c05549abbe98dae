"""Records of answers, as a server's folder holds them: the file as anybody can alter it, and what whoever has its key
writes into it."""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.fuzz import rooms
from tests.fuzz.held import refused_or

import made_inferences as made
from quatrefoil.audit.computations import computation, hashes_of, opening_keys, require_inputs, require_outputs
from quatrefoil.audit.inference_receipts import sign
from quatrefoil.proofs.field_hash import FieldHash, field_hash
from quatrefoil.serving.record_reader import AnswerRecord, read_records
from quatrefoil.serving.record_writer import CONTEXT, KEY_BYTES, MAGIC, NAME, Record, nonce
from quatrefoil.tlog import records
from quatrefoil.transport import sealed, system_clock

KEYSET = made.keyset(0)
FILE = NAME.format(KEYSET.digest().hex())
KEY, MARK = b"\x05" * KEY_BYTES, b"a mark of 16 b.."
"""Of every file here."""


@cache
def _reader() -> sealed.RecipientKey:
    return sealed.RecipientKey.generate(sealed.HYBRID_768)


@cache
def _hash() -> FieldHash:
    return field_hash(2, 0, 255)


@cache
def _begun() -> bytes:
    """A file of which the key is :data:`KEY`, before its first answer."""
    header = io.BytesIO()
    sealed.seal(
        io.BytesIO(KEY + KEYSET.encode()),
        header,
        recipients=[_reader().recipient],
        sender=rooms.member("ward", "workload"),
        context=CONTEXT,
        minimum=sealed.HYBRID_768,
        clock=system_clock,
    )
    return MAGIC + MARK + records.record(MARK, header.getvalue())


def _with(*answers: bytes) -> bytes:
    """As the server writes it."""
    content = _begun()
    for number, answer in enumerate(answers, 1):
        encrypted = AESGCM(KEY).encrypt(nonce(number), answer, KEYSET.digest())
        content += records.record(MARK, number.to_bytes(8, "big") + encrypted)
    return content


@cache
def _answer(sequence: int) -> bytes:
    inputs, outputs, keys = np.array([[1, 2]], "<i4"), np.array([[3, 4]], "<i4"), opening_keys(made.SALT)
    said = computation(_hash(), inputs, outputs, keys)
    receipt = made.receipt(sequence=sequence, inputs=said.inputs, outputs=said.outputs)
    arrays = (len(inputs), inputs.tobytes(), outputs.tobytes())
    return Record(sign(receipt, made.key()), *arrays, keys.inputs, keys.outputs).encode()


def seeds() -> list[bytes]:
    whole = _with(_answer(0), _answer(1))
    return [
        whole,
        _begun(),
        whole[:-7],
        whole[:30],
        whole + bytes(50),
        _answer(0),
        _with(b""),
        *_rows(0, 3, 1 << 40, 1 << 63),
    ]


def _rows(*numbers: int) -> list[bytes]:
    """The answer under a receipt that holds, cut into so many rows."""
    return [replace(Record.decode(_answer(0)), rows=number).encode() for number in numbers]


def one(data: bytes) -> None:
    """What is given out is what its receipt commits to; a file that was not altered gives all of it."""
    found = _read(data)
    if data == _with(_answer(0), _answer(1)):
        assert found is not None and [answer.sequence for answer in found] == [0, 1]
    within = _read(_with(data))
    if data == _answer(0):
        assert within is not None and len(within) == 1
    for answer in (found or []) + (within or []):
        require_inputs(answer.said, hashes_of(_hash(), answer.inputs, answer.inputs_key))
        require_outputs(answer.said, answer.output_key, answer.outputs)


def _read(content: bytes) -> list[AnswerRecord] | None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, FILE).write_bytes(content)
        return refused_or(
            lambda: list(
                read_records(
                    Path(folder),
                    _hash(),
                    key=_reader(),
                    trust=rooms.trust(),
                    sender="ward",
                    clock=system_clock,
                    report=lambda _what: None,
                )
            )
        )
