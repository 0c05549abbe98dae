"""The log of a server with receipts under several keysets, and witnesses that cosign it as they cosign any log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

import made_inferences as made
from identities import START, TRUSTED, consortium
from quatrefoil.audit import PartyLog
from quatrefoil.audit.log import LOG_FOLDER
from quatrefoil.audit.sampling import Terms
from quatrefoil.audit.witnesses import witness_name
from quatrefoil.state import MemoryState
from quatrefoil.tlog import FolderSource, LogReader, Note, Signer, read_checkpoint
from quatrefoil.tlog.notes import read_signatures
from quatrefoil.tlog.witness import AddCheckpoint, Witness

TRUST = consortium(TRUSTED).trust
SIGNED = START + timedelta(minutes=10)
NAMES = ("north", "south")


def quiet(done: int, total: int) -> None:
    """Progress that nobody follows."""


def witness_key(name: str) -> Signer:
    key = MLDSA44PrivateKey.from_seed_bytes(name.encode().ljust(32, b"w"))
    return Signer(witness_name(TRUST.fingerprints[0], name), key)


@dataclass
class Cosigners:
    """Witnesses that follow one log, and remember what they cosigned."""

    names: Sequence[str] = NAMES
    at: datetime = SIGNED
    states: dict[str, MemoryState] = field(default_factory=dict)

    def cosigned(self, state: Path) -> bytes:
        """The newest checkpoint of the log in a party's folder, with a cosignature of each."""
        log = server(state)
        note = log.reader.signed.note
        lines = []
        for name in self.names:
            signer = witness_key(name)
            kept = self.states.setdefault(name, MemoryState())
            witness = Witness(signer, {log.owner.origin: log.owner.keys}, kept, clock=lambda: self.at)
            old = witness.size(log.owner.origin)
            proof = LogReader(FolderSource(state / LOG_FOLDER), log.reader.signed).consistency_proof(old)
            lines += read_signatures(
                witness.add_checkpoint(AddCheckpoint(old, tuple(proof), note.encode()).encode()).decode()
            )
        return Note(note.text, (*note.signatures, *lines)).encode()


def server(state: Path) -> PartyLog:
    """As an auditor opens it."""
    return PartyLog.in_folder(state / LOG_FOLDER, TRUST, clock=lambda: START + timedelta(hours=1))


def terms(count: int = 5, names: Sequence[str] = NAMES, **more: object) -> Terms:
    return Terms(tuple(witness_key(name).verifier for name in names), count, **more)  # type: ignore[arg-type]


def serve(folder: Path, receipts: Sequence[int] = (7, 0, 12), left_open: int = 3) -> Path:
    """The state of a server: a keyset for each number of receipts, ended, and one that has not ended."""
    state = folder / "state"
    with made.server_log(state) as log:
        issuer = made.issuer(folder / "journal", log)
        for number, answers in enumerate(receipts):
            made.begun(issuer, number)
            for at in range(answers):
                issuer.issue(made.REQUEST, bytes([number, at]) * 16, 200, True)
            issuer.flush()
            issuer.end()
        if left_open:
            made.begun(issuer, len(receipts))
            for at in range(left_open):
                issuer.issue(made.REQUEST, bytes([99, at]) * 16, 200, True)
            issuer.flush()
    return state


def ed25519_cosigned(note: bytes, state: Path, at: datetime, name: str = "old/witness") -> tuple[bytes, object]:
    """A cosignature of type 4 under a checkpoint, as older witnesses make them, and the key that verifies it."""
    import struct

    from quatrefoil.tlog import NoteSignature, VerifierKey
    from quatrefoil.tlog.checkpoints import ED25519_COSIGNATURE

    key = Ed25519PrivateKey.from_private_bytes(b"4" * 32)
    verifier = VerifierKey(name, ED25519_COSIGNATURE, key.public_key().public_bytes_raw())
    found = read_checkpoint(note, server(state).owner.keys)
    seconds = int(at.timestamp())
    signature = key.sign(f"cosignature/v1\ntime {seconds}\n{found.note.text}".encode())
    line = NoteSignature(name, verifier.key_id, struct.pack(">Q", seconds) + signature)
    return Note(found.note.text, (*found.note.signatures, line)).encode(), verifier
