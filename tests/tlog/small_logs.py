"""Logs to test with: keys from seeds, a clock that stands, and leaves that name themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from quatrefoil.tlog import FolderSource, LogReader, LogWriter, Signer, fetch_checkpoint
from quatrefoil.tlog.notes import VerifierKey

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ORIGIN = "log.example/north"


def clock() -> datetime:
    return NOON


def ed25519(name: str = ORIGIN, seed: bytes = b"1" * 32) -> Signer:
    return Signer(name, Ed25519PrivateKey.from_private_bytes(seed))


def ml_dsa_44(name: str = ORIGIN, seed: bytes = b"1" * 32) -> Signer:
    return Signer(name, MLDSA44PrivateKey.from_seed_bytes(seed))


BOTH = (ed25519(), ml_dsa_44())
"""What signs a log of ours."""

STRANGERS = (ed25519(seed=b"2" * 32), ml_dsa_44(seed=b"2" * 32))
"""Other keys under the same name."""


def keys_of(signers: Sequence[Signer] = BOTH) -> tuple[VerifierKey, ...]:
    return tuple(signer.verifier for signer in signers)


def leaf(number: int) -> bytes:
    """Of 1 to 40 bytes, another one for each number."""
    return (b"%d/" % number) * (1 + number % 5)


def leaves(begin: int, end: int) -> list[bytes]:
    return [leaf(number) for number in range(begin, end)]


def writer(folder: Path, signers: Sequence[Signer] = BOTH) -> LogWriter:
    return LogWriter(folder, signers, clock=clock)


def log_of(folder: Path, size: int, *, batch: int = 1 << 16, signers: Sequence[Signer] = BOTH) -> Path:
    """A log of this many leaves, closed."""
    with writer(folder, signers) as log:
        while log.size < size:
            log.append(leaves(log.size, min(size, log.size + batch)))
    return folder


def reader(folder: Path, signers: Sequence[Signer] = BOTH) -> LogReader:
    """As an auditor opens a log: under all of its keys."""
    source = FolderSource(folder)
    signed = fetch_checkpoint(source, keys_of(signers))
    signed.require(keys_of(signers))
    return LogReader(source, signed)


def verified(folder: Path, signers: Sequence[Signer] = BOTH) -> list[bytes]:
    """The leaves of a log that holds from the first to the last."""
    return [content for _, content in reader(folder, signers).leaves()]


def folder_files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder but the lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }
