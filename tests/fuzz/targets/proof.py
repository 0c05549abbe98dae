"""Proofs of bounded updates, whole or as changes of one that is accepted.

A proof is 120 kB, of which a fuzzer seldom changes what it means to. So most inputs say what to change, in few bytes.
"""

from __future__ import annotations

import json
import struct
from functools import cache

from tests.fuzz import rooms

from quatrefoil.aggregation import ParameterSet
from quatrefoil.contracts import BoundedUpdate, SumShape
from quatrefoil.errors import ProofRejected
from quatrefoil.proofs import BoundedUpdateProofs

FOLDER = rooms.VECTORS / "proofs"
NAMES = ("one-block-w16", "one-block-w12")
WHOLE = 0x80
"""Set in the first byte: a whole proof follows. The lowest bit says of which of NAMES it is to be a proof."""

CHANGE = struct.Struct("<BIH")
"""How, where (modulo the length), and how many bytes or which ones."""
MOST_CHANGES = 8
MODULUS = 2**64 - 2**32 + 1


def seeds() -> list[bytes]:
    """A change of every kind to every part of a proof, and proofs."""
    changes = [
        CHANGE.pack(how, at, 40) for how in range(8) for at in (3, 50, 80, 130, 1_800, 6_000, 9_000, 60_000, 90_000)
    ]
    end = len(accepted(NAMES[0])[2])
    both = [CHANGE.pack(0, 12, 0) + CHANGE.pack(7, 100_000, 32), CHANGE.pack(2, 119_000, 8) * 2, CHANGE.pack(3, end, 1)]
    return [
        *(bytes([index % 2]) + change for index, change in enumerate([*changes, *both])),
        *(bytes([WHOLE | index]) + accepted(name)[2] for index, name in enumerate(NAMES)),
        bytes([WHOLE]) + (FOLDER / "error-too-large.proof").read_bytes(),
        bytes([WHOLE, 0]),
    ]


def one(data: bytes) -> None:
    """Refused with a reason, unless it is the proof itself."""
    name, proof = proof_of(data)
    backend, statement, original = accepted(name)
    try:
        verified = backend.verify(statement, proof)
    except ProofRejected as refusal:
        assert refusal.reason and refusal.reason in refusal.problem and refusal.hint and len(str(refusal)) < 4000
        assert proof != original
        return
    assert proof == original, "bytes that nobody proved were accepted"
    assert verified.statement == proof[12:44]


def proof_of(data: bytes) -> tuple[str, bytes]:
    """Which statement an input is about, and the proof that it stands for."""
    how, rest = data[:1] or b"\0", data[1:]
    name, other = NAMES if how[0] % 2 == 0 else NAMES[::-1]
    if how[0] & WHOLE:
        return name, rest
    proof = bytearray(accepted(name)[2])
    for start in range(0, min(len(rest) // CHANGE.size, MOST_CHANGES) * CHANGE.size, CHANGE.size):
        how, at, which = CHANGE.unpack_from(rest, start)
        _change(proof, how, at, which, accepted(other)[2])
    return name, bytes(proof)


def _change(proof: bytearray, how: int, at: int, which: int, other: bytes) -> None:
    at %= len(proof) + 1
    word = at // 4 * 4  # where elements begin, all parts being multiples of four bytes long
    if how % 8 == 0:
        proof[at : at + 1] = bytes(byte ^ 1 << which % 8 for byte in proof[at : at + 1])
    elif how % 8 == 1:
        proof[at : at + 2] = which.to_bytes(2, "little")
    elif how % 8 == 2:
        del proof[at : at + which]
    elif how % 8 == 3:
        proof[at:at] = bytes(which)
    elif how % 8 == 4:
        proof[word : word + 8] = (MODULUS - 2 + which % 5).to_bytes(8, "little")
    elif how % 8 == 5:
        first, second = proof[at : at + which], proof[at + which : at + 2 * which]
        proof[at : at + 2 * which] = second + first
    elif how % 8 == 6:
        del proof[at:]
    else:
        proof[at : at + which] = other[at : at + which]


@cache
def accepted(name: str) -> tuple[BoundedUpdateProofs, BoundedUpdate, bytes]:
    """Backend, statement and proof of a published vector."""
    stated = json.loads((FOLDER / f"{name}.json").read_text())
    backend = BoundedUpdateProofs(ParameterSet.named(stated["parameters"]["name"]))
    shape = SumShape(stated["values"], 1.0, bytes.fromhex(stated["context"]))
    ciphertext = bytes(96) + (FOLDER / f"{name}.blocks").read_bytes()
    statement = BoundedUpdate(shape, ciphertext, stated["bound"], bytes.fromhex(stated["binding"]))
    return backend, statement, (FOLDER / f"{name}.proof").read_bytes()
