"""Signed statements that a log attaches: by kind, what verifies them. Check statements."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from quatrefoil.audit.entries import Entry
from quatrefoil.audit.ownership import Owner
from quatrefoil.audit.receipts import INCLUDED, Receipt, ReceiptBatch, RoundReceipt
from quatrefoil.audit.verified_receipts import VerifiedReceipt, verify_receipt
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.transport import TrustAnchor, statement

_HINT = "Keep it as evidence, and ask the log's owner"


@dataclass(frozen=True)
class Context:
    """What statements are held to. ``owner``: of the log, where that is known. ``classical``: the Ed25519 keys (32
    bytes) that sign receipts beside ML-DSA, by the aggregator's name, as far as aggregators' logs are there."""

    anchor: TrustAnchor
    at: datetime
    owner: Owner | None
    classical: Mapping[str, bytes]


@dataclass(frozen=True)
class Said:
    """What a statement says beyond itself: who contributed in a context (hex), for comparison with the entries."""

    context: str
    contributors: tuple[str, ...]


Checker = Callable[[Entry, Mapping[str, bytes], Context], Said | None]
"""``EvidenceRejected`` or ``MessageRefused`` where what an entry attaches does not verify, or the entry says other."""


def _policy(entry: Entry, attached: Mapping[str, bytes], _: Context) -> None:
    """The bytes that the digest is of; in logs that have them."""
    for name, content in attached.items():
        if name == entry.kind and hashlib.sha256(content).hexdigest() != entry.body["digest"]:
            raise _rejected(f"the {name} beside the entry is another than it names")


def _signed_by_owner(entry: Entry, attached: Mapping[str, bytes], context: Context) -> None:
    """Messages of the log's owner: a keeper's offers and releases."""
    for name in ("offer", "release"):
        if name in attached:
            said = statement.verify(
                attached[name],
                context.anchor,
                clock=lambda: context.at,
                claimed=datetime.fromisoformat(entry.time),
            )
            if context.owner is not None and (said.signer, said.role) != (context.owner.name, context.owner.role):
                raise _rejected(f"the {name} is signed by {said.role} {said.signer}, not by the log's owner")


def _batch(entry: Entry, attached: Mapping[str, bytes], context: Context) -> Said | None:
    """One signature over all receipts of an attempt: verified once, under the root of all that are there."""
    batch = ReceiptBatch.decode(_only(attached, "batch"))
    if not batch.payloads:
        raise _rejected("the batch is empty")
    said = [RoundReceipt.decode(payload) for payload in batch.payloads]
    first = batch.receipt(0) if len(said) > 1 else Receipt(batch.payloads[0], batch.signatures).encode()
    verified = _receipt_verified(first, context)
    if len({one.shared() for one in said}) != 1 or len({one.silo for one in said}) != len(said):
        raise _rejected("the receipts of the batch are not of one attempt and of different silos")
    _require_owner(verified, context)
    found = {"root": batch.root.hex(), "size": len(said), **_place(said[0])}
    _require_same(entry, found)
    included = tuple(sorted(one.silo for one in said if one.verdict == INCLUDED))
    return Said(said[0].context.hex(), included) if included else None


def _receipt(entry: Entry, attached: Mapping[str, bytes], context: Context) -> None:
    """What a silo was given: about itself, and saying what the entry says."""
    verified = _receipt_verified(_only(attached, "receipt"), context)
    payload = verified.payload
    if context.owner is not None and payload.silo != context.owner.name:
        raise _rejected(f"the receipt is about {payload.silo}, not about the log's owner")
    _require_same(entry, {"verdict": payload.verdict, "reason": payload.reason, **_place(payload)})


def _receipt_verified(encoded: bytes, context: Context) -> VerifiedReceipt:
    """Under both signatures where the Ed25519 key is known; else by ML-DSA, which says as much."""
    receipt = Receipt.decode(encoded)
    key = context.classical.get(RoundReceipt.decode(receipt.payload).issuer)
    classical = None
    if len(receipt.signatures) > 1 and key is not None:
        classical = Ed25519PublicKey.from_public_bytes(key)
    elif len(receipt.signatures) > 1:
        receipt = replace(receipt, signatures=receipt.signatures[:1])
    return verify_receipt(receipt.encode(), context.anchor, at=context.at, classical=classical)


def _require_owner(verified: VerifiedReceipt, context: Context) -> None:
    if context.owner is not None and verified.issuer.signer != context.owner.name:
        raise _rejected(f"the receipts are signed by {verified.issuer.signer}, not by the log's owner")


def _place(payload: RoundReceipt) -> dict[str, object]:
    return {"round": payload.round, "attempt": payload.attempt, "context": payload.context.hex()}


def _require_same(entry: Entry, found: Mapping[str, object]) -> None:
    for name, value in found.items():
        if name in entry.body and entry.body[name] != value:
            raise _rejected(f"the entry says another {name} than what it attaches")


def _only(attached: Mapping[str, bytes], name: str) -> bytes:
    if name not in attached:
        raise MessageRefused(f"no {name} is attached", hint=_HINT)
    return attached[name]


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check="statements")


CHECKERS: dict[str, Checker] = {
    "policy": _policy,
    "plan": _policy,
    "round-opened": _signed_by_owner,
    "key-release": _signed_by_owner,
    "receipts": _batch,
    "receipt": _receipt,
}
"""Kinds whose attachments are verified. The attachments of others are held to their digests alone."""
