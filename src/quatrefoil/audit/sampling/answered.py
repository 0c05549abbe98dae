"""Which drawn receipts are of answers that can be proven; what the others are is counted.

A client's question about the model (its metadata, its health) has a receipt like any other, and nothing was computed
for it. Code in audit mode commits to whatever it computes, and a process is in that mode or not: so a receipt without a
commitment is such a question where its keyset has one that commits, and an answer off the record where it has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quatrefoil.audit.party_log import PartyLog
from quatrefoil.audit.sampling.sample import DrawnReceipt
from quatrefoil.audit.serving_log import INFERENCE


@dataclass(frozen=True)
class Answered:
    """``provable``: what has to be proven, in the order drawn; ``failed``: of answers that failed or broke off;
    ``silent``: whole ones, of code in audit mode, that say nothing of a computation."""

    provable: tuple[DrawnReceipt, ...]
    failed: int
    silent: int


def answered(log: PartyLog, drawn: Sequence[DrawnReceipt]) -> Answered:
    """Of receipts drawn from ``log``, which holds its checks."""
    provable, silent, failed = list[DrawnReceipt](), set[DrawnReceipt](), 0
    for one in drawn:
        body = log.entry(one.entry).body
        if body["status"] != 200 or not body["complete"]:
            failed += 1
            continue
        provable.append(one)
        if not body["inputs"]:
            silent.add(one)
    if silent:
        committing = {
            entry.body["keyset"] for entry in log.entries() if entry.kind == INFERENCE and entry.body["inputs"]
        }
        silent = {one for one in silent if one.keyset.hex() in committing}
    return Answered(tuple(one for one in provable if one not in silent), failed, len(silent))


__all__ = ["Answered", "answered"]
