"""Proofs that a leaf is in a log (C2SP tlog-proof)."""

from __future__ import annotations

from functools import cache

from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.tlog import Checkpoint, LogKeys, Note
from quatrefoil.tlog.merkle import leaf_hash, node_hash
from quatrefoil.tlog.proofs import LogProof
from quatrefoil.transport import system_clock

LEAVES = [leaf_hash(bytes([number])) for number in range(2)]


@cache
def keys() -> LogKeys:
    return LogKeys.generate("quatrefoil/fuzz/hub")


@cache
def seeds() -> list[bytes]:
    said = Checkpoint(keys().origin, 2, node_hash(*LEAVES))
    note = Note(said.text(), tuple(one.sign(said, system_clock()) for one in keys().signers)).encode()
    return [LogProof(0, (LEAVES[1],), note, b"beside").encode(), LogProof(1, (LEAVES[0],), note).encode()]


def one(data: bytes) -> None:
    proof = refused_or_same(lambda: LogProof.decode(data), LogProof.encode, data)
    if proof is not None and refused_or(lambda: proof.verify(LEAVES[0], keys().verifiers)) is not None:
        assert (proof.index, proof.path) == (0, (LEAVES[1],))
