"""The terms of the soundness error, one by one (docs/proofs.md, Soundness)."""

from __future__ import annotations

import math
from fractions import Fraction

from .field import P
from .shape import CLAIM_POWERS, Code, Shape, ceil_log2, log2


def terms(shape: Shape, claims: int = 0) -> dict[str, Fraction]:
    """With that many further claims: what can go wrong in each round, by the name of what is drawn; probabilities."""
    field = Fraction(P * P)
    code, row, p = shape.code, shape.row_code, shape.parameters
    lookups = shape.lookups * shape.L + (1 << shape.b) + 2 * p.eta + 1
    columns = ceil_log2(shape.m)
    return {
        "zeta": _zeta(shape) / field,
        "alpha": lookups / (field - 2 * P),
        "tau, theta": (shape.ell + ceil_log2(shape.G)) / field,
        "gamma": (shape.m_q + 65 + p.k + CLAIM_POWERS * claims + _shares(shape)) / field,
        "z": sum(shape.degrees) / field,
        "kappa": (columns + 1) / field,
        "z_hi, kappa": (columns + log2(shape.R)) * code.n / field,
        "epsilon": (2 * code.n + 1) / field,
        "positions": 3 * missed(code),
        "chi": code.Q / field,
        "r": 2 * log2(code.C) / field,
        "r_hi": log2(code.C // row.C) * row.n / field,
        "positions2": 2 * missed(row),
    }


def _zeta(shape: Shape) -> int:
    """v is right for another key, or V for a share that does not fit."""
    threshold = shape.threshold
    return threshold.members * log2(shape.share_length) if threshold else log2(shape.parameters.N)


def _shares(shape: Shape) -> int:
    return shape.key_values if shape.threshold else 0


def missed(code: Code) -> Fraction:
    """((1 + K / n) / 2)^Q."""
    return Fraction(code.n + code.K, 2 * code.n) ** code.Q


def soundness_bits(shape: Shape, claims: int = 0) -> float:
    """-log2 of the sum of all terms."""
    error = sum(terms(shape, claims).values())
    return math.log2(error.denominator) - math.log2(error.numerator)
