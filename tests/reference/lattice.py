"""The estimate behind the security figures: how large a block must lattice reduction work on to find the secrets?

The primal attack as unique-SVP, with the condition of Alkim, Ducas, Pöppelmann and Schwabe (USENIX Security 2016,
section 6.3) and Chen's formula for the root Hermite factor. Secrets and errors have the same deviation here. The number
of samples is free: an update of many blocks gives an attacker as many as he likes.

Core-SVP counts one call of a sieve in dimension beta and nothing else: 2^(0.292 beta) classical (Becker, Ducas, Gama,
Laarhoven, SODA 2016), 2^(0.257 beta) quantum (Chailloux and Loyer, ASIACRYPT 2021). Other attacks are not estimated.
"""

from __future__ import annotations

from math import e, log, pi

CLASSICAL, QUANTUM = 0.292, 0.257


def log_root_hermite_factor(beta: int) -> float:
    return (log(pi * beta) / beta + log(beta / (2 * pi * e))) / (2 * (beta - 1))


def succeeds(beta: int, *, n: int, q: int, deviation: float, samples: int) -> bool:
    """Whether BKZ-beta finds the secret among ``samples`` equations: sqrt(beta) deviation <=
    delta^(2 beta - d - 1) q^(samples / d), d = samples + n + 1."""
    d = samples + n + 1
    shortest = log(beta) / 2 + log(deviation)
    return shortest <= (2 * beta - d - 1) * log_root_hermite_factor(beta) + samples * log(q) / d


def block_size(*, n: int, q: int, deviation: float) -> int:
    """The smallest beta that succeeds for some number of samples."""
    every_eighth = range(n // 2, 2 * n, 8)
    low, high = 100, 4000
    while low < high:
        beta = (low + high) // 2
        if any(succeeds(beta, n=n, q=q, deviation=deviation, samples=m) for m in every_eighth):
            high = beta
        else:
            low = beta + 1
    return low
