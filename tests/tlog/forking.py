"""Logs that grow, and logs of a liar: the same keys over different leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from quatrefoil.state import MemoryState
from quatrefoil.tlog import Checkpoint, FolderSource, LogWriter, Note, Signer
from quatrefoil.tlog.merkle import Frontier, consistency_proof, leaf_hash, root_of
from quatrefoil.tlog.witness import AddCheckpoint, Witness, WitnessStore

ORIGIN = "quatrefoil/0123456789abcdef/hub"
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@cache
def ml_dsa(name: str, seed: int = 1) -> Signer:
    return Signer(name, MLDSA44PrivateKey.from_seed_bytes(bytes([seed]) * 32))


@cache
def ed25519(name: str, seed: int = 1) -> Signer:
    return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


KEYS = (ed25519(ORIGIN), ml_dsa(ORIGIN))
"""What signs the log."""

VERIFIERS = tuple(signer.verifier for signer in KEYS)


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def leaves(begin: int, end: int, kind: str = "leaf") -> list[bytes]:
    return [f"{kind} {number}".encode() for number in range(begin, end)]


def signed(
    root: bytes, size: int, *, origin: str = ORIGIN, keys: Sequence[Signer] = KEYS, at: datetime = NOON
) -> bytes:
    """A checkpoint as a log signs it, whatever it says."""
    checkpoint = Checkpoint(origin, size, root)
    return Note(checkpoint.text(), tuple(key.sign(checkpoint, at) for key in keys)).encode()


@dataclass
class Tree:
    """A tree in memory, for roots and proofs at every size."""

    content: list[bytes] = field(default_factory=list)

    def root(self, size: int | None = None) -> bytes:
        return root_of(leaf_hash(leaf) for leaf in self.content[: len(self.content) if size is None else size])

    def proof(self, old: int, new: int | None = None) -> list[bytes]:
        def read(height: int, index: int) -> bytes:
            tree = Frontier()
            for leaf in self.content[index << height : (index + 1) << height]:
                tree.append(leaf_hash(leaf))
            return tree.root()

        return consistency_proof(old, len(self.content) if new is None else new, read)

    def checkpoint(self, size: int | None = None, **changes: object) -> bytes:
        wanted = len(self.content) if size is None else size
        return signed(self.root(wanted), wanted, **changes)  # type: ignore[arg-type]

    def request(self, old: int, size: int | None = None, **changes: object) -> bytes:
        wanted = len(self.content) if size is None else size
        return AddCheckpoint(old, tuple(self.proof(old, wanted)), self.checkpoint(wanted, **changes)).encode()


def tree(size: int, kind: str = "leaf", same: int = 0) -> Tree:
    """``size`` leaves; of another ``kind``, the first ``same`` are those of the honest tree."""
    return Tree([*leaves(0, same), *leaves(same, size, kind)])


def witness(
    name: str = "witness.example/w1", store: WitnessStore | None = None, seed: int = 7, clock: Clock | None = None
) -> Witness:
    return Witness(
        ml_dsa(name, seed), {ORIGIN: VERIFIERS}, MemoryState() if store is None else store, clock=clock or Clock()
    )


def log(folder: Path, content: Sequence[bytes], *, at: datetime = NOON) -> FolderSource:
    """A log in a folder, grown to what is given where it begins so."""
    with LogWriter(folder, KEYS, clock=lambda: at) as writer:
        while new := list(content[writer.size :][: 1 << 16]):
            writer.append(new)
    return FolderSource(folder)
