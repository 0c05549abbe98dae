"""What a sample catches: the chance that a share of false receipts shows, and what trying out seeds takes from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

SHARES = (0.001, 0.01, 0.05, 0.1)
"""Shares of false receipts, or answers, that tables and plans say the chance of."""

TRIES = 1 << 20
"""Seeds that an operator is taken to have tried out where there is no challenge; docs/audit-sampling.md says why."""


@dataclass(frozen=True)
class Caught:
    """``share``: of the population, ``false`` receipts in it, rounded up. ``probability``: that at least one is drawn.
    ``after_tries``: the least that it is if the best of ``tries`` seeds was chosen by whoever is to be caught."""

    share: float
    false: int
    probability: float
    tries: int
    after_tries: float


def caught(population: int, count: int, share: float, tries: int = 1) -> Caught:
    """Of ``count`` different ones out of ``population``. Missing all is hypergeometric: the product of
    (population - false - i) / (population - i); of ``tries`` independent seeds one misses with at most ``tries`` times
    that (union bound)."""
    false = min(population, math.ceil(share * population))
    missed = 0.0
    for at in range(count):
        if population - false - at <= 0:
            missed = -math.inf
            break
        missed += math.log1p(-false / (population - at))
    return Caught(
        share, false, -math.expm1(missed), tries, max(0.0, 1.0 - math.exp(min(0.0, missed + math.log(tries))))
    )
