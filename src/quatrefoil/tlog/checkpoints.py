"""Checkpoints: size and root of a log, signed by it and by its witnesses. C2SP tlog-checkpoint and tlog-cosignature.

Two kinds of signature are made. ``ED25519`` (type 1) is what every C2SP client reads, over the note's text.
``ML_DSA_44`` (type 6) says that, at a time, this was the largest consistent tree that its maker had seen of the log; a
log makes one itself, so that its checkpoints outlive Ed25519. ``ED25519_COSIGNATURE`` (type 4) is the same statement
by older witnesses; it is verified, and not made.

Property of a verified checkpoint: its keys said it. Whether they said something else to others takes witnesses.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.tlog.merkle import EMPTY_ROOT, HASH_BYTES, LARGEST_SIZE
from quatrefoil.tlog.notes import Note, NoteSignature, VerifierKey, is_key_name

ED25519, ED25519_COSIGNATURE, ML_DSA_44 = 0x01, 0x04, 0x06

KIND_NAMES = {ED25519: "Ed25519", ED25519_COSIGNATURE: "Ed25519 cosignature", ML_DSA_44: "ML-DSA-44 cosignature"}

LONGEST_NAME = 255
"""Bytes of an origin and of a cosigner's name."""

_LABEL = b"subtree/v1\n\x00"
_TIMESTAMP = struct.Struct(">Q")
_HINT = "Fetch the checkpoint again; keep this one as evidence if it stays so"


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: which log (``origin``), how many leaves, and the root over them. ``extensions``: lines that
    others may add; logs of ours have none."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The body of the note."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):
            raise _malformed("is not three or more lines")
        origin, size, root, *extensions = lines
        if not (size.isascii() and size.isdecimal()) or len(size) > 19 or (size[0] == "0" and size != "0"):
            raise _malformed("has no decimal size")
        try:
            hashed = base64.b64decode(root, validate=True)
        except ValueError:
            raise _malformed("has no root in base64") from None
        found = cls(origin, int(size), hashed, tuple(extensions))
        if len(hashed) != HASH_BYTES or found.size > LARGEST_SIZE or found.text() != text:
            raise _malformed("has a root or a size that no tree has")
        if found.size == 0 and hashed != EMPTY_ROOT:
            raise _malformed("gives an empty tree another root than it has")
        return found


@dataclass(frozen=True)
class Signer:
    """A key that signs checkpoints under a name: the log's own origin, or a witness's name. Prints without its key."""

    name: str
    key: Ed25519PrivateKey | MLDSA44PrivateKey

    @property
    def verifier(self) -> VerifierKey:
        kind = ED25519 if isinstance(self.key, Ed25519PrivateKey) else ML_DSA_44
        return VerifierKey(self.name, kind, self.key.public_key().public_bytes_raw())

    def sign(self, checkpoint: Checkpoint, at: datetime) -> NoteSignature:
        """Ed25519 over the text, or an ML-DSA-44 cosignature of the whole tree as of ``at``."""
        verifier = self.verifier
        if isinstance(self.key, Ed25519PrivateKey):
            return NoteSignature(self.name, verifier.key_id, self.key.sign(checkpoint.text().encode()))
        timestamp = int(at.timestamp())
        if timestamp <= 0:
            raise CallerError("the clock is before 1970", hint="Set the clock of this host")
        for name in (self.name, checkpoint.origin):
            if not 0 < len(name.encode()) <= LONGEST_NAME:
                raise CallerError(
                    f"a cosignature has no room for a name of {len(name.encode())} bytes",
                    hint=f"Name logs and witnesses with 1 to {LONGEST_NAME} bytes",
                )
        signature = self.key.sign(_cosigned(self.name, timestamp, checkpoint))
        return NoteSignature(self.name, verifier.key_id, _TIMESTAMP.pack(timestamp) + signature)

    def __repr__(self) -> str:
        return f"Signer({self.name!r}, key=<secret>)"


