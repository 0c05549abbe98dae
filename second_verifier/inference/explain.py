"""The inverse of the prover: the randomness with which a prover of a given witness sends a given view.

It exists for every accepted view and every valid witness (docs/inference-proofs.md, the theorem): so real views of all
witnesses, and simulated ones, are equally distributed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bounded_update.columns import as_elements
from bounded_update.commitment import Rows, parts
from bounded_update.explain import _appended
from bounded_update.field import HALF, ONE, ZERO, Ext, evaluate, inner, total
from bounded_update.field import P as _P
from bounded_update.opening import code_points
from bounded_update.polynomials import interpolate, interpolating
from bounded_update.prover import combine
from bounded_update.simulator import Coins
from bounded_update.sumcheck import mask_value

from .claims import Challenges, Samples, bump, sum_of_outputs
from .commitment import Randomness, WeightsRandomness, runs
from .constraint import Constraint
from .model import weights_columns
from .opened import RowWeights
from .opening import Kappa, mask_constants
from .proof_bytes import LayerSent
from .prover import Prover, linear_claims, weights_claims
from .shape import LayerShape
from .simulator import View, draw_places
from .sumcheck import SumCheck
from .verifier import verify_sums


@dataclass(frozen=True)
class Explained:
    """What one proof draws, and what the commitment appended. Where fewer positions were opened than elements are
    appended, it is one of many."""

    randomness: Randomness
    weights: WeightsRandomness


def explain(view: View, coins: bytes, prover: Prover, free: WeightsRandomness) -> Explained:
    """The randomness with which `prover`, with its witness and its weights, sends `view`; salts, and what is free, are
    those of the prover's randomness and of `free`."""
    shape, statement, head = prover.shape, view.statement, view.proof.head
    drawn, openings = prover.randomness, view.proof.openings
    prover.witness()
    challenger = Coins(coins)
    ch, _, z, w = verify_sums(statement, head, challenger)
    inverses = prover.inverses(ch.alpha, ch.beta)
    columns, columns_W = prover.columns + inverses, weights_columns(shape.weights, prover.weights)
    samples = Samples(statement, ch.r_b)
    mask = [ZERO] * shape.M

    def put(name: str, index: int, values: Sequence[Ext]) -> None:
        mask[shape.places[name, index]] = values

    for layer, sent in zip(shape.layers, head.layers, strict=True):
        _layer_masks(prover, layer, sent, samples, ch, put)
    put("rho", 0, _column_masks(columns, head.y, z))
    put("rho_w", 0, _column_masks(columns_W, head.y_W, w))
    constants = mask_constants(shape, ch, lambda name, i: mask[shape.places[name, i]][0])
    claims = linear_claims(shape, samples, ch, head.layers)
    constraint = Constraint(shape, samples, ch, claims)
    vectors = constraint.vectors()
    keys = list(vectors)
    sums = SumCheck(
        [as_elements(column) for column in columns],
        mask[shape.places["rho", 0]],
        list(vectors.values()),
        lambda committed, public: constraint.evaluate(committed, dict(zip(keys, public, strict=True))),
        shape.degrees,
        [ZERO] * sum(shape.degrees),
        ZERO,
    )
    put("g", 0, _round_masks(sums, shape.degrees, head.rounds, z, claims.sum, constants[0]))
    claims_W = weights_claims(shape, samples, ch, head.layers)
    degrees = shape.weights.degrees
    sums = SumCheck(
        [as_elements(column) for column in columns_W],
        mask[shape.places["rho_w", 0]],
        claims_W.columns,
        inner,
        degrees,
        [ZERO] * sum(degrees),
        ZERO,
    )
    put("g_W", 0, _round_masks(sums, degrees, head.rounds_W, w, claims_W.sum, constants[1]))
    for layer in shape.layers:  # what is there and not used stays as it was drawn
        for name in ["rho_A"] * (not layer.stated) + ["rho_X"] * layer.public:
            put(name, layer.place, drawn.of_mask(shape, name, layer.place))

    kappa = Kappa.draw(shape, challenger)
    rows = RowWeights.of(kappa.columns, z, shape.code)
    rows_W = RowWeights.of(kappa.weights, w, shape.weights.code)
    epsilon = challenger.draw("epsilon").element()
    positions, places = draw_places(shape, challenger)
    points, points_W = code_points(shape.code.n, positions), code_points(shape.weights.code.n, places)
    words = [first[:-6] + second for first, second in zip(openings.first.words, openings.second.words, strict=True)]
    appended = _appended_rows(columns, shape.code.C, words, points, drawn.appended1 + drawn.appended2)
    appended_W = _appended_rows(columns_W, shape.weights.code.C, openings.weights.words, points_W, free.appended)
    targets = parts([Ext(*first[-6:-4]) for first in openings.first.words])
    both = [
        _appended(row, wanted, points, instead)
        for row, wanted, instead in zip(parts(mask), targets, parts(drawn.mask_appended), strict=True)
    ]
    mask_appended = [Ext(a, b) for a, b in zip(*both, strict=True)]
    split = shape.c * shape.R
    return Explained(
        Randomness(
            appended1=appended[:split],
            mask=mask,
            mask_appended=mask_appended,
            nu=[sent - epsilon * x for sent, x in zip(head.u_m, mask + mask_appended, strict=True)],
            mu=combine(view.row + head.u_end, -epsilon, rows.rows, runs(columns, shape.code.C, appended)),
            appended2=appended[split:],
            mu_W=combine(
                view.row_W + head.u_W_end, -epsilon, rows_W.rows, runs(columns_W, shape.weights.code.C, appended_W)
            ),
            salts1=drawn.salts1,
            salts2=drawn.salts2,
            salts_M=drawn.salts_M,
        ),
        WeightsRandomness(appended_W, free.salts),
    )


