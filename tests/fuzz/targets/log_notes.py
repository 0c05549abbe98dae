"""Signed notes, checkpoints and verifier keys: a log's files, and what witnesses answer."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.tlog.checkpoints import ED25519_COSIGNATURE, Checkpoint, Signer, read_checkpoint
from quatrefoil.tlog.notes import Note, VerifierKey

NAME = "log.example/north"
CHECKPOINT = Checkpoint(NAME, 700, bytes(range(32)))


@cache
def signers() -> tuple[Signer, Signer]:
    return (
        Signer(NAME, Ed25519PrivateKey.from_private_bytes(bytes(32))),
        Signer(NAME, MLDSA44PrivateKey.from_seed_bytes(bytes(32))),
    )


@cache
def seeds() -> list[bytes]:
    note, cosigner = signers()
    lines = [one.sign(CHECKPOINT, datetime(2030, 1, 1, tzinfo=UTC)) for one in (note, cosigner)]
    extended = Checkpoint(NAME, 1, bytes(32), ("extension",)).text()
    notes = [Note(CHECKPOINT.text(), tuple(lines)), Note(CHECKPOINT.text(), (lines[0],)), Note(extended, (lines[0],))]
    return [*(one.encode() for one in notes), note.verifier.encode().encode()]


def one(data: bytes) -> None:
    """As a note, and as a verifier key."""
    note, cosigner = (signer.verifier for signer in signers())
    keys = [note, cosigner, VerifierKey(NAME, ED25519_COSIGNATURE, note.public)]
    parsed = refused_or_same(lambda: Note.decode(data), Note.encode, data)
    if parsed is not None:
        refused_or_same(
            lambda: Checkpoint.parse(parsed.text), lambda found: found.text().encode(), parsed.text.encode()
        )
    signed = refused_or(lambda: read_checkpoint(data, keys))
    if signed is not None:
        assert signed.checkpoint == CHECKPOINT, "a signature was taken for one of another checkpoint"
    text = data.decode(errors="replace")
    refused_or_same(lambda: VerifierKey.decode(text), lambda key: key.encode().encode(), text.encode())
