"""Which recorded answers a sample asks to be proven, and which of the drawn receipts cannot be, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quatrefoil.audit import PartyLog
from quatrefoil.audit.sampling import DrawnReceipt, Sample
from quatrefoil.audit.serving_log import INFERENCE
from quatrefoil.errors import CallerError
from quatrefoil.proven.receipts import Recorded
from quatrefoil.proven.statement import CommittedModel


@dataclass(frozen=True)
class NotProven:
    """A drawn receipt without what a proof is made from. ``unanswered``: no whole answer went out, so that no proof of
    it is asked for either."""

    drawn: DrawnReceipt
    why: str
    unanswered: bool = False

    def __str__(self) -> str:
        return f"receipt {self.drawn.sequence} of keyset {self.drawn.keyset.hex()[:16]}: {self.why}"


@dataclass(frozen=True)
class Drawn:
    """``records``: to be proven, in the order drawn. ``left``: the other receipts that are drawn."""

    records: tuple[Recorded, ...]
    left: tuple[NotProven, ...]


def drawn_of(recorded: Iterable[Recorded], sample: Sample, model: CommittedModel) -> Drawn:
    """What a sample has drawn of ``recorded``, of which no more than that is held in memory at once.

    ``CallerError`` where none of it is an answer of ``model``: there is nothing to prove.
    """
    wanted = {one.digest for one in sample.drawn}
    known = {digest: one for one in recorded if (digest := one.receipt.digest()) in wanted}
    records, left = list[Recorded](), list[NotProven]()
    for drawn in sample.drawn:
        if (found := known.get(drawn.digest)) is None:
            left.append(NotProven(drawn, "there is no record of it"))
        elif found.receipt.status != 200 or not found.receipt.complete:
            left.append(NotProven(drawn, "no whole answer went out", unanswered=True))
        elif found.receipt.model != model.model:
            left.append(NotProven(drawn, f"it is of the model {found.receipt.model.hex()[:16]}, and not of this one"))
        else:
            records.append(found)
    if not records:
        raise CallerError(
            f"none of {len(left):,} receipts drawn can be proven; {left[0] if left else 'none is drawn'}",
            hint="Give all records, and the commitment to the model that answered",
        )
    return Drawn(tuple(records), tuple(left))


def explained(left: Iterable[NotProven], log: PartyLog) -> list[NotProven]:
    """With those told apart of which, as the log has it, no whole answer went out: of these none is recorded."""
    return [
        NotProven(one.drawn, "no whole answer went out", unanswered=True) if _broke_off(log, one.drawn) else one
        for one in left
    ]


def _broke_off(log: PartyLog, drawn: DrawnReceipt) -> bool:
    if drawn.entry >= log.size:
        return False
    entry = log.entry(drawn.entry)
    if entry.kind != INFERENCE or (entry.body["keyset"], entry.body["sequence"]) != (
        drawn.keyset.hex(),
        drawn.sequence,
    ):
        return False
    return entry.body["status"] != 200 or not entry.body["complete"]


__all__ = ["Drawn", "NotProven", "drawn_of", "explained"]
