"""The norm that holds in a round, who is refused under it, and the same by real proofs.

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
from quatrefoil.contracts import BoundedUpdate, SumShape
from quatrefoil.errors import ParametersRefused, ProofRejected, UpdateRefused
from quatrefoil.proofs import BoundedUpdateProofs

PARAMETERS = ParameterSet.named("sum-256-w16")

FACTOR, FLOOR = 3.0, 0.9


@dataclass(frozen=True)
class AdaptiveRule:
    """The norm of a round from public values: ``min(policy's, max(factor * |last mean|, floor * last norm))``.

    The first round's is the policy's. ``floor``: updates that pull the mean to nothing shrink the norm, and with it the
    honest updates; it shrinks by no more than that a round. Every party has these values and computes the same float64:
    each square, the sum of all (``math.fsum``), the root and each product are rounded once. Measured here only: no
    round of the protocol uses it.
    """

    factor: float = FACTOR
    floor: float = FLOOR

    def __post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor > 0 and 0 <= self.floor <= 1):
            raise ParametersRefused(
                f"a factor of {self.factor} and a floor of {self.floor} give no norm",
                hint="Choose a factor above 0, like 3, and a floor from 0 to 1, like 0.9",
            )

    def following(self, norm: float, mean: Vector, *, policy_norm: float) -> float:
        """The norm of the round after one with ``norm`` that published ``mean``."""
        length = math.sqrt(math.fsum((mean * mean).tolist()))
        return min(policy_norm, max(self.factor * length, self.floor * norm))


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

    def refuses(self, update: Vector, norm: float) -> bool:
        integers = np.rint(update * self.factor)
        out_of_range = bool((np.abs(integers) > PARAMETERS.largest_integer).any())
        return out_of_range or math.fsum((integers * integers).tolist()) > self.bound(norm)

    def longest(self, direction: Vector, norm: float) -> Vector:
        """The longest update in a direction that is not refused: the attacker chooses its integers itself, and takes
        what the bound leaves for rounding too. Never a value beyond the clip bound."""
        length = math.sqrt(self.bound(norm)) * (1 - 2.0**-40)
        integers = np.trunc(direction * (length / max(float(np.linalg.norm(direction)), 1e-300)))
        longest: Vector = np.clip(integers / self.factor, -CLIP, CLIP)
        return longest

    def by_proof(self, update: Vector, norm: float) -> str:
        """Encrypt, prove and verify for real: ``verified``; or ``refused``, where nothing can be proven of the update,
        and where the proof of a shorter one, in another ciphertext, does not verify for it."""
        proofs, aggregation, shape = BoundedUpdateProofs(PARAMETERS), AdditiveAggregation(PARAMETERS), self._shape
        bound = self.bound(norm)
        encrypted, hidden = aggregation.encrypt_for_proof(update, weight=self.weight, shape=shape)
        statement = BoundedUpdate(shape, encrypted.ciphertext, bound, bytes(32))
        try:
            proofs.verify(statement, proofs.prove(statement, hidden))
            return "verified"
        except UpdateRefused:
            short = update * (0.5 * norm / float(np.linalg.norm(update)))
        other, provable = aggregation.encrypt_for_proof(short, weight=self.weight, shape=shape)
        stolen = proofs.prove(BoundedUpdate(shape, other.ciphertext, bound, bytes(32)), provable)
        try:
            proofs.verify(statement, stolen)
        except ProofRejected:
            return "refused"
        return "verified"

    @property
    def _shape(self) -> SumShape:
        return SumShape(self.length, CLIP, bytes(32))


__all__ = ["FACTOR", "FLOOR", "AdaptiveRule", "Norms"]
