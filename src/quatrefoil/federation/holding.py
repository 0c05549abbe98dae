"""A silo's own update, held to what a round asks proofs of: the norm of the whole, norms of parts, and a direction.

Honest silos do this before they prove, since what does not hold has no proof. Parts are scaled down first, each by
itself; what points away from the direction is then taken out; and at last the whole is scaled, which changes neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from quatrefoil.contracts import FloatVector
from quatrefoil.errors import UpdateRefused
from quatrefoil.federation.directions import agreement, made_to_agree
from quatrefoil.federation.vectors import euclidean_norm, scaled_down


@dataclass(frozen=True)
class Bounds:
    """What the updates of a round keep to. ``clip``: of each value. ``layers``: the sizes of a model's arrays, and
    ``shares`` of the ``norm`` for each, empty where parts have no norms. ``direction``: entries, empty for none."""

    clip: float
    norm: float
    layers: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    direction: bytes = b""

    def excess(self, update: FloatVector) -> str:
        """What of it a finite update does not keep, in words; "" where it keeps all."""
        norm = euclidean_norm(update)
        if norm > self.norm:
            return f"has a Euclidean norm of {norm:.6g}, over the {self.norm:.6g}"
        for position, part, most in self._parts(update):
            if euclidean_norm(part) > most:
                return f"has a Euclidean norm of {euclidean_norm(part):.6g} in array {position}, over the {most:.6g}"
        if self.direction and agreement(update, self.direction) < 0:
            return "points away from the last mean, with which updates must agree,"
        return ""

    def hold(self, update: FloatVector) -> FloatVector:
        """The update brought within all of it."""
        held = update.copy()
        for _, part, most in self._parts(held):
            if euclidean_norm(part) > most:
                part[:] = scaled_down(part, most)
        if self.direction:
            held = made_to_agree(held, self.direction)
        # The last step may have made a part, or a value, larger: all of it is scaled, and goes on agreeing.
        factors = [1.0, *(most / norm for _, part, most in self._parts(held) if (norm := euclidean_norm(part)) > most)]
        if (largest := float(np.abs(held).max(initial=0.0))) > self.clip:
            factors.append(self.clip / largest)
        if min(factors) < 1:
            held = held * held.dtype.type(min(factors) * (1 - 2.0**-20))
        return scaled_down(held, self.norm) if euclidean_norm(held) > self.norm else held

    def _parts(self, update: FloatVector) -> Iterator[tuple[int, FloatVector, float]]:
        """Number, values and largest norm of each part that has one: views of ``update``."""
        if not self.shares or self.norm == math.inf:
            return
        start = 0
        for position, (size, share) in enumerate(zip(self.layers, self.shares, strict=True)):
            if size:
                yield position, update[start : start + size], share * self.norm
            start += size


def held(update: FloatVector, bounds: Bounds, *, refuse: bool, round_number: int) -> FloatVector:
    """``update`` where it keeps the bounds; else brought within them, or ``UpdateRefused`` with ``refuse``."""
    excess = bounds.excess(update)
    if not excess:
        return update
    if refuse:
        raise UpdateRefused(
            f"the update {excess} of round {round_number}",
            hint='Train for fewer steps, or agree on on_excess = "clip" or wider limits',
        )
    return bounds.hold(update)


__all__ = ["Bounds", "held"]