@dataclass(frozen=True)
class Signed:
    """A signature that verified: whose, and when its maker says it was made (None for plain Ed25519)."""

    key: VerifierKey
    at: datetime | None


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint with what of its signatures was verified."""

    checkpoint: Checkpoint
    note: Note
    signed: tuple[Signed, ...]

    def by(self, key: VerifierKey) -> Signed | None:
        """The signature of this key, if it is there."""
        return next((one for one in self.signed if one.key == key), None)

    def require(self, keys: Iterable[VerifierKey]) -> None:
        """``EvidenceRejected`` unless each of these keys has signed."""
        for key in keys:
            if self.by(key) is None:
                raise EvidenceRejected(
                    f"the checkpoint of {self.checkpoint.origin} has no {KIND_NAMES.get(key.kind, 'known')} signature "
                    f"of {key.name}",
                    hint=_HINT,
                    check="checkpoint",
                )


def read_checkpoint(data: bytes, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    """A checkpoint, with the signatures of ``keys`` that it has. One of them that does not verify spoils the note, and
    so does none at all. Which of them are needed is for the caller to :meth:`SignedCheckpoint.require`."""
    note = Note.decode(data)
    return verify_note(note, Checkpoint.parse(note.text), keys)


def verify_note(note: Note, checkpoint: Checkpoint, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    """:func:`read_checkpoint` of a note that was parsed already."""
    signed = tuple(_verified(checkpoint, key, line) for line in note.signatures for key in keys if key.signed(line))
    if not signed:
        raise EvidenceRejected(
            f"the checkpoint of {checkpoint.origin} is signed by no key that was given", hint=_HINT, check="checkpoint"
        )
    return SignedCheckpoint(checkpoint, note, signed)


def _verified(checkpoint: Checkpoint, key: VerifierKey, line: NoteSignature) -> Signed:
    try:
        at = _CHECKS[key.kind](checkpoint, key, line.signature)
    except KeyError:
        raise EvidenceRejected(
            f"the key of {key.name} is of type {key.kind}, which signs no checkpoints here", hint="Give another key"
        ) from None
    except (InvalidSignature, ValueError, OverflowError, struct.error):
        raise EvidenceRejected(
            f"the {KIND_NAMES[key.kind]} signature of {key.name} does not fit the checkpoint of {checkpoint.origin}",
            hint=_HINT,
            check="checkpoint",
        ) from None
    return Signed(key, at)


def _check_ed25519(checkpoint: Checkpoint, key: VerifierKey, signature: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(key.public).verify(signature, checkpoint.text().encode())


def _check_ed25519_cosignature(checkpoint: Checkpoint, key: VerifierKey, signature: bytes) -> datetime:
    timestamp, rest = _split(signature)
    message = f"cosignature/v1\ntime {timestamp}\n{checkpoint.text()}".encode()
    Ed25519PublicKey.from_public_bytes(key.public).verify(rest, message)
    return datetime.fromtimestamp(timestamp, UTC)


def _check_ml_dsa_44(checkpoint: Checkpoint, key: VerifierKey, signature: bytes) -> datetime:
    timestamp, rest = _split(signature)
    MLDSA44PublicKey.from_public_bytes(key.public).verify(rest, _cosigned(key.name, timestamp, checkpoint))
    return datetime.fromtimestamp(timestamp, UTC)


_CHECKS: dict[int, Callable[[Checkpoint, VerifierKey, bytes], datetime | None]] = {
    ED25519: _check_ed25519,
    ED25519_COSIGNATURE: _check_ed25519_cosignature,
    ML_DSA_44: _check_ml_dsa_44,
}


def _split(signature: bytes) -> tuple[int, bytes]:
    """``timestamped_signature``. A time of zero says nothing of time, and is refused: checkpoints are not subtrees."""
    (timestamp,) = _TIMESTAMP.unpack(signature[:8])
    if not 0 < timestamp < 1 << 63:
        raise ValueError(timestamp)
    return timestamp, signature[8:]


def _cosigned(name: str, timestamp: int, checkpoint: Checkpoint) -> bytes:
    """``cosigned_message`` of tlog-cosignature, of a whole tree."""
    return b"".join(
        (
            _LABEL,
            _short(name),
            _TIMESTAMP.pack(timestamp),
            _short(checkpoint.origin),
            _TIMESTAMP.pack(0),
            _TIMESTAMP.pack(checkpoint.size),
            checkpoint.root,
        )
    )


def _short(text: str) -> bytes:
    content = text.encode()
    if not 0 < len(content) <= LONGEST_NAME:
        raise ValueError(text)
    return bytes([len(content)]) + content


def require_origin(origin: str) -> None:
    """``CallerError`` unless this can be an origin, and the name of its log's keys."""
    if not is_key_name(origin) or len(origin.encode()) > LONGEST_NAME:
        raise CallerError(f"{origin!r} cannot be an origin", hint="Use a name without spaces and plus, up to 255 bytes")


def _malformed(problem: str) -> EvidenceRejected:
    return EvidenceRejected(f"the checkpoint {problem}", hint=_HINT, check="checkpoint")
