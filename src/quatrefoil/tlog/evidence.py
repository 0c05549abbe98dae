"""What a log said that it must not have said: two of its signed checkpoints, and why they cannot both be true.

A file of it stands alone. Whoever has the log's public keys verifies it without the log, without a network, and without
trusting whoever found it.

    fork      two roots over the same number of leaves                                                       proven
    rewrite   the larger tree begins with other leaves than the smaller one: a proof of consistency from the
              root that it has at that size                                                                  proven
    rollback  the smaller tree was signed later than the larger one                                          proven
    stale     an older checkpoint was shown after a newer one was seen: perhaps a copy that lags          not proven
    unproven  a larger tree came with a proof of consistency that does not hold                           not proven

The last two are no misconduct by themselves, and whoever judges them is told so. They are kept because the log's
operator can be asked for what is missing, and has to have it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quatrefoil.errors import EvidenceRejected
from quatrefoil.tlog.checkpoints import ML_DSA_44, SignedCheckpoint, read_checkpoint, verify_note
from quatrefoil.tlog.merkle import HASH_BYTES, node_hash, verify_consistency
from quatrefoil.tlog.notes import LARGEST_NOTE, MOST_SIGNATURES, VerifierKey

FORK, REWRITE, ROLLBACK, STALE, UNPROVEN = "fork", "rewrite", "rollback", "stale", "unproven"

WHY = {
    FORK: "two signed roots over the same number of leaves",
    REWRITE: "the larger tree does not begin with the smaller one",
    ROLLBACK: "the smaller tree was signed after the larger one",
    STALE: "an older checkpoint was shown after a newer one",
    UNPROVEN: "a larger tree came without a proof that it begins with the smaller one",
}
"""Why two checkpoints are evidence, in a person's words."""

PROVEN = (FORK, REWRITE, ROLLBACK)
"""Kinds that convict the log's keys by themselves."""

MOST_HASHES = 64
"""Hashes in a proof; a witness is sent 63 at most."""

LARGEST_STATEMENT = 1 << 16
LARGEST_EVIDENCE = 1 << 24
"""Bytes of a file: two notes, a statement of the log's owner, and one for each witness."""

VERSION = 1
_FIELDS = ("first", "owner", "prefix", "proof", "second", "v", "why", "witnesses")
_HINT = "Ask whoever reports it for the file as it was written"


