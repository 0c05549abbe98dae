"""The security level of a parameter set: one row for each thing that an attacker may know.

``docs/security-level.md`` holds the rows and says what is proven of them (little) and what is an estimate (the rest).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi, sqrt

from quatrefoil import _core
from quatrefoil.aggregation.ckks import parameters as ckks
from quatrefoil.aggregation.parameters import NAMED
from quatrefoil.aggregation.security.known_sums import KnownSum, known_sum
from quatrefoil.aggregation.security.lattice import SIEVES, Dual, Lwe, Primal, dense_sublattice, dual, primal

HONEST = (2, 3, 5, 10)
"""Honest silos in a sum that is known. With one there is nothing to estimate: the sum is its key."""

SMOOTHING = 2.0**-128
"""How close to Gaussian the theorem on hints is asked to be."""


@dataclass(frozen=True)
class Row:
    """What lattice reduction costs an attacker who knows ``known``: the variance that is left of each coefficient of
    the secret and of the error, the primal attack, and the dual attack with the same sieves."""

    known: str
    variance: float
    primal: Primal
    dual: dict[str, Dual]


@dataclass(frozen=True)
class Level:
    """The estimate for the sets that share a ring and a noise, by name.

    ``rotations``: block size of the attack on the dense sublattice of all rotations of one secret. ``known_sums``: what
    a sum of keys leaves to guess. ``smoothing_deviation``: what the theorem on hints asks of the deviation that is
    left; ``theorem_from``: the least number of honest silos for which Gaussians of this deviation would have it.
    """

    parameter_sets: tuple[str, ...]
    n: int
    q: int
    eta: int
    rows: tuple[Row, ...]
    rotations: int
    known_sums: tuple[KnownSum, ...]
    smoothing_deviation: float
    theorem_from: int


@dataclass(frozen=True)
class Published:
    """Largest log2 q at N = 4096 that a table allows for 128, 192 and 256 bits."""

    table: str
    secret: str
    against: str
    largest: tuple[int, int, int]


TABLES = (
    Published("Standard 2018", "error", "classical", (111, 77, 60)),
    Published("Standard 2018", "error", "quantum", (103, 72, 56)),
    Published("Standard 2018", "ternary", "classical", (109, 75, 58)),
    Published("Standard 2018", "ternary", "quantum", (101, 70, 54)),
    Published("Guidelines 2024", "Gaussian", "classical", (108, 75, 58)),
    Published("Guidelines 2024", "Gaussian", "quantum", (103, 72, 56)),
    Published("Guidelines 2024", "ternary", "classical", (106, 73, 56)),
    Published("Guidelines 2024", "ternary", "quantum", (101, 69, 53)),
)
"""Homomorphic Encryption Security Standard (HomomorphicEncryption.org, November 2018), tables 1 and 2; Security
Guidelines for Implementing Homomorphic Encryption (Bossuat and others, IACR Communications in Cryptology 1(4), 2024;
eprint 2024/463), table 5.2 classical, and quantum as in the output that its authors keep beside their script
(gong-cr/FHE-Security-Guidelines). Both for errors of deviation 3.19."""


def levels() -> tuple[Level, ...]:
    """The estimates of all named sets, those of CKKS last. Sets with the same ring and noise have one in common."""
    alike: dict[tuple[int, int, int], list[str]] = {}
    for one in NAMED.values():
        alike.setdefault((one.ring_degree, _core.MODULUS, one.eta), []).append(one.name)
    for other in ckks.NAMED.values():
        alike.setdefault((other.ring_degree, other.modulus, ckks.ETA), []).append(other.name)
    return tuple(_level(n, q, eta, tuple(sorted(names))) for (n, q, eta), names in alike.items())


def _level(n: int, q: int, eta: int, names: tuple[str, ...]) -> Level:
    variance = eta / 2
    sums = tuple(known_sum(eta, honest) for honest in HONEST)
    rows = [_row("one block of one silo", variance, n, q, samples=n)]
    rows.append(_row("all blocks of one silo", variance, n, q))
    rows += [_row(f"and the sums of {one.honest} honest", one.geometric_variance, n, q) for one in sums]
    rows.append(_row("the theorem's, 2 honest", theorem_variance(variance, 2), n, q))
    # One block: its secret and its error are what has to be smooth.
    needed = smoothing_deviation(2 * n)
    return Level(
        parameter_sets=names,
        n=n,
        q=q,
        eta=eta,
        rows=tuple(rows),
        rotations=dense_sublattice(Lwe(n, q, sqrt(variance)), rank=n),
        known_sums=(known_sum(eta, 1), *sums),
        smoothing_deviation=needed,
        theorem_from=next(h for h in range(2, 1 << 20) if theorem_variance(variance, h) >= needed**2),
    )


def theorem_variance(variance: float, honest: int) -> float:
    """What the reduction to Hint-RLWE leaves of a Gaussian's variance (Kim, Lee, Seo and Song, CRYPTO 2023, theorem 1):
    1 / s^2 = 2 (1 / s_1^2 + 1 / s_2^2), s_1 the deviation of one secret and s_2 that of the sum of the others. It is
    half of what is left of a Gaussian whose sum with the others is known."""
    return 1 / (2 * (1 / variance + 1 / ((honest - 1) * variance)))


def smoothing_deviation(dimension: int) -> float:
    """The deviation that the theorem asks for: sqrt(2) times the smoothing parameter of Z^dimension, by the bound of
    Micciancio and Regev (SIAM J. Computing 37(1), 2007, lemma 3.3)."""
    return sqrt(log(2 * dimension * (1 + 1 / SMOOTHING))) / pi


def _row(known: str, variance: float, n: int, q: int, samples: int | None = None) -> Row:
    lwe = Lwe(n, q, sqrt(variance), samples)
    return Row(known, variance, primal(lwe), {sieve: dual(lwe, sieve) for sieve in SIEVES})
