"""The file P of a proof of answers: all that its check needs but the consortium's root, and the log."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.proofs.inference import WeightsCommitment
from quatrefoil.proven.binding import Binding, Place
from quatrefoil.proven.exchanges import Exchange
from quatrefoil.wire import WireObject


@dataclass(frozen=True)
class ProvenExchange(WireObject):
    """An exchange, and the ``entry`` of its receipt in the log."""

    TYPE: ClassVar[str] = "urn:quatrefoil:proven-exchange"
    entry: int
    exchange: Exchange


@dataclass(frozen=True)
class ProofFile(WireObject):
    """``statement``: signed, about the model; ``origin``: of the log; ``outputs``: the program's (i32, little endian)
    where answers are places of the largest, else empty: then they are the answers' own."""

    TYPE: ClassVar[str] = "urn:quatrefoil:proof-of-answers"
    statement: bytes
    commitment: WeightsCommitment
    origin: str
    exchanges: tuple[ProvenExchange, ...]
    outputs: bytes
    proof: bytes

    def binding(self) -> Binding:
        """What the proof has to be bound to. ``MessageRefused`` where that is nothing."""
        return binding_of(self.statement, self.origin, self.exchanges)


def binding_of(statement: bytes, origin: str, exchanges: tuple[ProvenExchange, ...]) -> Binding:
    places = (Place(hashlib.sha256(one.exchange.receipt).digest(), one.entry) for one in exchanges)
    return Binding(hashlib.sha256(statement).digest(), origin, tuple(places))


__all__ = ["ProofFile", "ProvenExchange", "binding_of"]
