"""Receipts that another implementation has signed, byte for byte: tests/vectors/receipts."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from quatrefoil.audit.receipts import Receipt, RoundReceipt
from quatrefoil.audit.verified_receipts import VerifiedReceipt, require_agreement, verify_receipt
from quatrefoil.errors import EvidenceRejected
from quatrefoil.transport import TrustAnchor

FOLDER = Path(__file__).parents[1] / "vectors" / "receipts"
INDEX = json.loads((FOLDER / "index.json").read_text())
AT = datetime.fromisoformat(INDEX["at"])
TRUST = TrustAnchor.load(FOLDER)

each_vector = pytest.mark.parametrize("listed", INDEX["receipts"], ids=lambda one: one["file"])


def checked(listed: dict[str, Any], encoded: bytes | None = None) -> VerifiedReceipt:
    key = listed["ed25519"]
    return verify_receipt(
        (FOLDER / listed["file"]).read_bytes() if encoded is None else encoded,
        TRUST,
        at=AT,
        classical=Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) if key else None,
    )


@each_vector
def test_it_verifies_and_says_what_is_listed(listed: dict[str, Any]) -> None:
    found = checked(listed)
    payload = {field.name: getattr(found.payload, field.name) for field in fields(RoundReceipt)}
    assert {name: one.hex() if isinstance(one, bytes) else one for name, one in payload.items()} == listed["payload"]
    assert (found.index, found.size, found.root.hex()) == (listed["index"], listed["size"], listed["root"])
    assert found.digest.hex() == listed["sha256"]
    assert found.algorithms == (("ML-DSA-65", "Ed25519") if listed["ed25519"] else ("ML-DSA-65",))
    assert (found.issuer.signer, found.issuer.role) == ("hub", "aggregator")


@each_vector
def test_we_would_write_the_same_payload(listed: dict[str, Any]) -> None:
    encoded = (FOLDER / listed["file"]).read_bytes()
    receipt = Receipt.decode(encoded)
    assert RoundReceipt.decode(receipt.payload).encode() == receipt.payload and receipt.encode() == encoded


@each_vector
def test_any_other_byte_is_refused(listed: dict[str, Any]) -> None:
    encoded = (FOLDER / listed["file"]).read_bytes()
    for at in range(0, len(encoded), 61):
        changed = bytearray(encoded)
        changed[at] ^= 0x80 >> at % 8
        with pytest.raises(EvidenceRejected):
            checked(listed, bytes(changed))


def test_they_agree_by_attempt() -> None:
    for kind in ("batch", "batch-both"):
        require_agreement(checked(one) for one in INDEX["receipts"] if one["file"].rpartition("-")[0] == kind)
    with pytest.raises(EvidenceRejected, match="contradicts"):
        require_agreement(map(checked, INDEX["receipts"]))
