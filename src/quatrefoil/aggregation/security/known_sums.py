"""What the sum of several binomial secrets leaves open about one of them.

A centred binomial value with parameter eta is a sum of 2 eta fair bits, less eta. Given the sum of h such values, the
bits that are set are a uniform choice among all 2 eta h of them: one value is hypergeometric, exactly. Its variance is
(h - 1) / h of the old one in the mean over the sums. The same holds for errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log, log2


@dataclass(frozen=True)
class KnownSum:
    """One coefficient of one of ``honest`` values, to somebody who knows their sum (``honest`` of 1: the value itself).

    ``variance``: what is left of it, the mean over the sums. ``geometric_variance``: the geometric mean, which is what
    counts for the volume of a lattice whose coordinates are scaled to one deviation. ``entropy``: Shannon's, in bits.
    ``guess``: minus log2 of the probability that the best guess is right.
    """

    honest: int
    variance: float
    geometric_variance: float
    entropy: float
    guess: float


def known_sum(eta: int, honest: int) -> KnownSum:
    """Of a coefficient centred binomial with ``eta``, given the sum of ``honest`` of them."""
    bits, total = 2 * eta, 2 * eta * honest
    variance = log_variance = entropy = right = open_mass = 0.0
    for ones in range(total + 1):
        mass = exp(_log_binomial(total, ones) - total * log(2))
        left = [exp(p) for p in _log_hypergeometric(total, ones, bits)]
        mean = bits * ones / total
        first = max(0, ones - (total - bits))
        spread = sum(p * (first + step - mean) ** 2 for step, p in enumerate(left))
        variance += mass * spread
        entropy -= mass * sum(p * log2(p) for p in left if p > 0)
        right += mass * max(left)
        # Where all bits are alike nothing is left; that has a probability of 2^(1 - total), and no logarithm.
        if len(left) > 1:
            log_variance += mass * log(spread)
            open_mass += mass
    geometric = exp(log_variance / open_mass) if open_mass else 0.0
    return KnownSum(honest, variance, geometric, abs(entropy), -log2(min(right, 1.0)) + 0.0)


def _log_binomial(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _log_hypergeometric(population: int, ones: int, drawn: int) -> list[float]:
    """log of the probabilities of each possible number of ones among those drawn, from the least."""
    whole = _log_binomial(population, drawn)
    possible = range(max(0, ones - (population - drawn)), min(ones, drawn) + 1)
    return [_log_binomial(ones, k) + _log_binomial(population - ones, drawn - k) - whole for k in possible]
