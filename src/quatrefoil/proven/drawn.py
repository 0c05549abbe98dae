"""Which recorded answers a sample asks to be proven, and which of the drawn receipts cannot be, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quatrefoil.audit import PartyLog
from quatrefoil.audit.sampling import DrawnReceipt, Sample, answered
from quatrefoil.errors import CallerError
from quatrefoil.proven.receipts import Recorded
from quatrefoil.proven.statement import CommittedModel


@dataclass(frozen=True)
class NotProven:
    """A drawn receipt of an answer, without what a proof is made from."""

    drawn: DrawnReceipt
    why: str

    def __str__(self) -> str:
        return f"receipt {self.drawn.sequence} of keyset {self.drawn.keyset.hex()[:16]}: {self.why}"


@dataclass(frozen=True)
class Drawn:
    """``records``: to be proven, in the order drawn. ``left``: the other answers that are drawn. ``failed`` and
    ``silent``: how many receipts have no answer to prove, as :class:`quatrefoil.audit.sampling.answered` counts."""

    records: tuple[Recorded, ...]
    left: tuple[NotProven, ...] = ()
    failed: int = 0
    silent: int = 0


def drawn_of(recorded: Iterable[Recorded], sample: Sample, log: PartyLog, model: CommittedModel) -> Drawn:
    """What a sample has drawn of ``recorded``, of which no more than that is held in memory at once.

    ``CallerError`` where none of it is an answer of ``model``: there is nothing to prove.
    """
    asked = answered(log, sample.drawn)
    wanted = {one.digest for one in asked.provable}
    known = {digest: one for one in recorded if (digest := one.receipt.digest()) in wanted}
    records, left = list[Recorded](), list[NotProven]()
    for drawn in asked.provable:
        if (found := known.get(drawn.digest)) is None:
            left.append(NotProven(drawn, "there is no record of it"))
        elif found.receipt.model != model.model:
            left.append(NotProven(drawn, f"it is of the model {found.receipt.model.hex()[:16]}, and not of this one"))
        else:
            records.append(found)
    if not records:
        raise CallerError(
            f"none of {len(sample.drawn):,} receipts drawn can be proven; {left[0] if left else 'none has an answer'}",
            hint="Give all records, and the commitment to the model that answered",
        )
    return Drawn(tuple(records), tuple(left), asked.failed, asked.silent)


__all__ = ["Drawn", "NotProven", "drawn_of"]
