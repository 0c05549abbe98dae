"""What a proof of answers is bound to besides inputs and outputs: which receipts, where in which log, which model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.errors import MessageRefused
from quatrefoil.wire import WireObject

LONGEST_ORIGIN = 512
MOST_RECEIPTS = 1 << 14


@dataclass(frozen=True)
class Place(WireObject):
    """One receipt. ``receipt``: SHA-256 of it, encoded; ``entry``: its place in the log."""

    TYPE: ClassVar[str] = "urn:quatrefoil:proven-place"
    receipt: bytes
    entry: int


@dataclass(frozen=True)
class Binding(WireObject):
    """``statement``: SHA-256 of the signed statement about the model; ``origin``: of the log. Its digest is what the
    proof is bound to."""

    TYPE: ClassVar[str] = "urn:quatrefoil:answers-binding"
    statement: bytes
    origin: str
    places: tuple[Place, ...]

    def __post_init__(self) -> None:
        hint = "Prove 1 to 16,384 different receipts of one log at once"
        if not 1 <= len(self.places) <= MOST_RECEIPTS:
            raise MessageRefused(f"{len(self.places)} receipts are bound", hint=hint)
        if not 1 <= len(self.origin) <= LONGEST_ORIGIN or len(self.statement) != 32:
            raise MessageRefused("a binding names no log, or no statement", hint=hint)
        digests, entries = {one.receipt for one in self.places}, {one.entry for one in self.places}
        if not len(digests) == len(entries) == len(self.places) or any(len(one) != 32 for one in digests):
            raise MessageRefused("a receipt, or a place of the log, is bound twice", hint=hint)


__all__ = ["MOST_RECEIPTS", "Binding", "Place"]
