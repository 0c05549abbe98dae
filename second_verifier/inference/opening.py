"""Formulas of the two openings that prover, verifier and simulator share (docs/inference-proofs.md, The opening)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bounded_update.field import HALF, ONE, ZERO, Ext, P, eq_vector, inner
from bounded_update.shape import ceil_log2
from bounded_update.transcript import Challenger

from .claims import Challenges, bump, power_of_a, power_of_x
from .opened import RowWeights, Side
from .proof_bytes import Head, Openings
from .shape import MASK_WORDS, Shape


def powers_less_half(point: Sequence[Ext], degrees: Sequence[int]) -> list[Ext]:
    """x_i^d - 1/2 for each coefficient of a g."""
    result = []
    for coordinate, degree in zip(point, degrees, strict=True):
        power = ONE
        for _ in range(degree):
            power = power * coordinate
            result.append(power - Ext(HALF))
    return result


@dataclass(frozen=True)
class Kappa:
    columns: list[Ext]
    g: Ext
    weights: list[Ext]
    g_W: Ext
    layers: list[Ext]

    @staticmethod
    def draw(shape: Shape, challenger: Challenger) -> Kappa:
        drawn = challenger.draw("kappa")
        columns = eq_vector(drawn.elements(ceil_log2(max(shape.m, 1))))[: shape.m]
        g = drawn.element()
        weights = eq_vector(drawn.elements(max(1, ceil_log2(shape.weights.n_W))))[: shape.weights.n_W]
        g_W = drawn.element()
        return Kappa(columns, g, weights, g_W, drawn.elements(len(shape.layers)))


MaskWeights = list[Ext]


def mask_weights(
    shape: Shape, ch: Challenges, kappa: Kappa, z: Sequence[Ext], w: Sequence[Ext]
) -> tuple[MaskWeights, MaskWeights]:
    """w_m and w_mW."""
    w_m, w_mW = [ZERO] * shape.M, [ZERO] * shape.M
    gamma: Callable[[int], Ext] = lambda i: power(ch.gamma, i)  # noqa: E731
    gamma_W: Callable[[int], Ext] = lambda i: power(ch.gamma_W, i)  # noqa: E731

    def put(into: MaskWeights, name: str, index: int, values: Sequence[Ext]) -> None:
        into[shape.places[name, index]] = values

    put(w_m, "g", 0, [kappa.g * x for x in powers_less_half(z, shape.degrees)])
    put(w_m, "rho", 0, [weight * bump(z) for weight in kappa.columns])
    put(w_mW, "g_W", 0, [kappa.g_W * x for x in powers_less_half(w, shape.weights.degrees)])
    put(w_mW, "rho_w", 0, [weight * bump(w) for weight in kappa.weights])
    for layer, s, k in zip(shape.layers, ch.s, kappa.layers, strict=True):
        i = layer.place
        by_N, by_L, by_WL = (divided(x, 1 << bits) for x, bits in (
            (k, layer.variables), (kappa.g, shape.ell), (kappa.g_W, shape.weights.omega)))  # fmt: skip
        put(w_m, "g_i", i, [k * x for x in powers_less_half(s, layer.degrees)])
        if layer.stated:
            put(w_m, "rho_A", i, [by_N + by_L * gamma(power_of_a(shape, i))])
        put(w_m, "rho_B", i, [-by_N])
        if not layer.public:
            put(w_m, "rho_X", i, [by_L * gamma(power_of_x(shape, i)) * bump(s)])
        put(w_mW, "rho_M", i, [by_WL * gamma_W(2 * i) * bump(s)])
        put(w_mW, "rho_B", i, [by_WL * gamma_W(2 * i + 1)])
    return w_m, w_mW


def power(x: Ext, exponent: int) -> Ext:
    result = ONE
    for _ in range(exponent):
        result = result * x
    return result


def divided(x: Ext, k: int) -> Ext:
    return x.scale(pow(k, -1, P))


def mask_constants(shape: Shape, ch: Challenges, rho: Callable[[str, int], Ext]) -> tuple[Ext, Ext]:
    """What G has beside g, and G_W beside g_W, at every point. `rho` gives the mask of a layer by its name."""
    over_L, over_WL = ZERO, ZERO
    for layer, s in zip(shape.layers, ch.s, strict=True):
        i = layer.place
        if layer.stated:
            over_L = over_L + power(ch.gamma, power_of_a(shape, i)) * rho("rho_A", i)
        if not layer.public:
            over_L = over_L + power(ch.gamma, power_of_x(shape, i)) * bump(s) * rho("rho_X", i)
        over_WL = over_WL + power(ch.gamma_W, 2 * i) * bump(s) * rho("rho_M", i)
        over_WL = over_WL + power(ch.gamma_W, 2 * i + 1) * rho("rho_B", i)
    return divided(over_L, shape.L), divided(over_WL, shape.weights.WL)


@dataclass(frozen=True)
class Ends:
    """What the opening is about: the values at z and w, and what the masks must be there and at every s."""

    y: list[Ext]
    G: Ext
    y_W: list[Ext]
    G_W: Ext
    layers: list[Ext]


def claim(sigma: Ext, epsilon: Ext, kappa: Kappa, ends: Ends, w_m: MaskWeights, u_m: Sequence[Ext]) -> Ext:
    """What <eq(z_lo), u[0..C]> must be."""
    known = inner(kappa.columns, ends.y) + kappa.g * ends.G + inner(kappa.layers, ends.layers)
    return sigma + epsilon * known - inner(w_m, u_m[: len(w_m)])


def claim_W(sigma: Ext, epsilon: Ext, kappa: Kappa, ends: Ends, w_mW: MaskWeights, u_m: Sequence[Ext]) -> Ext:
    """What <eq(w_lo), u_W[0..C_W]> must be."""
    known = inner(kappa.weights, ends.y_W) + kappa.g_W * ends.G_W
    return sigma + epsilon * known - inner(w_mW, u_m[: len(w_mW)])


def both_sides(
    shape: Shape,
    head: Head,
    openings: Openings,
    at: tuple[list[int], list[int]],
    rows: tuple[RowWeights, RowWeights],
    claims: tuple[Ext, Ext],
) -> tuple[Side, Side]:
    """What is opened of the columns and of the weights: u, and u_W."""
    weights = shape.weights
    words = [
        (Ext(*first[-2:]), first[:-MASK_WORDS] + second)
        for first, second in zip(openings.first.words, openings.second.words, strict=True)
    ]
    words_W = [(Ext(*mask), opened) for mask, opened in zip(openings.mask.words, openings.weights.words, strict=True)]
    return (
        Side("u", shape.code, rows[0], claims[0], head.u_end, at[0], words),
        Side("u_W", weights.code, rows[1], claims[1], head.u_W_end, at[1], words_W),
    )
