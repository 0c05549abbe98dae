"""Receipts: what an aggregator signed about one silo's contribution to one attempt at a round.

A receipt says whose contribution it was, by name, certificate and SHA-256, what became of it, and in which job, under
which policy and plan. ``verified_receipts`` checks it.

The receipts of an attempt are a batch: one signature over the root of the RFC 9162 tree of their payloads, and in each
receipt the proof that its payload is a leaf, in the form of COSE Receipts (RFC 9942). docs/receipts.md is the
specification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quatrefoil.audit import cose
from quatrefoil.audit.cose import Certified, Sign1
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.tlog import merkle
from quatrefoil.wire import WireObject

INCLUDED, REFUSED, VOIDED, ABSENT = "included", "refused", "voided", "absent"
VERDICTS = (INCLUDED, REFUSED, VOIDED, ABSENT)
"""It is in the published sum; it was not taken, for a reason; the attempt had no result; none arrived."""

LONGEST_REASON = 400
"""Characters."""

MOST_RECEIPTS = 1 << 16
"""Leaves of a batch: more than the silos of the largest job."""

MEDIA_TYPE = "application/vnd.quatrefoil.receipt"
"""The ``typ`` (RFC 9596) of every signature: it is kept apart from those of other logs by the same key."""

TREE_KIND, TREE_PROOFS, RFC9162_SHA256, INCLUSION = 395, 396, 1, -1
"""RFC 9942: the labels of the kind of tree and of its proofs, RFC9162_SHA256, and proofs of inclusion."""

UNDERSTOOD = (cose.ALG, cose.TYPE, cose.X5T, TREE_KIND)
HINT = "Keep it as evidence, and ask the aggregator's operator"
_DIGEST = 32
_LATEST = 253402300799


@dataclass(frozen=True)
class RoundReceipt(WireObject):
    """What is said of one silo in one attempt. ``time``: Unix seconds. ``receipts``: how many its batch has, 1 for one
    by itself: a proof of inclusion alone does not show the size of its tree.

    Digests are SHA-256: ``policy``, ``plan``, ``job`` and ``context`` of the encoded objects, ``certificate`` of the
    silo's certificate, ``contribution`` of its signed contribution as it arrived (empty: none did), ``ending`` of the
    keeper's signed release or void, ``result`` of the aggregator's signed result (empty in a void).
    """

    TYPE: ClassVar[str] = "urn:quatrefoil:round-receipt"

    issuer: str
    time: int
    policy: bytes
    plan: bytes
    job: bytes
    round: int
    attempt: int
    context: bytes
    receipts: int
    silo: str
    certificate: bytes
    contribution: bytes
    verdict: str
    reason: str
    ending: bytes
    result: bytes

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise _malformed(f"the verdict {self.verdict[:20]!r}, which is none of {', '.join(VERDICTS)}")
        for name in ("policy", "plan", "job", "context", "certificate", "ending"):
            if len(getattr(self, name)) != _DIGEST:
                raise _malformed(f"no SHA-256 for {name}")
        for name, missing in (("contribution", self.verdict == ABSENT), ("result", self.result_is_missing)):
            if len(getattr(self, name)) != (0 if missing else _DIGEST):
                raise _malformed(f"{'a' if missing else 'no'} SHA-256 for {name}, with verdict {self.verdict}")
        if bool(self.reason) != (self.verdict in (REFUSED, VOIDED)) or len(self.reason) > LONGEST_REASON:
            raise _malformed(f"a reason of {len(self.reason)} characters for verdict {self.verdict}")
        if self.time > _LATEST:
            raise _malformed("a time after the year 9999")
        if not 1 <= self.receipts <= MOST_RECEIPTS:
            raise _malformed(f"a batch of {self.receipts}, outside 1 to {MOST_RECEIPTS}")

    @property
    def result_is_missing(self) -> bool:
        """Whether there is no result to name: always in a void, never where something was included."""
        return self.verdict == VOIDED or (self.verdict != INCLUDED and not self.result)

    @property
    def moment(self) -> datetime:
        """``time``, in UTC."""
        return datetime.fromtimestamp(self.time, UTC)

    def shared(self) -> RoundReceipt:
        """This receipt without what is said of its silo alone: the same for all of an attempt."""
        return replace(self, silo="", certificate=bytes(_DIGEST), contribution=b"", verdict=ABSENT, reason="")


@dataclass(frozen=True)
class Receipt(WireObject):
    """What a silo keeps: the payload, and one COSE_Sign1 by ML-DSA over it, then, where the policy asks for it, one by
    Ed25519. The payload of each is detached: this one, or the root of the tree that it is a leaf of."""

    TYPE: ClassVar[str] = "urn:quatrefoil:receipt"

    payload: bytes
    signatures: tuple[bytes, ...]


@dataclass(frozen=True)
class ReceiptBatch(WireObject):
    """All receipts of an attempt, as their issuer keeps them. ``signatures``: as in :class:`Receipt`, over the root and
    without proofs of inclusion."""

    TYPE: ClassVar[str] = "urn:quatrefoil:receipt-batch"

    payloads: tuple[bytes, ...]
    signatures: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """The root of the tree over the payloads."""
        return merkle.root_of(self._levels[0])

    def receipt(self, index: int) -> bytes:
        """The encoded :class:`Receipt` with the payload at ``index``: always the same bytes."""
        size = len(self.payloads)
        path = merkle.inclusion_proof(index, size, lambda height, place: self._levels[height][place])
        proofs = {INCLUSION: [cose.encode([size, index, path])]}
        signatures = []
        for encoded in self.signatures:
            signed = Sign1.decode(encoded, understood=UNDERSTOOD)
            signatures.append(replace(signed, unprotected={**signed.unprotected, TREE_PROOFS: proofs}).encode())
        return Receipt(self.payloads[index], tuple(signatures)).encode()

    @cached_property
    def _levels(self) -> list[list[bytes]]:
        """The roots of the complete subtrees, by height and place."""
        levels = [[merkle.leaf_hash(payload) for payload in self.payloads]]
        while len(below := levels[-1]) > 1:
            levels.append([merkle.node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])
        return levels


def issue_batch(
    payloads: Sequence[RoundReceipt], issuer: Certified, *, classical: Ed25519PrivateKey | None
) -> ReceiptBatch:
    """The receipts of an attempt under one signature, or under two where there is a ``classical`` key.

    ``CallerError`` unless there are at least two, of one attempt and of different silos: a tree of one leaf has no
    proof of inclusion in RFC 9942, and :func:`issue` is for it.
    """
    if len(payloads) < 2 or len({one.shared() for one in payloads}) != 1 or payloads[0].receipts != len(payloads):
        raise CallerError("a batch of receipts is not of one attempt, or not of several", hint="Issue one by itself")
    if len({one.silo for one in payloads}) != len(payloads):
        raise CallerError("a batch of receipts has a silo twice", hint="Give each silo one receipt an attempt")
    encoded = tuple(one.encode() for one in payloads)
    root = merkle.root_of(merkle.leaf_hash(one) for one in encoded)
    return ReceiptBatch(
        encoded, _signatures(root, issuer, classical, {cose.TYPE: MEDIA_TYPE, TREE_KIND: RFC9162_SHA256})
    )


def issue(payload: RoundReceipt, issuer: Certified, *, classical: Ed25519PrivateKey | None) -> bytes:
    """An encoded :class:`Receipt` by itself, with a signature of its own."""
    if payload.receipts != 1:
        raise CallerError(f"a receipt of a batch of {payload.receipts} is not one by itself", hint="Issue the batch")
    encoded = payload.encode()
    return Receipt(encoded, _signatures(encoded, issuer, classical, {cose.TYPE: MEDIA_TYPE})).encode()


def _signatures(
    payload: bytes, issuer: Certified, classical: Ed25519PrivateKey | None, header: cose.Header
) -> tuple[bytes, ...]:
    signed = [cose.sign_certified(payload, issuer, header=header, attached=False)]
    if classical is not None:
        signed.append(cose.sign(payload, classical, header=header, attached=False))
    return tuple(one.encode() for one in signed)


def _malformed(problem: str) -> MessageRefused:
    return MessageRefused(f"a receipt has {problem}", hint=HINT)


__all__ = [
    "ABSENT",
    "INCLUDED",
    "MEDIA_TYPE",
    "REFUSED",
    "VERDICTS",
    "VOIDED",
    "Receipt",
    "ReceiptBatch",
    "RoundReceipt",
    "issue",
    "issue_batch",
]
