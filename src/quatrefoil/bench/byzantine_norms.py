"""Who is refused under the norm of a round, and the same by real proofs.

A simulated update is refused where the squares of the integers that it becomes add up to more than the ``bound`` that
the parties of a round compute: that, and the range of each integer, is what a verified proof says. :func:`by_proof`
asks the prover and the verifier themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.bench.byzantine_worlds import CLIP, Vector
from quatrefoil.contracts import BoundedUpdate, FurtherClaims, SumShape
from quatrefoil.errors import ProofRejected, UpdateRefused
from quatrefoil.federation.directions import made_to_agree, read_entries
from quatrefoil.federation.norms import AdaptiveRule
from quatrefoil.proofs import BoundedUpdateProofs

PARAMETERS = ParameterSet.named("sum-256-w16")

FACTOR, FLOOR = 3.0, 0.9
RULE = AdaptiveRule(FACTOR, FLOOR)
"""What is measured unless others are given: the rule is the one that rounds follow."""


@dataclass(frozen=True)
class Norms:
    """What updates of ``length`` values and one weight have to keep to, for a norm that may change by the round."""

    length: int
    weight: float

    @property
    def factor(self) -> float:
        return PARAMETERS.factor(self.weight, CLIP)

    def bound(self, norm: float) -> int:
        """The round's own: on the sum of the squared integers."""
        return BoundedUpdateProofs(PARAMETERS).bound(norm, weight=self.weight, shape=self._shape)

    def refuses(self, update: Vector, norm: float, direction: bytes = b"") -> bool:
        integers = np.rint(update * self.factor)
        out_of_range = bool((np.abs(integers) > PARAMETERS.largest_integer).any())
        return (
            out_of_range
            or math.fsum((integers * integers).tolist()) > self.bound(norm)
            or (direction != b"" and _points_away(integers, direction))
        )

    def longest(self, direction: Vector, norm: float) -> Vector:
        """The longest update in a direction that is not refused: the attacker chooses its integers itself, and takes
        what the bound leaves for rounding too. Never a value beyond the clip bound."""
        length = math.sqrt(self.bound(norm)) * (1 - 2.0**-40)
        integers = np.trunc(direction * (length / max(float(np.linalg.norm(direction)), 1e-300)))
        longest: Vector = np.clip(integers / self.factor, -CLIP, CLIP)
        return longest

    def by_proof(self, update: Vector, norm: float, direction: bytes = b"") -> str:
        """Encrypt, prove and verify for real: ``verified``; or ``refused``, where nothing can be proven of the update,
        and where the proof of a shorter one, in another ciphertext, does not verify for it."""
        proofs, aggregation, shape = BoundedUpdateProofs(PARAMETERS), AdditiveAggregation(PARAMETERS), self._shape
        bound = self.bound(norm)
        encrypted, hidden = aggregation.encrypt_for_proof(update, weight=self.weight, shape=shape)
        further = FurtherClaims(direction=proofs.direction(read_entries(direction)) if direction else None)
        statement = BoundedUpdate(shape, encrypted.ciphertext, bound, bytes(32), further)
        try:
            proofs.verify(statement, proofs.prove(statement, hidden))
            return "verified"
        except UpdateRefused:
            agreeing = np.asarray(made_to_agree(update, direction), np.float64) if direction else update
            short = agreeing * (0.5 * norm / max(float(np.linalg.norm(update)), norm))
        other, provable = aggregation.encrypt_for_proof(short, weight=self.weight, shape=shape)
        stolen = proofs.prove(BoundedUpdate(shape, other.ciphertext, bound, bytes(32), further), provable)
        try:
            proofs.verify(statement, stolen)
        except ProofRejected:
            return "refused"
        return "verified"

    @property
    def _shape(self) -> SumShape:
        return SumShape(self.length, CLIP, bytes(32))


__all__ = ["FACTOR", "FLOOR", "RULE", "Norms"]


def _points_away(integers: Vector, direction: bytes) -> bool:
    """Whether the products with a direction add up to less than minus the sum of its magnitudes."""
    entries = read_entries(direction).astype(np.float64)
    return math.fsum((integers * entries).tolist()) < -float(np.abs(entries).sum())
