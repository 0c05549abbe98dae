"""Formulas of the opening that prover, verifier and simulator share (docs/proofs.md, The opening)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .field import HALF, ONE, ZERO, Ext, P, base, eq, eq_vector, inner, product
from .polynomials import horner, root_of_unity
from .shape import Shape, ceil_log2, log2
from .transcript import Challenger


def mask_powers(shape: Shape, z: Sequence[Ext]) -> list[Ext]:
    """z_i^d - 1/2 for each a_(i,d)."""
    result = []
    for coordinate, degree in zip(z, shape.degrees, strict=True):
        power = ONE
        for _ in range(degree):
            power = power * coordinate
            result.append(power - Ext(HALF))
    return result


@dataclass(frozen=True)
class Weights:
    """What the columns, their rows and the mask row are multiplied with."""

    columns: list[Ext]  # kappa_V
    mask: Ext  # kappa_g
    rows: list[Ext]  # kappa_V eq(z_hi, r), column by column
    mask_row: list[Ext]  # w_m
    low: list[Ext]  # eq(z_lo, j)

    @staticmethod
    def draw(shape: Shape, challenger: Challenger, z: Sequence[Ext]) -> Weights:
        drawn = challenger.draw("kappa")
        columns = eq_vector(drawn.elements(ceil_log2(shape.m)))[: shape.m]
        mask = drawn.element()
        split = shape.ell - log2(shape.code.C)
        high = eq_vector(z[:split])
        bump = z[-1] * (ONE - z[-1])
        return Weights(
            columns=columns,
            mask=mask,
            rows=[weight * row for weight in columns for row in high],
            mask_row=[mask * power for power in mask_powers(shape, z)] + [weight * bump for weight in columns],
            low=eq_vector(z[split:]),
        )

    def claim(self, sigma: Ext, epsilon: Ext, y: Sequence[Ext], mask_value: Ext, u_m: Sequence[Ext]) -> Ext:
        """What <eq(z_lo), u[0..C]> must be; `mask_value` is g(z)."""
        known = inner(self.columns, y) + self.mask * mask_value
        return sigma + epsilon * known - inner(self.mask_row, u_m[: len(self.mask_row)])


@dataclass(frozen=True)
class Words:
    """The opened words of trees 1 and 2 at one position, by what they belong to."""

    rows: list[int]  # of all m columns
    mask: Ext
    nu: Ext
    mu: Ext

    @staticmethod
    def split(first: Sequence[int], second: Sequence[int]) -> Words:
        return Words([*first[:-6], *second], Ext(*first[-6:-4]), Ext(*first[-4:-2]), Ext(*first[-2:]))


def code_points(length: int, positions: Sequence[int]) -> list[int]:
    omega = root_of_unity(length)
    return [pow(omega, position, P) for position in positions]


def opened_value(shape: Shape, words: Words, weights: Weights, epsilon: Ext, u_end: Sequence[Ext], x: int) -> Ext:
    """U_i: what u[0..C] must be at x by the opened words."""
    combined = ZERO
    for weight, word in zip(weights.rows, words.rows, strict=True):
        combined = combined + weight.scale(word)
    return words.mu + epsilon * combined - horner(u_end, x).scale(pow(x, shape.code.C, P))


def omega_at(r: Sequence[Ext], z_low: Sequence[Ext], points: Sequence[int], chi: Ext) -> Ext:
    """Omega~(r) in closed form."""
    result, power = eq(z_low, r), ONE
    for x in points:
        power = power * chi
        steps = (ONE - c + c.scale(pow(x, 1 << len(r) - 1 - i, P)) for i, c in enumerate(r))
        result = result + power * product(steps)
    return result


def omega_vector(low: Sequence[Ext], points: Sequence[int], chi: Ext) -> list[Ext]:
    """Omega_j = eq(z_lo, j) + sum_i chi^(i+1) x_i^j, by its definition."""
    result, power = list(low), ONE
    for x in points:
        power = power * chi
        term = power
        for j in range(len(result)):
            result[j] = result[j] + term
            term = term.scale(x)
    return result


def start_of_second(claim: Ext, values: Sequence[Ext], chi: Ext) -> Ext:
    """claim + sum_i chi^(i+1) U_i."""
    power = ONE
    for value in values:
        power = power * chi
        claim = claim + power * value
    return claim


def fold_claim(claim: Ext, fold: tuple[Ext, Ext], r: Ext) -> Ext:
    """f(r) from f(0) and the coefficient of X^2, where f(0) + f(1) is the claim."""
    at_zero, square = fold
    at_one = claim - at_zero
    return at_zero + (at_one - at_zero - square) * r + square * r * r


def combined_words(words: Sequence[int], weights: Sequence[Ext]) -> Ext:
    """The combination of the runs' opened words: part of 1, then part of X, of each run."""
    result = ZERO
    for i, weight in enumerate(weights):
        result = result + weight * (base(words[2 * i]) + Ext(0, words[2 * i + 1]))
    return result
