"""A proof that one leaf is in a log, in one file that is checked offline. C2SP tlog-proof.

It holds the checkpoint, the leaf's index and the hashes of its proof of inclusion. ``extra`` is what an application
puts beside them; nothing covers it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog.checkpoints import Checkpoint, SignedCheckpoint, read_checkpoint
from quatrefoil.tlog.merkle import HASH_BYTES, verify_inclusion
from quatrefoil.tlog.notes import LARGEST_NOTE, Note, VerifierKey
from quatrefoil.tlog.reader import LogReader

HEADER = "c2sp.org/tlog-proof@v1"
MOST_HASHES = 63
LARGEST_EXTRA = 1 << 20

_HINT = "Ask for the proof again; nothing may be concluded from this one"


@dataclass(frozen=True)
class LogProof:
    """``path``: the hashes beside the way from the leaf to the root, from the leaf on. ``checkpoint``: the note."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    @classmethod
    def of(cls, reader: LogReader, index: int, extra: bytes = b"") -> LogProof:
        """For leaf ``index`` of a log; ``CallerError`` where it has no such leaf."""
        return cls(index, tuple(reader.inclusion_proof(index)), reader.signed.note.encode(), extra)

    def encode(self) -> bytes:
        extra = [f"extra {_encoded(self.extra)}"] if self.extra else []
        lines = [HEADER, *extra, f"index {self.index}", *map(_encoded, self.path)]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint

    @classmethod
    def decode(cls, data: bytes) -> LogProof:
        """Strictly: ``EvidenceRejected`` for any other form of the same. Its signatures have still to be verified."""
        if len(data) > LARGEST_NOTE + 2 * LARGEST_EXTRA:
            raise _malformed("is larger than any proof")
        head, found, checkpoint = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise _malformed("is not ASCII before its checkpoint") from None
        if not found or lines.pop(0) != HEADER:
            raise _malformed(f"does not begin with {HEADER}, or has no checkpoint")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = _decoded(lines.pop(0).removeprefix("extra "))
        place = lines.pop(0) if lines else ""
        number = place.removeprefix("index ")
        if not place.startswith("index ") or not (number.isascii() and number.isdecimal()) or len(number) > 19:
            raise _malformed("has no index")
        path = tuple(map(_decoded, lines))
        if len(path) > MOST_HASHES or any(len(one) != HASH_BYTES for one in path):
            raise _malformed("has hashes that no proof has")
        Checkpoint.parse(Note.decode(checkpoint).text)
        proof = cls(int(number), path, checkpoint, extra)
        if proof.encode() != data:
            raise _malformed("is not in the one form of proofs")
        return proof

    def verify(self, leaf: bytes, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
        """The checkpoint, under all of ``keys`` and over a tree with the leaf of this hash; or ``EvidenceRejected``."""
        signed = read_checkpoint(self.checkpoint, keys)
        signed.require(keys)
        verify_inclusion(leaf, self.index, signed.checkpoint.size, self.path, signed.checkpoint.root)
        return signed


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise _malformed("has a line that is no base64") from None


def _malformed(problem: str) -> EvidenceRejected:
    return EvidenceRejected(f"the proof {problem}", hint=_HINT)
