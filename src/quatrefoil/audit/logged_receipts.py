"""Whether a receipt that somebody holds is in the log of whoever issued it.

A receipt that is not is the proof that something was answered of which the log does not tell: it was signed by code
that evidence speaks of, and the log names every receipt that it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quatrefoil.audit import serving_log
from quatrefoil.audit.entries import Attachment
from quatrefoil.audit.inference_histories import require_one_history
from quatrefoil.audit.inference_receipts import InferenceReceipt
from quatrefoil.audit.party_log import PartyLog
from quatrefoil.audit.serving_log import ENDED, EVIDENCE, INFERENCE, KEYS, KEYSET, Served
from quatrefoil.errors import EvidenceRejected

_HINT = "Keep the receipt and the log: together they prove what the log does not tell"


@dataclass(frozen=True)
class LoggedKeyset:
    """The keyset of a receipt as its issuer's log has it. ``evidence``: an encoded ``EvidenceSet``; ``time``: of the
    entry, ISO 8601. ``index``: of the receipt's own entry; None where the log has none. ``receipts``: how many of the
    keyset it has. ``ended``: whether it says that there are no more."""

    served: Served
    evidence: bytes
    time: str
    index: int | None
    receipts: int
    ended: bool

    def require_logged(self, receipt: InferenceReceipt) -> int:
        """Where the log has the receipt; ``EvidenceRejected`` where it has not."""
        if self.index is None:
            end = ", and has ended it" if self.ended else ""
            raise EvidenceRejected(
                f"the log does not have receipt {receipt.sequence} of this keyset: it has {self.receipts}{end}",
                hint=_HINT if self.ended else f"{_HINT}; or look again later, since receipts are logged in batches",
                check="log",
                party=receipt.issuer,
            )
        return self.index


def look_up(log: PartyLog, receipt: InferenceReceipt) -> LoggedKeyset | None:
    """What ``log`` has of the keyset of ``receipt``, every entry held to the checkpoint; None where it knows nothing of
    that. ``EvidenceRejected`` where the log has another receipt under its number, or beside it one that contradicts it.
    """
    name = receipt.keyset.hex()
    found: LoggedKeyset | None = None
    beside = [receipt]
    for entry in log.entries():
        if entry.kind not in (KEYS, INFERENCE, ENDED) or entry.body["keyset"] != name:
            continue
        if entry.kind == KEYS:
            served = serving_log.served_from(entry.body, _attached(log, entry.attached, KEYSET))
            found = LoggedKeyset(served, _attached(log, entry.attached, EVIDENCE), entry.time, None, 0, False)
        elif found is not None:
            index, receipts, ended = found.index, found.receipts, found.ended or entry.kind == ENDED
            if entry.kind == INFERENCE:
                said = serving_log.receipt_from(entry.body, found.served)
                receipts += 1
                index = entry.index if said == receipt else index
                if abs(said.sequence - receipt.sequence) <= 1:
                    beside.append(said)
            found = LoggedKeyset(found.served, found.evidence, found.time, index, receipts, ended)
    require_one_history(beside)
    return found


def _attached(log: PartyLog, attached: Mapping[str, Attachment], name: str) -> bytes:
    if name not in attached:
        raise EvidenceRejected(f"an entry of the log attaches no {name}", hint=_HINT, check="log")
    return log.payload(name, attached[name])


__all__ = ["LoggedKeyset", "look_up"]
