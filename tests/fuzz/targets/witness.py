"""Requests to a witness, and files of evidence. The keys are made once a process, so that signatures can hold."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.state import MemoryState
from quatrefoil.tlog import Checkpoint, LogKeys, Note, Signer
from quatrefoil.tlog.evidence import FORK, REWRITE, STALE, Evidence, judge
from quatrefoil.tlog.merkle import leaf_hash, node_hash
from quatrefoil.tlog.notes import read_signatures
from quatrefoil.tlog.witness import AddCheckpoint, Witness

ORIGIN = "quatrefoil/0123456789abcdef/north"
NOON = datetime(2030, 1, 1, tzinfo=UTC)
FIRST, SECOND = leaf_hash(b"first"), leaf_hash(b"second")


@cache
def _keys() -> LogKeys:
    return LogKeys.generate(ORIGIN)


def _checkpoint(size: int, root: bytes) -> bytes:
    checkpoint = Checkpoint(ORIGIN, size, root)
    return Note(checkpoint.text(), tuple(signer.sign(checkpoint, NOON) for signer in _keys().signers)).encode()


def _witness() -> Witness:
    signer = Signer("quatrefoil/0123456789abcdef/south/witness", _keys().ml_dsa_44)
    return Witness(signer, {ORIGIN: _keys().verifiers}, MemoryState(), clock=lambda: NOON)


def seeds() -> list[bytes]:
    one, two = _checkpoint(1, FIRST), _checkpoint(2, node_hash(FIRST, SECOND))
    other = _checkpoint(1, SECOND)
    requests = [AddCheckpoint(0, (), one), AddCheckpoint(0, (), two), AddCheckpoint(1, (SECOND,), two)]
    evidence = [
        Evidence(FORK, one, other),
        Evidence(STALE, one, two),
        Evidence(REWRITE, other, two, FIRST, (SECOND,), b"owner", (b"w",)),
    ]
    return [*(each.encode() for each in requests), *(each.encode() for each in evidence)]


def one(data: bytes) -> None:
    """A request gets a cosignature that is one, or a refusal; evidence shows what it says, or is refused."""
    refused_or_same(lambda: AddCheckpoint.decode(data), lambda value: value.encode(), data)
    witness = _witness()
    lines = refused_or(lambda: witness.add_checkpoint(data))
    if lines is not None:
        latest = witness.latest(ORIGIN)
        assert latest is not None and read_signatures(lines.decode()) == Note.decode(latest).signatures[-1:]
    evidence = refused_or_same(lambda: Evidence.decode(data), lambda value: value.encode(), data)
    if evidence is not None:
        refused_or(lambda: judge(evidence, _keys().verifiers))
