"""Entries of a server's log, as its owner may write them: bodies for each kind, read into receipts and keysets."""

from __future__ import annotations

import json
from typing import Any

from tests.fuzz.held import refused_or

import made_inferences as made
from quatrefoil.audit import serving_log
from quatrefoil.audit.inference_receipts import sign
from quatrefoil.audit.serving_log import Served, Terms

_SERVED = Served(
    made.keyset(),
    Terms("ward", made.MODEL, made.COMMITMENT, "tpm.pcr0=01", made.POLICY, made.PLAN),
    made.NONCE,
    serving_log.PURPOSE,
)


def seeds() -> list[bytes]:
    receipt = made.receipt()
    signed = sign(receipt, made.key())
    ended = serving_log.ServingEnded(receipt.keyset, 1, receipt.digest(), receipt.time)
    events = (
        serving_log.answered(receipt, signed),
        serving_log.answered(receipt, None),
        serving_log.begun(_SERVED, b"evidence", [b"k" * 32]),
        serving_log.ended(ended, made.key(), "stopped"),
    )
    return [json.dumps(dict(event.body)).encode() for event in events]


def one(data: bytes) -> None:
    """A body that stands for a receipt is the one that the receipt is logged as; nothing else but a refusal happens."""
    try:
        body: Any = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(body, dict):
        return
    receipt = refused_or(lambda: serving_log.receipt_from(body, _SERVED))
    if receipt is not None:
        again = serving_log.answered(receipt, None).body
        assert all(body[name] == value for name, value in again.items())
        refused_or(lambda: serving_log.verify_logged(receipt, body.get("signature"), _SERVED.keyset))
    ending = refused_or(lambda: serving_log.ending_from(body))
    if ending is not None:
        refused_or(lambda: serving_log.verify_logged(ending, body.get("signature"), _SERVED.keyset))
    refused_or(lambda: serving_log.served_from(body, _SERVED.keyset.encode()))
