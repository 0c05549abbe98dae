"""The file P of a proof of answers, and the objects in it: behind a statement that holds and a commitment that fits."""

from __future__ import annotations

import hashlib
import struct
from functools import cache

import numpy as np
from tests.fuzz import rooms
from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.audit.computations import computation, opening_keys
from quatrefoil.audit.inference_receipts import InferenceReceipt
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import WeightsCommitment
from quatrefoil.proven import CommittedModel, Port, ProofFile, ProvenReceipt, Recorded, verify_answers
from quatrefoil.proven.statement import sign_statement
from quatrefoil.transport import system_clock

# Two numbers in, one Dense, its two sums out.
PROGRAM = b"QFPROG01" + struct.pack("<2I2i2I4I", 1, 2, 0, 255, 9, 1, 0, 0, 2, 0)
MODEL = b"m" * 32


@cache
def _file(hidden: bool = False) -> ProofFile:
    commitment = WeightsCommitment(PROGRAM, 4, b"r" * 32, b"range", ())
    inputs, outputs, keys = np.array([[1, 2]], "i4"), np.array([[3, 4]], "i4"), opening_keys(b"s" * 32)
    hashed = field_hash(2, 0, 255)
    said = computation(hashed, inputs, outputs, keys)
    digests = (
        b"k" * 32,
        0,
        b"k" * 32,
        1_900_000_000_000,
        MODEL,
        b"r" * 32,
        "tpm.pcr0=01",
        b"p" * 32,
        b"",
        b"q" * 32,
        b"a" * 32,
    )
    receipt = InferenceReceipt("ward", *digests, 200, True, said.inputs, said.outputs)
    digest, now = hashlib.sha256(PROGRAM).digest(), int(system_clock().timestamp())
    model = CommittedModel(MODEL, commitment.root, digest, 4, Port("x", 64), Port("y", 64), now)
    signed = sign_statement(model, rooms.member("ward", "workload"))
    shown = ProvenReceipt.of(Recorded(receipt, inputs, outputs, keys), 7, hashed, hidden=hidden)
    return ProofFile(signed, commitment, "quatrefoil/0/ward", hidden, (shown,), b"proof")


def seeds() -> list[bytes]:
    return [_file().encode(), _file(True).encode(), _file().commitment.encode(), _file().receipts[0].encode()]


def one(data: bytes) -> None:
    for kind in (ProofFile, WeightsCommitment, ProvenReceipt):
        refused_or_same(lambda kind=kind: kind.decode(data), kind.encode, data)
    assert refused_or(lambda: verify_answers(data, rooms.trust(), clock=system_clock, log=None)) is None
