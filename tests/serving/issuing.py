"""Receipts issued over a journal and a log, and what a process that was killed leaves of them."""

from __future__ import annotations

from pathlib import Path

import made_inferences as made
from quatrefoil.audit import MemoryLog, serving_log
from quatrefoil.audit.inference_receipts import InferenceReceipt, verify
from quatrefoil.audit.serving_log import INFERENCE, KEYS
from quatrefoil.serving.receipts import ReceiptIssuer

KEYSET = made.keyset()


def kinds(log: MemoryLog) -> list[str]:
    return [entry.kind for entry in log.entries()]


def issue(issuer: ReceiptIssuer, count: int = 1, **more: object) -> list[InferenceReceipt]:
    given = [issuer.issue(made.REQUEST, made.ANSWER, 200, True, **more) for _ in range(count)]  # type: ignore[arg-type]
    return [verify(one, more.get("keyset", KEYSET)) for one in given]  # type: ignore[arg-type]


def logged(log: MemoryLog) -> list[InferenceReceipt]:
    """Receipts as the log gives them back."""
    served, found = {}, []
    for entry in log.entries():
        if entry.kind == KEYS:
            one = serving_log.served_from(entry.body, log.payload(entry.attached["keyset"].sha256))
            served[entry.body["keyset"]] = one
        elif entry.kind == INFERENCE:
            found.append(serving_log.receipt_from(entry.body, served[entry.body["keyset"]]))
    return found


def left_behind(tmp_path: Path, log: MemoryLog, flushed: int = 2, waiting: int = 3) -> list[InferenceReceipt]:
    """What a process that was killed had given out: the journal keeps what the log has not."""
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    given = issue(issuer, flushed)
    issuer.flush()
    return given + issue(issuer, waiting)
