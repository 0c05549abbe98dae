"""The verifier's side of a sum-check."""

from __future__ import annotations

from collections.abc import Sequence

from bounded_update.field import Ext
from bounded_update.polynomials import interpolate
from bounded_update.transcript import Challenger, serialize


def follow_rounds(
    start: Ext, rounds: Sequence[Sequence[Ext]], labels: tuple[str, str], challenger: Challenger
) -> tuple[list[Ext], Ext]:
    """The point, and the claim there."""
    point = []
    for sent in rounds:
        challenger.absorb(labels[0], serialize(sent))
        point.append(challenger.draw(labels[1]).element())
        start = interpolate([sent[0], start - sent[0], *sent[1:]], point[-1])
    return point, start
