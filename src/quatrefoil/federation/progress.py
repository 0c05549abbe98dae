"""How far a party is in a job: one value of its state, so that no part of it ever moves without the others."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from quatrefoil.federation import parts
from quatrefoil.state import State

NAME = "model"
"""Of the value in a party's state."""


@dataclass(frozen=True)
class Progress:
    """``rounds`` done, the bytes of the ``model`` that they led to, and of the round that is next the ``norm`` and the
    entries of the ``direction``, as ``directions`` has them; empty for none."""

    rounds: int
    model: bytes
    norm: float
    direction: bytes = b""

    def encode(self) -> bytes:
        """As it is stored."""
        return parts.join([self.rounds.to_bytes(8, "big"), self.model, struct.pack("<d", self.norm), self.direction])

    @classmethod
    def of(cls, state: State) -> Progress | None:
        """What the state holds; None before a job has begun."""
        if (stored := state.get(NAME)) is None:
            return None
        number, model, norm, direction = parts.split(stored, 4)
        return cls(int.from_bytes(number, "big"), model, struct.unpack("<d", norm)[0], direction)


__all__ = ["NAME", "Progress"]
