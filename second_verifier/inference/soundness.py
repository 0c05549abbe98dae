"""The terms of the soundness error, one by one (docs/inference-proofs.md, Soundness)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from bounded_update.field import P
from bounded_update.shape import ceil_log2, log2

from .codes import Code
from .joint import Joint
from .shape import Shape


def linear_claims(shape: Shape) -> int:
    """How many powers of gamma they take over L rows, those of claims that are not there too."""
    program = shape.program
    others = shape.argmax_draws > 0, shape.hidden, program.argmax is not None, program.last_is_rounded
    return 2 * len(shape.layers) + len(shape.linear_cells) + sum(others)


def terms(shape: Shape) -> dict[str, Fraction]:
    """What can go wrong in each round, by the name of what is drawn; probabilities."""
    field = Fraction(P * P)
    code, row, weights = shape.code, shape.row_code, shape.weights
    code_W, joint = weights.code, Joint.of(shape)
    L, layers = shape.L, len(shape.layers)
    lookups = sum(shape.columns[kind] for kind in ("q", "r", "i"))
    columns, columns_W = ceil_log2(max(shape.m, 1)), max(1, ceil_log2(weights.n_W))
    sums = shape.beta + sum(ceil_log2(layer.outputs) for layer in shape.layers)
    sums += sum(ceil_log2(shape.forms.cells[t].features) for t in shape.linear_cells)
    sums += ceil_log2(max(shape.argmax_draws, 1))
    sums += ceil_log2(shape.hash.rows) if shape.hash else 0
    sums += ceil_log2(shape.program.outputs) if shape.program.last_is_rounded else 0
    return {
        "alpha, beta": 2 * (lookups * L + len(shape.entries)) / (field - L * (shape.c + shape.m_q)),
        "r_b, r_o, r_t, r_out, r_h": sums / field,
        "s": sum(sum(layer.degrees) for layer in shape.layers) / field,
        "tau": shape.ell / field,
        "gamma": (shape.m_q + linear_claims(shape)) / field,
        "gamma_W": 2 * layers / field,
        "z": sum(shape.degrees) / field,
        "w": sum(weights.degrees) / field,
        "kappa": (columns + 1 + columns_W + 1 + layers) / field,
        "kappa, z_hi": (columns + log2(shape.R)) * code.n / field,
        "kappa, w_hi": (ceil_log2(weights.n_W) + log2(weights.R)) * code_W.n / field,
        "epsilon": (2 * code.n + code_W.n + 2) / field,
        "positions": 3 * missed(code),
        "places": 2 * missed(code_W),
        "chi": (code.Q + 1 + code_W.Q) / field,
        "r": 2 * joint.variables / field,
        "r_hi": (joint.variables - log2(row.C)) * row.n / field,
        "positions2": 2 * missed(row),
    }


def missed(code: Code) -> Fraction:
    """((1 + K / n) / 2)^Q."""
    return Fraction(code.n + code.K, 2 * code.n) ** code.Q


def soundness_bits(shape: Shape) -> float:
    """-log2 of the sum of all terms."""
    return bits_of(terms(shape))


def bits_of(errors: Mapping[str, Fraction]) -> float:
    error = sum(errors.values(), Fraction(0))
    return math.log2(error.denominator) - math.log2(error.numerator)
