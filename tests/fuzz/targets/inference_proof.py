"""Proofs of answers, of the range of weights and of links, whole or as changes of one that is accepted.

As for proofs of bounded updates, most inputs say what to change, in few bytes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from functools import cache

from tests.fuzz import rooms

from quatrefoil import _core

FOLDER = rooms.VECTORS / "inference_proofs"
NAME = "two-layers"
WHOLE = 0x80
"""Set in the first byte: a whole proof follows. The lowest bits say of which kind."""

CHANGE = struct.Struct("<BIH")
"""How, where (modulo the length), and how many bytes or which ones."""
MOST_CHANGES = 8
MODULUS = 2**64 - 2**32 + 1
MOST_BYTES = 1 << 20

Verify = Callable[[bytes], tuple[bytes, float]]


def seeds() -> list[bytes]:
    """A change of every kind to every part of each proof, and proofs."""
    places = (3, 9, 50, 80, 130, 1_800, 6_000, 9_000, 60_000, 150_000)
    changes = [CHANGE.pack(how, at, 40) for how in range(6) for at in places]
    kinds = range(len(accepted()))
    return [
        *(bytes([kind]) + change for kind in kinds for change in changes),
        *(bytes([WHOLE | kind]) + accepted()[kind][1] for kind in kinds),
        *(bytes([WHOLE | kind]) + accepted()[kind - 1][1] for kind in kinds),
        bytes([WHOLE, 0]),
    ]


def one(data: bytes) -> None:
    """Refused with a reason, unless it is the proof itself."""
    how, rest = data[:1] or b"\0", data[1:]
    verify, original = accepted()[(how[0] & ~WHOLE) % len(accepted())]
    proof = rest[:MOST_BYTES] if how[0] & WHOLE else changed(original, rest)
    try:
        digest, bits = verify(proof)
    except _core.ProofRejected as refusal:
        assert 0 < len(str(refusal)) < 1000
        assert proof != original
        return
    assert proof == original, "bytes that nobody proved were accepted"
    assert digest == proof[12:44] and bits > 98


def changed(original: bytes, changes: bytes) -> bytes:
    proof = bytearray(original)
    for start in range(0, min(len(changes) // CHANGE.size, MOST_CHANGES) * CHANGE.size, CHANGE.size):
        how, at, which = CHANGE.unpack_from(changes, start)
        at %= len(proof) + 1
        word = at // 4 * 4  # where elements begin, all parts being multiples of four bytes long
        if how % 6 == 0:
            proof[at : at + 1] = bytes(byte ^ 1 << which % 8 for byte in proof[at : at + 1])
        elif how % 6 == 1:
            del proof[at : at + which]
        elif how % 6 == 2:
            proof[at:at] = bytes(which)
        elif how % 6 == 3:
            proof[word : word + 8] = (MODULUS - 2 + which % 5).to_bytes(8, "little")
        elif how % 6 == 4:
            first, second = proof[at : at + which], proof[at + which : at + 2 * which]
            proof[at : at + 2 * which] = second + first
        else:
            del proof[at:]
    return bytes(proof)


@cache
def accepted() -> list[tuple[Verify, bytes]]:
    """A verifier of each kind, and a proof that it accepts: of answers as it lies in the vectors, of a range and of a
    link as they are made here."""
    read = {kind: (FOLDER / f"{NAME}.{kind}").read_bytes() for kind in ("program", "inputs", "outputs", "proof")}
    said = json.loads((FOLDER / f"{NAME}.json").read_text())
    program, openings = read["program"], said["openings"]
    root, binding = bytes.fromhex(said["root"]), bytes.fromhex(said["binding"])

    def answers(proof: bytes) -> tuple[bytes, float]:
        public = (read["inputs"], False, read["outputs"], said["batch"], binding)
        return _core.verify_inference(program, openings, root, *public, proof, 1)

    weights = bytes(4 * weights_of(program, openings))
    old, new = (_core.WeightsCommitment(program, 1, weights, bytes([seed] * 32), 1) for seed in (1, 2))

    def in_range(proof: bytes) -> tuple[bytes, float]:
        return _core.verify_weights_range(program, 1, old.root, proof)

    def linked(proof: bytes) -> tuple[bytes, float]:
        return _core.verify_weights_link(program, 1, old.root, 1, new.root, proof)

    return [
        (answers, read["proof"]),
        (in_range, _core.prove_weights_range(old, bytes(32), 1)),
        (linked, _core.prove_weights_link(old, new, bytes(32), 1)),
    ]


def weights_of(program: bytes, openings: int) -> int:
    """How many weights and biases the program has."""
    return int(_core.inference_shape(program, openings, 1, False)["weights"])
