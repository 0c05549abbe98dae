"""The keys of one log: Ed25519 and ML-DSA-44 for its checkpoints, and Ed25519 for receipts where a policy wants it.

They are made with the log and belong to it alone: an identity may be renewed many times while its log goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from quatrefoil.errors import StateCorrupt
from quatrefoil.tlog.checkpoints import Signer, require_origin
from quatrefoil.tlog.notes import VerifierKey
from quatrefoil.transport import files
from quatrefoil.transport.identity import read_key

_ORIGIN, _ED25519, _ML_DSA_44, _RECEIPTS = "origin", "ed25519.pem", "ml-dsa-44.pem", "receipts-ed25519.pem"

_NAME = "name"

_HINT = "Restore the folder from a copy; a log cannot go on under other keys"


@dataclass(frozen=True)
class LogKeys:
    """Prints without its keys."""

    origin: str
    ed25519: Ed25519PrivateKey
    ml_dsa_44: MLDSA44PrivateKey
    receipts: Ed25519PrivateKey

    @classmethod
    def generate(cls, origin: str) -> LogKeys:
        require_origin(origin)
        return cls(origin, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate(), Ed25519PrivateKey.generate())

    @classmethod
    def create(cls, folder: Path, origin: str) -> LogKeys:
        """New keys, written to a ``folder`` that does not exist yet."""
        keys = cls.generate(origin)
        keys._write(folder)
        return keys

    @classmethod
    def load(cls, folder: Path) -> LogKeys:
        try:
            origin = files.read(folder / _ORIGIN, "origin").decode().removesuffix("\n")
            require_origin(origin)
        except UnicodeDecodeError:
            raise StateCorrupt(f"{folder / _ORIGIN} is not text", hint=_HINT) from None
        return cls(
            origin,
            _ed25519(folder / _ED25519),
            _ml_dsa_44(folder / _ML_DSA_44),
            _ed25519(folder / _RECEIPTS),
        )

    def _write(self, folder: Path) -> None:
        keys: dict[str, Ed25519PrivateKey | MLDSA44PrivateKey] = {
            _ED25519: self.ed25519,
            _ML_DSA_44: self.ml_dsa_44,
            _RECEIPTS: self.receipts,
        }
        content = {name: (_pem(key), files.PRIVATE) for name, key in keys.items()}
        files.write_new_directory(folder, content | {_ORIGIN: (f"{self.origin}\n".encode(), files.PUBLIC)})

    @property
    def signers(self) -> tuple[Signer, Signer]:
        """What signs every checkpoint."""
        return Signer(self.origin, self.ed25519), Signer(self.origin, self.ml_dsa_44)

    @property
    def verifiers(self) -> tuple[VerifierKey, VerifierKey]:
        """What every checkpoint is verified with."""
        note, cosigner = self.signers
        return note.verifier, cosigner.verifier

    def __repr__(self) -> str:
        return f"LogKeys({self.origin!r}, keys=<secret>)"


def new_witness_key(name: str) -> Signer:
    """A new ML-DSA-44 key of a witness called ``name``, in memory only."""
    require_origin(name)
    return Signer(name, MLDSA44PrivateKey.generate())


def create_witness_key(folder: Path, name: str) -> None:
    """A new ML-DSA-44 key of a witness called ``name``, in a ``folder`` that does not exist yet."""
    require_origin(name)
    content = {
        _ML_DSA_44: (_pem(MLDSA44PrivateKey.generate()), files.PRIVATE),
        _NAME: (f"{name}\n".encode(), files.PUBLIC),
    }
    files.write_new_directory(folder, content)


def load_witness_key(folder: Path) -> Signer:
    """What a witness signs with."""
    try:
        name = files.read(folder / _NAME, "name of a witness").decode().removesuffix("\n")
        require_origin(name)
    except UnicodeDecodeError:
        raise StateCorrupt(f"{folder / _NAME} is not text", hint=_HINT) from None
    return Signer(name, _ml_dsa_44(folder / _ML_DSA_44))


def _pem(key: Ed25519PrivateKey | MLDSA44PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _ed25519(file: Path) -> Ed25519PrivateKey:
    if not isinstance(key := _read(file), Ed25519PrivateKey):
        raise StateCorrupt(f"log key {file} is not of Ed25519", hint=_HINT)
    return key


def _ml_dsa_44(file: Path) -> MLDSA44PrivateKey:
    if not isinstance(key := _read(file), MLDSA44PrivateKey):
        raise StateCorrupt(f"log key {file} is not of ML-DSA-44", hint=_HINT)
    return key


def _read(file: Path) -> PrivateKeyTypes:
    return read_key(files.read_private(file, "log key"), f"log key {file}", _HINT)
