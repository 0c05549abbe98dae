"""Who of a committee it takes, and the points that polynomials are known at (docs/committee.md, Sharing)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .field import P

LARGEST_COMMITTEE: Final = 64


@dataclass(frozen=True)
class Threshold:
    """n members, privacy t_p, packing l."""

    members: int
    privacy: int
    packing: int

    def __post_init__(self) -> None:
        n, privacy, packing = self.members, self.privacy, self.packing
        if not (1 <= n <= LARGEST_COMMITTEE and privacy >= 1 and packing >= 1 and packing & (packing - 1) == 0):
            raise ValueError("these are not the numbers of a committee")
        if not n < 2 * self.recovery <= 2 * n:
            raise ValueError("t_rec is not over half of the members, or over all of them")

    @property
    def recovery(self) -> int:
        """t_rec."""
        return self.privacy + self.packing

    @property
    def base_points(self) -> list[int]:
        """x_i: 0, -1, .. for the key, then 1, 2, .. for what hides it."""
        return [-i % P for i in range(self.packing)] + list(range(1, self.privacy + 1))

    def to_bytes(self) -> bytes:
        return struct.pack("<3I", self.members, self.privacy, self.packing)


def interpolation(points: Sequence[int], at: int) -> list[int]:
    """The weights that give the value at one point from those at distinct others."""
    weights = []
    for x in points:
        weight = 1
        for other in points:
            if other != x:
                weight = weight * (at - other) * pow(x - other, -1, P) % P
        weights.append(weight)
    return weights
