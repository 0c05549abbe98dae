"""The rule by which receipts are drawn: from a checkpoint and its cosignatures to a seed, from the seed to places.

Property: whoever has the checkpoint draws the same places; nobody can tell them before the last witness has signed and,
where there is a challenge, before the challenge is known. Who can try out how many seeds is in docs/audit-sampling.md,
which specifies all of this to the byte.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.tlog.checkpoints import (
    ED25519_COSIGNATURE,
    KIND_NAMES,
    ML_DSA_44,
    Checkpoint,
    SignedCheckpoint,
)
from quatrefoil.tlog.notes import Note, NoteSignature, VerifierKey

MOST_WITNESSES = 64
MOST_DRAWN = 1 << 16
"""Receipts of one sample."""

SHORTEST_CHALLENGE, LONGEST_CHALLENGE = 16, 64
"""Bytes."""

_SEED_LABEL = b"quatrefoil audit sample seed 1\n"
_DRAW_LABEL = b"quatrefoil audit sample draw 1\n"
_NUMBER = struct.Struct(">Q")


def share_of(share: Fraction, population: int) -> int:
    """How many receipts ``share`` of a population is, rounded up. ``CallerError`` where as many cannot be drawn."""
    number = math.ceil(share * population)
    if not 1 <= number <= MOST_DRAWN:
        raise CallerError(
            f"that share of {population:,} receipts is {number:,}, not 1 to {MOST_DRAWN:,}",
            hint="Give another --fraction, or --count",
        )
    return number


@dataclass(frozen=True)
class Terms:
    """What auditor and operator agree on beforehand. ``witnesses``: each has to have cosigned; their order does not
    count. ``count``: receipts to draw. ``after``: only keysets that ended at this entry or later: the size of the
    checkpoint before, where samples follow one another. ``not_before``: the earliest time, in whole seconds, of a
    cosignature that counts; None where none was agreed. ``challenge``: of the auditor, or of a public beacon, made
    after the checkpoint; None where there is none, and then an operator may try out seeds."""

    witnesses: tuple[VerifierKey, ...]
    count: int
    after: int = 0
    not_before: datetime | None = None
    challenge: bytes | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "witnesses", tuple(sorted(self.witnesses, key=lambda one: one.encode())))
        if not 1 <= len(self.witnesses) <= MOST_WITNESSES or len({one.name for one in self.witnesses}) != len(
            self.witnesses
        ):
            raise CallerError(
                f"{len(self.witnesses)} witnesses are not 1 to {MOST_WITNESSES} different ones",
                hint="Name each witness that has to have cosigned, once",
            )
        for one in self.witnesses:
            if one.kind not in (ED25519_COSIGNATURE, ML_DSA_44):
                raise CallerError(
                    f"the key of {one.name} is of type {one.kind}, which makes no cosignatures",
                    hint="Give the witness's key for cosignatures, of type 4 or 6",
                )
        if not 1 <= self.count <= MOST_DRAWN:
            raise CallerError(f"{self.count} receipts are not 1 to {MOST_DRAWN}", hint="Ask for fewer, or for some")
        if not 0 <= self.after < 1 << 53:
            raise CallerError(f"{self.after} is no size of a log", hint="Give the size of an earlier checkpoint")
        if self.not_before is not None and (self.not_before.tzinfo is None or self.not_before.microsecond):
            raise CallerError("the time is not one in whole seconds with its zone", hint="Say it like 2030-01-31T12:00")
        if self.challenge is not None and not SHORTEST_CHALLENGE <= len(self.challenge) <= LONGEST_CHALLENGE:
            raise CallerError(
                f"a challenge of {len(self.challenge)} bytes is not one of {SHORTEST_CHALLENGE} to {LONGEST_CHALLENGE}",
                hint="Draw 32 random bytes after the checkpoint was shown",
            )


def counted(signed: SignedCheckpoint, terms: Terms, log_keys: Sequence[VerifierKey]) -> Note:
    """The checkpoint with the signatures of the log and of the witnesses that count, and no other, in this order.

    ``log_keys`` have signed, which was seen to. ``EvidenceRejected`` where a witness has not cosigned, or did before
    the agreed time; a log is no witness of itself."""
    origin, of_log = signed.checkpoint.origin, [key.public for key in log_keys]
    for key in terms.witnesses:
        if key.name == origin or key.public in of_log:
            raise _unwitnessed(f"{key.name} is the log itself, and no witness of it")
        if (said := signed.by(key)) is None:
            kind = KIND_NAMES[key.kind]
            raise _unwitnessed(f"the checkpoint of {origin} at {signed.checkpoint.size} has no {kind} of {key.name}")
        if terms.not_before is not None and said.at is not None:
            _require_late_enough(key.name, said.at, terms.not_before)
    return Note(signed.note.text, tuple(_line(signed.note, key) for key in (*log_keys, *terms.witnesses)))


def seed(checkpoint: Checkpoint, cosignatures: Sequence[tuple[VerifierKey, NoteSignature]], challenge: bytes) -> bytes:
    """32 bytes from the note's text, from each witness's key and cosignature in the order of the keys' texts, and from
    the challenge, empty where there is none. How many are drawn does not count: more of them begin with the same."""
    parts = [checkpoint.text().encode(), _NUMBER.pack(len(cosignatures))]
    for key, line in cosignatures:
        parts += [key.encode().encode(), line.signature]
    parts.append(challenge)
    return hashlib.sha256(_SEED_LABEL + b"".join(_NUMBER.pack(len(part)) + part for part in parts)).digest()


def places(seed: bytes, population: int, count: int) -> Iterator[int]:
    """``count`` different numbers below ``population``, as a shuffle by Fisher and Yates begins; ``count`` of them at
    most as many. Each is a hash of 256 bits reduced: from uniform by less than 2^-192 for a population below 2^64."""
    moved: dict[int, int] = {}
    for at in range(count):
        hashed = hashlib.sha256(_DRAW_LABEL + seed + _NUMBER.pack(at)).digest()
        other = at + int.from_bytes(hashed, "big") % (population - at)
        yield moved.get(other, other)
        moved[other] = moved.get(at, at)


def _line(note: Note, key: VerifierKey) -> NoteSignature:
    return next(line for line in note.signatures if key.signed(line))


def _require_late_enough(name: str, at: datetime, earliest: datetime) -> None:
    if at < earliest:
        raise _unwitnessed(f"{name} cosigned at {at:%Y-%m-%d %H:%M:%S} UTC, before the agreed time {earliest}")


def _unwitnessed(problem: str) -> EvidenceRejected:
    return EvidenceRejected(
        problem,
        hint="Have every witness that was agreed on cosign the checkpoint; nothing is drawn from another",
        check="witnesses",
    )
