"""Which recorded answers are to be proven: all of them, or those that a sample has drawn."""

from __future__ import annotations

from collections.abc import Sequence

from quatrefoil.audit import PartyLog
from quatrefoil.audit.sampling import Sample, answered
from quatrefoil.errors import CallerError
from quatrefoil.proven.receipts import Recorded


def drawn_of(recorded: Sequence[Recorded], sample: Sample, log: PartyLog) -> list[Recorded]:
    """The records that a sample has drawn, in its order, without what has no answer to prove. ``CallerError`` where
    there is no record of one."""
    known = {one.receipt.digest(): one for one in recorded}
    wanted = answered(log, sample.drawn).provable
    for drawn in wanted:
        if drawn.digest not in known:
            raise CallerError(
                f"there is no record of receipt {drawn.sequence} of keyset {drawn.keyset.hex()[:16]}, which is drawn",
                hint="Give all records: a receipt without one cannot be proven, and the auditor sees that",
            )
    return [known[drawn.digest] for drawn in wanted]


__all__ = ["drawn_of"]
