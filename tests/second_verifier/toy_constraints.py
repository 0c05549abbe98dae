"""The polynomial F of a toy, under made-up challenges."""

from __future__ import annotations

import random

from toy_proofs import Silo

from bounded_update.constraint import Challenges, Constraint
from bounded_update.field import Ext, P
from bounded_update.polynomials import interpolating
from bounded_update.shape import ceil_log2
from bounded_update.sumcheck import SumCheck


def elements(draw: random.Random, count: int) -> list[Ext]:
    return [Ext(draw.randrange(P), draw.randrange(P)) for _ in range(count)]


def constraint_of(silo: Silo, seed: int = 7) -> Constraint:
    draw, shape = random.Random(seed), silo.shape
    challenges = Challenges(
        zeta=elements(draw, 4),
        alpha=elements(draw, 1)[0],
        tau=elements(draw, shape.ell),
        theta=elements(draw, ceil_log2(shape.G)),
        gamma=elements(draw, 1)[0],
    )
    return Constraint(silo.statement(), silo.blocks(), challenges)


def beyond(sums: SumCheck, i: int, degree: int) -> list[Ext]:
    """The round of F at two points more than its degree needs."""
    degrees = sums._constraint.shape.degrees
    kept = degrees[i]
    degrees[i] = degree + 2
    try:
        return sums.plain_round(i)
    finally:
        degrees[i] = kept


def degree_of(values: list[Ext]) -> int:
    points = range(len(values))
    both = [interpolating(points, part) for part in ([x.a for x in values], [x.b for x in values])]
    return max(i for part in both for i, c in enumerate(part) if c)
