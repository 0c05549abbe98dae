"""Receipts of one attempt, as an honest aggregator issues them, and what tests change of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from identities import START, TRUSTED, consortium, identity, speaking_as
from quatrefoil.audit import cose
from quatrefoil.audit.cose import Sign1
from quatrefoil.audit.receipts import (
    ABSENT,
    INCLUDED,
    REFUSED,
    UNDERSTOOD,
    Receipt,
    ReceiptBatch,
    RoundReceipt,
    issue,
    issue_batch,
)
from quatrefoil.audit.verified_receipts import VerifiedReceipt, verify_receipt
from quatrefoil.transport import Identity, TrustAnchor
from world import RECEIPT_KEY

SILOS = ("ambon", "bari", "cusco")
HUB = identity("hub", "aggregator")
CLASSICAL = RECEIPT_KEY.public_key()
TRUST = consortium(TRUSTED).trust


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def said(silo: str, verdict: str = INCLUDED, **changes: Any) -> RoundReceipt:
    """What an aggregator says of one silo, in an attempt of three."""
    given = {
        "issuer": "hub",
        "time": int(START.timestamp()),
        "policy": digest("policy"),
        "plan": digest("plan"),
        "job": digest("job"),
        "round": 7,
        "attempt": 1,
        "context": digest("context"),
        "receipts": len(SILOS),
        "silo": silo,
        "certificate": digest(f"certificate of {silo}"),
        "contribution": b"" if verdict == ABSENT else digest(f"contribution of {silo}"),
        "verdict": verdict,
        "reason": "the proof does not hold" if verdict == REFUSED else "",
        "ending": digest("release"),
        "result": digest("result"),
    }
    return RoundReceipt(**(given | changes))


ATTEMPT = (said("ambon"), said("bari", REFUSED), said("cusco", ABSENT))


def batch(
    receipts: Sequence[RoundReceipt] = ATTEMPT,
    *,
    issuer: Identity = HUB,
    classical: Ed25519PrivateKey | None = None,
) -> ReceiptBatch:
    counted = [replace(one, receipts=len(receipts)) for one in receipts]
    return issue_batch(counted, speaking_as(issuer), classical=classical)


def alone(receipt: RoundReceipt, classical: Ed25519PrivateKey | None = None) -> bytes:
    return issue(replace(receipt, receipts=1), speaking_as(HUB), classical=classical)


def checked(
    encoded: bytes, *, at: datetime = START, classical: Ed25519PublicKey | None = None, trust: TrustAnchor = TRUST
) -> VerifiedReceipt:
    return verify_receipt(encoded, trust, at=at, classical=classical)


def with_signature(encoded: bytes, change: Callable[[Sign1], Sign1], which: int = 0) -> bytes:
    """A receipt with one of its signatures changed, and encoded again as strictly as before."""
    receipt = Receipt.decode(encoded)
    signatures = list(receipt.signatures)
    signatures[which] = change(Sign1.decode(signatures[which], understood=UNDERSTOOD)).encode()
    return replace(receipt, signatures=tuple(signatures)).encode()


def with_header(encoded: bytes, **labels: Any) -> bytes:
    """A receipt with other unprotected headers; ``L33=None`` takes one away."""

    def change(message: Sign1) -> Sign1:
        header = dict(message.unprotected) | {int(name[1:]): value for name, value in labels.items()}
        return replace(message, unprotected={label: value for label, value in header.items() if value is not None})

    return with_signature(encoded, change)


def with_proof(encoded: bytes, change: Callable[[list[Any]], Any]) -> bytes:
    """A receipt with another proof of inclusion in its first signature."""
    message = Sign1.decode(Receipt.decode(encoded).signatures[0], understood=UNDERSTOOD)
    proof = cose.decode(message.unprotected[396][-1][0], "proof")
    return with_header(encoded, L396={-1: [cose.encode(change(proof))]})
