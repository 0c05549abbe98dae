"""What lattice reduction costs that breaks ring-LWE: the core-SVP estimate, by attack.

Core-SVP (Alkim, Ducas, Pöppelmann and Schwabe, USENIX Security 2016, section 6) counts one call of a sieve in the
dimension of the block and nothing else: not the other calls, not the polynomial factors, not the memory. It is meant to
be below what an attack costs. Root Hermite factor: Chen's formula (thesis, Paris 7, 2013); profile of the reduced
basis: the geometric series assumption. The ring is not used by any attack here, as in the estimates of ML-KEM and of
the Homomorphic Encryption Standard: ring-LWE is taken for LWE whose samples are as many as there are coefficients.

Every figure is an estimate of known attacks. None is a proof, and none of the newer dual attacks is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import e, exp, floor, log, pi, sqrt

SMALLEST_BLOCK = 60
"""Below it Chen's formula means nothing."""
LARGEST_BLOCK = 20_000

SIEVES = {
    "classical": 0.292,
    "quantum": 0.265,
    "quantum walk": 0.257,
    "paranoid": 0.2075,
}
"""log2 of a sieve's cost, over the block size. Classical: Becker, Ducas, Gama and Laarhoven (SODA 2016). Quantum:
Laarhoven (thesis, Eindhoven 2015), who searches with Grover; Chailloux and Loyer (ASIACRYPT 2021) by quantum walks.
Paranoid: the vectors that any sieve of this kind writes down (4/3)^(b/2), each for one operation."""

_VECTORS_OF_A_SIEVE = 0.2075


@dataclass(frozen=True)
class Lwe:
    """LWE in dimension ``n`` modulo ``q``, secret and error coefficients alike of this standard deviation, and at most
    ``samples`` equations (``None``: as many as an attacker wants)."""

    n: int
    q: int
    deviation: float
    samples: int | None = None


@dataclass(frozen=True)
class Primal:
    """The block size at which BKZ finds the secret, in a lattice of ``samples`` equations and this dimension."""

    block_size: int
    samples: int
    dimension: int

    def bits(self, sieve: str) -> int:
        """log2 of the core-SVP cost, rounded down."""
        return floor(SIEVES[sieve] * self.block_size)


@dataclass(frozen=True)
class Dual:
    """The cheapest distinguisher: log2 of its cost rounded down, its block size and samples."""

    bits: int
    block_size: int
    samples: int


def log_root_hermite_factor(block_size: int) -> float:
    """log of delta: a basis that is reduced with this block size starts with delta^d vol^(1/d)."""
    b = block_size
    return (log(pi * b) / b + log(b / (2 * pi * e))) / (2 * (b - 1))


def primal(lwe: Lwe) -> Primal:
    """The smallest block size for which the secret is the unique shortest vector that BKZ finds, over all numbers of
    samples: sqrt(b) deviation <= delta^(2 b - d - 1) q^(m / d), d = n + m + 1 (USENIX Security 2016, section 6.3)."""

    def margin(block_size: int, m: int) -> float:
        d = lwe.n + m + 1
        reached = (2 * block_size - d - 1) * log_root_hermite_factor(block_size) + m * log(lwe.q) / d
        return reached - log(block_size) / 2 - log(lwe.deviation)

    def best_samples(block_size: int) -> int:
        # -d log(delta) + (d - n - 1) log(q) / d is largest at this d.
        return _samples(lwe, sqrt((lwe.n + 1) * log(lwe.q) / log_root_hermite_factor(block_size)) - lwe.n - 1)

    found = _smallest(lambda b: margin(b, best_samples(b)) >= 0)
    return Primal(found, best_samples(found), lwe.n + best_samples(found) + 1)


def dual(lwe: Lwe, sieve: str) -> Dual:
    """The plain dual attack of the same paper: short vectors of the dual lattice of length l distinguish with advantage
    exp(-2 pi^2 (l deviation / q)^2); the 2^(0.2075 b) vectors of a sieve all serve, and what they lack is repeated."""

    def cost(block_size: int) -> tuple[float, int]:
        delta = log_root_hermite_factor(block_size)
        m = _samples(lwe, sqrt(lwe.n * log(lwe.q) / delta) - lwe.n)
        d = lwe.n + m
        log_length = d * delta + lwe.n * log(lwe.q) / d
        exponent = 2 * (log_length + log(lwe.deviation) - log(lwe.q))
        # Far too long a vector: keep the number within floats.
        advantage = -2 * pi**2 * exp(min(exponent, 500.0)) / log(2)
        return SIEVES[sieve] * block_size + max(0.0, -2 * advantage - _VECTORS_OF_A_SIEVE * block_size), m

    best, block_size = min((cost(b)[0], b) for b in range(SMALLEST_BLOCK, _largest_useful(lwe)))
    return Dual(floor(best), block_size, cost(block_size)[1])


def dense_sublattice(lwe: Lwe, rank: int) -> int:
    """The block size at which BKZ comes upon a sublattice of ``rank`` short vectors at once, as it does for
    overstretched NTRU: rotations of one secret, and secrets of several silos under one ``a``, lie in such a lattice.

    The condition of Kirchner and Fouque (EUROCRYPT 2017), on d = n + m + rank, over all numbers of samples: the volume
    of the sublattice is below that of the last ``rank`` vectors of the profile. A sublattice of rank 1 is what the
    primal attack looks for, and that attack's own condition is better for it.
    """

    def succeeds(block_size: int) -> bool:
        delta = log_root_hermite_factor(block_size)
        # m log(q) / d - (d - rank) log(delta) is largest at this d.
        m = _samples(lwe, sqrt((lwe.n + rank) * log(lwe.q) / delta) - lwe.n - rank)
        d = lwe.n + m + rank
        short = log(lwe.deviation) + log(lwe.n + m) / 2
        return short <= m * log(lwe.q) / d - (d - rank) * delta

    return _smallest(succeeds)


def _samples(lwe: Lwe, wanted: float) -> int:
    most = wanted if lwe.samples is None else min(wanted, lwe.samples)
    return max(1, round(most))


def _largest_useful(lwe: Lwe) -> int:
    return 2 * primal(lwe).block_size + SMALLEST_BLOCK


def _smallest(succeeds: Callable[[int], bool]) -> int:
    low, high = SMALLEST_BLOCK, LARGEST_BLOCK
    while low < high:
        middle = (low + high) // 2
        if succeeds(middle):
            high = middle
        else:
            low = middle + 1
    return low