@dataclass(frozen=True)
class Evidence:
    """Two signed checkpoints (notes, as bytes), ``first`` of the smaller tree or of one of the same size.

    ``prefix``: the root that the larger tree has over the leaves of the smaller (``rewrite``), with the ``proof`` of
    consistency from it; for ``unproven``, the ``proof`` that does not hold. ``owner`` and ``witnesses`` are statements
    of whose keys these are, which the room above reads; here they are bytes.
    """

    why: str
    first: bytes
    second: bytes
    prefix: bytes = b""
    proof: tuple[bytes, ...] = ()
    owner: bytes = b""
    witnesses: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Canonical JSON: sorted keys, ASCII, one item a line; the notes are text in it, for people to read."""
        content = {
            "first": self.first.decode(),
            "owner": _text(self.owner),
            "prefix": _text(self.prefix),
            "proof": [_text(one) for one in self.proof],
            "second": self.second.decode(),
            "v": VERSION,
            "why": self.why,
            "witnesses": [_text(one) for one in self.witnesses],
        }
        return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()

    @classmethod
    def decode(cls, data: bytes) -> Evidence:
        """Parse strictly; what it claims has still to be judged."""
        if len(data) > LARGEST_EVIDENCE:
            raise _malformed(f"has {len(data)} bytes, over the limit of {LARGEST_EVIDENCE}")
        try:
            value = json.loads(data)
            if type(value) is not dict or tuple(sorted(value)) != _FIELDS or value["v"] != VERSION:
                raise ValueError
            found = cls(
                _string(value["why"]),
                _string(value["first"]).encode(),
                _string(value["second"]).encode(),
                _bytes(value["prefix"]),
                _list(value["proof"], MOST_HASHES),
                _bytes(value["owner"]),
                _list(value["witnesses"], MOST_SIGNATURES),
            )
        except (ValueError, TypeError, RecursionError):
            raise _malformed("is not of this form") from None
        if found.why not in WHY or any(len(one) != HASH_BYTES for one in found.proof):
            raise _malformed("does not say why, or holds something that is no hash")
        if len(found.prefix) not in (0, HASH_BYTES) or max(map(len, (found.first, found.second))) > LARGEST_NOTE:
            raise _malformed("holds a root or a checkpoint that cannot be one")
        if any(len(one) > LARGEST_STATEMENT for one in (found.owner, *found.witnesses)):
            raise _malformed("holds a statement that is too long")
        if found.encode() != data:
            raise _malformed("is not written canonically")
        return found


@dataclass(frozen=True)
class Verdict:
    """What evidence shows. ``proven``: the log's keys are convicted by it. ``both``: the witnesses that signed both
    sides of a fork or a rewrite; an honest one never does."""

    why: str
    proven: bool
    first: SignedCheckpoint
    second: SignedCheckpoint
    both: tuple[VerifierKey, ...]

    @property
    def origin(self) -> str:
        return self.first.checkpoint.origin

    @property
    def problem(self) -> str:
        """In one sentence."""
        small, large = self.first.checkpoint, self.second.checkpoint
        sizes = f"{small.size} leaves" if small.size == large.size else f"{small.size} and {large.size} leaves"
        return f"{self.why} of {self.origin} at {sizes}: {WHY[self.why]}"


def judge(evidence: Evidence, keys: Sequence[VerifierKey], witnesses: Sequence[VerifierKey] = ()) -> Verdict:
    """What ``evidence`` shows about the log with these ``keys``, all of which must have signed both checkpoints.

    ``EvidenceRejected`` where it does not show what it says.
    """
    first, second = (_read(note, keys) for note in (evidence.first, evidence.second))
    if first.checkpoint.origin != second.checkpoint.origin:
        raise _refused("the two checkpoints are of different logs")
    _CHECKS[evidence.why](evidence, first, second)
    both: tuple[VerifierKey, ...] = ()
    if evidence.why in (FORK, REWRITE):
        both = tuple(key for key in witnesses if _cosigned(first, key) and _cosigned(second, key))
    return Verdict(evidence.why, evidence.why in PROVEN, first, second, both)


def compare(one: SignedCheckpoint, other: SignedCheckpoint) -> Evidence | None:
    """What two verified checkpoints of a log show by themselves, without its tree: a fork, a rollback, or nothing."""
    first, second = sorted((one, other), key=lambda signed: signed.checkpoint.size)
    sides = first.note.encode(), second.note.encode()
    if first.checkpoint.size == second.checkpoint.size:
        return None if first.checkpoint.root == second.checkpoint.root else Evidence(FORK, *sides)
    return Evidence(ROLLBACK, *sides) if _signed_later(first, second) else None


def disproved(smaller: SignedCheckpoint, larger: SignedCheckpoint, proof: Sequence[bytes]) -> Evidence:
    """What it shows that ``proof`` does not lead from one checkpoint to the other: a rewrite where it leads to the
    larger root from another tree, and otherwise that there is no proof."""
    sides = smaller.note.encode(), larger.note.encode()
    old, new = smaller.checkpoint, larger.checkpoint
    prefix = prefix_root(old.size, new.size, new.root, proof)
    if prefix is None or prefix == old.root:
        return Evidence(UNPROVEN, *sides, proof=tuple(proof)[:MOST_HASHES])
    return Evidence(REWRITE, *sides, prefix=prefix, proof=tuple(proof))


def prefix_root(old: int, new: int, new_root: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root over the first ``old`` leaves to which a proof of consistency leads back from ``new_root``; None where
    it comes from another tree, or ``old`` is a power of two: the proof leaves that root out then."""
    if not 0 < old < new or old & (old - 1) == 0:
        return None
    rest = list(proof)
    try:
        found_old, found_new = _walk(old, new, rest)
    except IndexError:
        return None
    return found_old if found_new == new_root and not rest else None


