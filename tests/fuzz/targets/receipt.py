"""Receipts and the COSE messages in them: from anybody, and signed by an aggregator that says whatever it likes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.fuzz import rooms
from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.audit import cose
from quatrefoil.audit.cose import Sign1
from quatrefoil.audit.receipts import UNDERSTOOD, Receipt, ReceiptBatch, RoundReceipt, issue, issue_batch
from quatrefoil.audit.verified_receipts import verify_receipt
from quatrefoil.transport import PostQuantumTransport, system_clock

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
DIGEST = bytes(range(32))


@cache
def hub() -> PostQuantumTransport:
    return PostQuantumTransport(rooms.member("hub", "aggregator"), rooms.trust(), clock=system_clock)


@cache
def said(silo: str = "north", verdict: str = "included") -> RoundReceipt:
    time = int(system_clock().timestamp())
    sent, reason = (b"", "") if verdict == "absent" else (DIGEST, "so" if verdict == "refused" else "")
    about = ("hub", time, DIGEST, DIGEST, DIGEST, 1, 0, DIGEST, 2)
    return RoundReceipt(*about, silo, DIGEST, sent, verdict, reason, DIGEST, DIGEST)


@cache
def batch() -> ReceiptBatch:
    return issue_batch([said(), said("south", "refused")], hub(), classical=KEY)


def seeds() -> list[bytes]:
    """By the first byte: a receipt, one message of it, a proof of inclusion, or a payload to be signed."""
    receipt = Receipt.decode(batch().receipt(1))
    message = Sign1.decode(receipt.signatures[0], understood=UNDERSTOOD)
    alone = issue(replace(said("north", "absent"), receipts=1), hub(), classical=KEY)
    return [
        b"\0" + receipt.encode(),
        b"\0" + alone,
        *(b"\1" + one for one in receipt.signatures),
        b"\1" + Sign1(cose.encode({1: -19, 2: [16], 16: "x"}), {"text": None}, b"payload", bytes(64)).encode(),
        b"\2" + message.unprotected[396][-1][0],
        b"\3" + said().encode(),
        b"\3" + replace(said("south", "refused"), receipts=1).encode(),
        b"\4" + batch().encode(),
    ]


def one(data: bytes) -> None:
    how, content = data[:1], data[1:]
    if how == b"\0":
        checked(content)
    elif how == b"\1":
        message = refused_or_same(
            lambda: Sign1.decode(content, understood=UNDERSTOOD), lambda value: value.encode(), content
        )
        if message is not None:
            checked(replace(Receipt.decode(batch().receipt(0)), signatures=(content, content)).encode())
    elif how == b"\2":
        refused_or_same(lambda: cose.decode(content, "proof"), cose.encode, content)
        receipt = Receipt.decode(batch().receipt(0))
        message = Sign1.decode(receipt.signatures[0], understood=UNDERSTOOD)
        changed = replace(message, unprotected={**message.unprotected, 396: {-1: [content]}})
        checked(replace(receipt, signatures=(changed.encode(), receipt.signatures[1])).encode())
    elif how == b"\4":
        kept = refused_or_same(lambda: ReceiptBatch.decode(content), lambda value: value.encode(), content)
        if kept is not None and len(kept.payloads) > 1:
            refused_or(lambda: checked(kept.receipt(0)))
    else:
        payload = refused_or_same(lambda: RoundReceipt.decode(content), lambda value: value.encode(), content)
        if payload is not None and payload.receipts == 1:
            checked(issue(payload, hub(), classical=KEY))


def checked(encoded: bytes) -> None:
    """What verifies was signed by the aggregator: as it issued it, or whatever it was made to sign."""
    found = refused_or(lambda: verify_receipt(encoded, rooms.trust(), at=system_clock(), classical=KEY.public_key()))
    if found is not None:
        assert Receipt.decode(encoded).encode() == encoded
        assert (found.issuer.signer, found.issuer.role, found.payload.issuer) == ("hub", "aggregator", "hub")
        if found.size > 1:
            assert found.root == batch().root and found.payload in (said(), said("south", "refused"))