def _layer_masks(
    prover: Prover,
    layer: LayerShape,
    sent: LayerSent,
    samples: Samples,
    ch: Challenges,
    put: Callable[[str, int, Sequence[Ext]], None],
) -> None:
    """rho_A, rho_B, rho_X, rho_M from what is sent, then the coefficients of g_i."""
    i, s = layer.place, ch.s[layer.place]
    x, m, bias = prover.layer_vectors(layer, samples, ch.r_o[i])
    rho_A = ZERO if sent.v_A is None else sent.v_A - inner(x, m) - bias
    rho_B = sent.v_B - bias
    inverse = bump(s).inverse()
    rho_X = ZERO if sent.x is None else (sent.x - evaluate(x, s)) * inverse
    rho_M = (sent.m - evaluate(m, s)) * inverse
    sums = SumCheck(
        [x, m],
        [rho_X, rho_M],
        [],
        lambda committed, _: committed[0] * committed[1],
        layer.degrees,
        [ZERO] * sum(layer.degrees),
        ZERO,
    )
    start = (sum_of_outputs(layer, samples, ch.r_o[i]) if sent.v_A is None else sent.v_A) - sent.v_B
    constant = (rho_A - rho_B).scale(pow(1 << layer.variables, -1, _P))
    put("g_i", i, _round_masks(sums, layer.degrees, sent.rounds, s, start, constant))
    for name, rho in (("rho_A", rho_A), ("rho_B", rho_B), ("rho_X", rho_X), ("rho_M", rho_M)):
        put(name, i, [rho])


def _column_masks(columns: Rows, y: Sequence[Ext], z: Sequence[Ext]) -> list[Ext]:
    """rho_V, from V'(z) = V(z) + rho_V x (1 - x)."""
    inverse = (z[-1] * (ONE - z[-1])).inverse()
    return [(value - evaluate(as_elements(column), z)) * inverse for column, value in zip(columns, y, strict=True)]


def _round_masks(
    sums: SumCheck,
    degrees: Sequence[int],
    rounds: Sequence[Sequence[Ext]],
    point: Sequence[Ext],
    start: Ext,
    constant: Ext,
) -> list[Ext]:
    """The coefficients of g: what is sent less the round without masks is a combination of x^d - 1/2."""
    result: list[Ext] = []
    so_far = constant
    for i, (sent, degree) in enumerate(zip(rounds, degrees, strict=True)):
        values = [sent[0], start - sent[0], *sent[1:]]
        scale = pow(1 << len(degrees) - 1 - i, -1, _P)
        rest = [(p - f).scale(scale) - so_far for p, f in zip(values, sums.plain_round(i), strict=True)]
        found = [
            Ext(*both) for both in zip(*(interpolating(range(degree + 1), part) for part in parts(rest)), strict=True)
        ]
        if found[0] != -total(found[1:]).scale(HALF):
            raise ValueError("the round does not fit the claim")
        result += found[1:]
        so_far = so_far + mask_value(found[1:], point[i])
        start = interpolate(values, point[i])
        sums.bind(i, point[i])
    return result


def _appended_rows(columns: Rows, run: int, words: Sequence[Sequence[int]], points: Sequence[int], free: Rows) -> Rows:
    data = runs(columns, run, [[] for _ in free])
    return [
        _appended(row, [at[i] for at in words], points, instead)
        for i, (row, instead) in enumerate(zip(data, free, strict=True))
    ]
