"""What it costs to find short integers that a uniform matrix maps to zero modulo q: the short integer solution problem.

Two inputs with one field hash differ by such integers, of magnitude at most the width of their range. The estimate is
core-SVP as in ``lattice``, in two norms: what a collision must have, no entry over the bound; and, below it, a vector
whose Euclidean length a collision could have at most, which by itself is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, log, log2, sqrt

from quatrefoil import _core
from quatrefoil.aggregation.security.lattice import LARGEST_BLOCK, SIEVES, SMALLEST_BLOCK, log_root_hermite_factor


@dataclass(frozen=True)
class Sis:
    """``rows`` equations modulo ``q`` in ``columns`` integers of magnitude at most ``bound``."""

    rows: int
    q: int
    columns: int
    bound: int


@dataclass(frozen=True)
class Collision:
    """What a collision costs. ``block_size``: at which BKZ finds a vector of the length that some lattice's solution
    within the bound may have; ``dimension``: of that lattice. ``euclidean``: at which it finds one as short as any
    solution at all. ``lists``: log2 of the cost where lists of many sums take over a part of the reduction."""

    sis: Sis
    block_size: int
    dimension: int
    euclidean: int
    lists: int

    def bits(self, sieve: str) -> int:
        return floor(SIEVES[sieve] * self.block_size)

    def euclidean_bits(self, sieve: str) -> int:
        return floor(SIEVES[sieve] * self.euclidean)


def collision(sis: Sis) -> Collision:
    """The estimate of all three."""
    block = _smallest(lambda b: _shortest(sis, b) - log(_dimension(sis, b)) / 2 <= log(sis.bound))
    euclidean = _smallest(lambda b: _shortest(sis, b) <= log(sis.bound) + log(sis.columns) / 2)
    lists = min(max(SIEVES["classical"] * b, _list_bits(sis, b)) for b in range(SMALLEST_BLOCK, block + 1))
    return Collision(sis, block, _dimension(sis, block), euclidean, floor(lists))


def field_hash_sets() -> tuple[Sis, ...]:
    """The sets of the field hash, each with the widest range and the most inputs that it is for."""
    found = []
    for bits, rows in zip((8, 16), _core.FIELD_HASH_ROWS, strict=True):
        for size, count in zip((_core.FIELD_HASH_SMALL, _core.FIELD_HASH_LARGEST), rows, strict=True):
            blinds = -(-(64 * count + 256) // bits)
            found.append(Sis(count, _core.MODULUS, size + blinds, (1 << bits) - 1))
    return tuple(found)


def _dimension(sis: Sis, block: int) -> int:
    """The lattice in which the block finds the shortest vectors (Micciancio and Regev, Lattice-based cryptography, in
    Post-Quantum Cryptography, Springer 2009)."""
    best = sqrt(sis.rows * log(sis.q) / log_root_hermite_factor(block))
    return max(sis.rows + 1, min(sis.columns, round(best)))


def _shortest(sis: Sis, block: int) -> float:
    """log of the length of the first vector."""
    d = _dimension(sis, block)
    return d * log_root_hermite_factor(block) + sis.rows * log(sis.q) / d


def _list_bits(sis: Sis, block: int) -> float:
    """log2 of the cost of finding, by sums of lists (Wagner, CRYPTO 2002) over the columns outside the lattice, a
    target that the basis of this block reduces to entries within the bound: 2^k lists, each of 2^L sums, settle
    (k + 1) L bits.

    Ours, and generous to the attacker: sums of real numbers are taken for sums of bits, memory is free, and entries
    spread evenly over twice the bound.
    """
    d, delta = _dimension(sis, block), log_root_hermite_factor(block)
    # The basis vectors that are longer than twice the bound, each 2 delta shorter than the one before, in logarithms.
    most = _shortest(sis, block) - log(2 * sis.bound)
    longer = max(0, min(d, floor(most / (2 * delta)) + 1))
    excess = (longer * most - delta * longer * (longer - 1)) / log(2)
    free = max(0, sis.columns - d) * log2(sis.bound + 1)
    costs = [excess / (k + 1) + k for k in range(40) if excess / (k + 1) * 2**k <= free]
    return min(costs, default=excess)


def _smallest(succeeds: Callable[[int], bool]) -> int:
    low, high = SMALLEST_BLOCK, LARGEST_BLOCK
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if succeeds(middle) else (middle + 1, high)
    return low


__all__ = ["Collision", "Sis", "collision", "field_hash_sets"]
