"""What a proof says of the values beyond the norm of all of them (docs/proofs.md, Further claims)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from .shape import SLACK_BITS, Shape
from .transcript import content

LARGEST_CLAIMS: Final = 56


@dataclass(frozen=True)
class PartNorm:
    """The squares of the values first .. end - 1 add up to at most the bound."""

    first: int
    end: int
    bound: int

    def to_bytes(self) -> bytes:
        return struct.pack("<3Q", self.first, self.end, self.bound)


@dataclass(frozen=True)
class Direction:
    """g: the products of its entries with the values add up to at least -|g|."""

    entries: tuple[int, ...]

    def __post_init__(self) -> None:
        if not all(-(1 << 15) <= entry < 1 << 15 for entry in self.entries):
            raise ValueError("an entry of the direction has more than 16 bits")

    @cached_property
    def digest(self) -> bytes:
        return content(self.to_bytes())

    @cached_property
    def magnitude(self) -> int:
        """|g|, the sum of the magnitudes."""
        return sum(abs(entry) for entry in self.entries)

    def to_bytes(self) -> bytes:
        return struct.pack(f"<{len(self.entries)}h", *self.entries)


@dataclass(frozen=True)
class NamedDirection:
    """All that a keeper has of a direction. It is enough for the statement's digest, and for no proof."""

    digest: bytes


@dataclass(frozen=True)
class Further:
    """Norms of parts in this order, then at most one direction. Claim c is the one at place c of all of them."""

    parts: tuple[PartNorm, ...] = ()
    direction: Direction | NamedDirection | None = None

    @property
    def count(self) -> int:
        return len(self.parts) + (self.direction is not None)

    def check(self, shape: Shape) -> None:
        """ValueError for claims that are none of this many values."""
        if self.count > LARGEST_CLAIMS:
            raise ValueError(f"a statement has at most {LARGEST_CLAIMS} further claims")
        if shape.slack_start(self.count) + SLACK_BITS > shape.T_S:
            raise ValueError("this toy has no room for the slacks of its claims")
        for part in self.parts:
            if not 0 <= part.first < part.end <= shape.D:
                raise ValueError(f"there is no part [{part.first}, {part.end}) of {shape.D} values")
            if not 0 <= part.bound < 1 << SLACK_BITS:
                raise ValueError("the bound of a part is not within [0, 2^62)")
        if isinstance(self.direction, Direction) and len(self.direction.entries) != shape.D:
            raise ValueError("a direction has one entry for each value")
        if isinstance(self.direction, NamedDirection) and len(self.direction.digest) != 32:
            raise ValueError("the digest of a direction has 32 bytes")

    def to_bytes(self) -> bytes:
        """Nothing where nothing is claimed."""
        if not self.count:
            return b""
        numbers = struct.pack("<2I", len(self.parts), self.direction is not None)
        parts = b"".join(part.to_bytes() for part in self.parts)
        return numbers + parts + (self.direction.digest if self.direction is not None else b"")

    def slacks(self, values: Sequence[int]) -> list[int]:
        """Of each claim; negative where it does not hold."""
        slacks = [part.bound - sum(q * q for q in values[part.first : part.end]) for part in self.parts]
        if self.direction is not None:
            direction = known(self.direction)
            products = sum(g * q for g, q in zip(direction.entries, values, strict=True))
            slacks.append(products + direction.magnitude)
        return slacks


NOTHING_FURTHER: Final = Further()


def known(direction: Direction | NamedDirection) -> Direction:
    if isinstance(direction, Direction):
        return direction
    raise ValueError("of the direction only the digest is known")