def _walk(old: int, width: int, rest: list[bytes]) -> tuple[bytes, bytes]:
    """SUBPROOF of RFC 9162 section 2.1.4.1 read backwards, from the last hash of the proof on."""
    beside = rest.pop()
    if old == width:
        return beside, beside
    left = 1 << ((width - 1).bit_length() - 1)
    if old <= left:
        found_old, found_new = _walk(old, left, rest)
        return found_old, node_hash(found_new, beside)
    found_old, found_new = _walk(old - left, width - left, rest)
    return node_hash(beside, found_old), node_hash(beside, found_new)


# ---------------------------------------------------------------------------------------------------------- each kind


def _check_fork(_: Evidence, first: SignedCheckpoint, second: SignedCheckpoint) -> None:
    if first.checkpoint.size != second.checkpoint.size or first.checkpoint.root == second.checkpoint.root:
        raise _refused("the two checkpoints are no fork: it takes two roots over the same number of leaves")


def _check_rewrite(evidence: Evidence, first: SignedCheckpoint, second: SignedCheckpoint) -> None:
    small, large = first.checkpoint, second.checkpoint
    if not 0 < small.size < large.size or evidence.prefix == small.root:
        raise _refused("the two checkpoints are no rewrite: the larger tree has to begin with another one")
    verify_consistency(small.size, evidence.prefix, large.size, large.root, evidence.proof)


def _check_rollback(_: Evidence, first: SignedCheckpoint, second: SignedCheckpoint) -> None:
    _require_smaller(first, second)
    if not _signed_later(first, second):
        raise _refused("the two checkpoints are no rollback: the smaller tree was not signed after the larger one")


def _check_stale(_: Evidence, first: SignedCheckpoint, second: SignedCheckpoint) -> None:
    _require_smaller(first, second)


def _check_unproven(evidence: Evidence, first: SignedCheckpoint, second: SignedCheckpoint) -> None:
    _require_smaller(first, second)
    small, large = first.checkpoint, second.checkpoint
    try:
        verify_consistency(small.size, small.root, large.size, large.root, evidence.proof)
    except EvidenceRejected:
        return
    raise _refused("the proof in it shows the two checkpoints to be consistent")


_CHECKS = {
    FORK: _check_fork,
    REWRITE: _check_rewrite,
    ROLLBACK: _check_rollback,
    STALE: _check_stale,
    UNPROVEN: _check_unproven,
}


def _require_smaller(first: SignedCheckpoint, second: SignedCheckpoint) -> None:
    if first.checkpoint.size >= second.checkpoint.size:
        raise _refused("its first checkpoint is not the smaller one")


def _signed_later(first: SignedCheckpoint, second: SignedCheckpoint) -> bool:
    """Whether the log itself says that it signed ``first`` after ``second``, in whole seconds, by its ML-DSA-44 key:
    its signature says what was the largest tree at that time."""
    times = [
        [one.at for one in signed.signed if one.key.kind == ML_DSA_44 and one.key.name == signed.checkpoint.origin]
        for signed in (first, second)
    ]
    return all(times) and times[0][0] is not None and times[1][0] is not None and times[0][0] > times[1][0]


def _read(note: bytes, keys: Sequence[VerifierKey]) -> SignedCheckpoint:
    signed = read_checkpoint(note, keys)
    signed.require(keys)
    return signed


def _cosigned(signed: SignedCheckpoint, witness: VerifierKey) -> bool:
    """Whether a witness has signed. A line of it that does not verify is as none: an operator that puts such a line
    under its own checkpoint must not spoil what convicts it."""
    try:
        return verify_note(signed.note, signed.checkpoint, [witness]).by(witness) is not None
    except EvidenceRejected:
        return False


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _string(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _bytes(value: Any) -> bytes:
    return base64.b64decode(_string(value), validate=True)


def _list(value: Any, most: int) -> tuple[bytes, ...]:
    if type(value) is not list or len(value) > most:
        raise TypeError
    return tuple(_bytes(one) for one in value)


def _malformed(problem: str) -> EvidenceRejected:
    return EvidenceRejected(f"the file of evidence {problem}", hint=_HINT, check="evidence")


def _refused(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint="Nothing follows from it; " + _HINT[0].lower() + _HINT[1:], check="evidence")
