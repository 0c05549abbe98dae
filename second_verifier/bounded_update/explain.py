"""The inverse of the prover: the randomness with which a prover of a given witness sends a given view.

It exists for every accepted view and every valid witness (docs/proofs.md, the theorem): so real views of all witnesses,
and simulated ones, are equally distributed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .columns import Columns, Witness, as_elements, base_columns, inverse_columns
from .commitment import Randomness, column_rows, parts
from .constraint import Constraint
from .field import HALF, ONE, ZERO, Ext, P, evaluate, total
from .opening import Weights, Words, code_points
from .polynomials import interpolate, interpolating
from .prover import combine
from .shares import Dealt, key_blocks, values_of
from .simulator import Coins, OpenShare, View
from .statement import Blocks, Statement
from .sumcheck import SumCheck, mask_value
from .threshold import Threshold, interpolation
from .verifier import draw_challenges, follow_rounds


@dataclass(frozen=True)
class Explained:
    """The pad and the rest of a prover's randomness. Where fewer than Q positions were opened, it is one of many."""

    pad: Ext
    randomness: Randomness
    dealt: Dealt | None = None  # in place of the pad, where the key is in shares


def explain(
    statement: Statement,
    blocks: Blocks,
    coins: bytes,
    view: View,
    witness: Witness,
    free: Randomness,
    corrupted: Mapping[int, OpenShare] | None = None,
) -> Explained:
    """The randomness with which a prover of `witness` sends `view`; salts, and what is free, are those of `free`. Where
    the key is in shares, those of the corrupted members are as given, and what else is free is as `witness` has it
    dealt."""
    shape, challenger, head = statement.shape, Coins(coins), view.proof.head
    challenges = draw_challenges(shape, head, challenger)
    key = [ONE.scale(x % P) for x in witness.key]
    if shape.threshold is None:
        pad, dealt = head.v - evaluate(key, challenges.zeta), None
    else:
        pad, dealt = ZERO, _dealt(shape.threshold, witness, challenges.zeta, head.key_values, corrupted or {})
    padded = Witness(witness.key, pad, witness.errors, witness.values, dealt)
    columns = base_columns(shape, padded, witness.slacks(statement))
    inverses = inverse_columns(shape, columns, challenges.alpha)
    constraint = Constraint(statement, blocks, challenges)
    claim = constraint.claim(*head.key_values)
    z, _ = follow_rounds(claim, head, challenger)
    rho = _column_masks(columns + inverses, head.y, z)
    mask = _round_masks(constraint, columns + inverses, rho, head.rounds, z, claim) + rho

    weights = Weights.draw(shape, challenger, z)
    epsilon = challenger.draw("epsilon").element()
    positions = challenger.draw("positions").positions(shape.code.n, shape.code.Q)
    points = code_points(shape.code.n, positions)
    words = [Words.split(*both) for both in zip(view.proof.opening1.words, view.proof.opening2.words, strict=True)]
    data = column_rows(shape, columns + inverses, [[] for _ in range(shape.m * shape.R)])
    appended = [
        _appended(row, [at.rows[i] for at in words], points, instead)
        for i, (row, instead) in enumerate(zip(data, free.appended1 + free.appended2, strict=True))
    ]
    targets = parts([at.mask for at in words])
    both = [
        _appended(row, wanted, points, instead)
        for row, wanted, instead in zip(parts(mask), targets, parts(free.mask_appended), strict=True)
    ]
    mask_appended = [Ext(a, b) for a, b in zip(*both, strict=True)]
    u = view.row + head.u_end
    rows = [row + more for row, more in zip(data, appended, strict=True)]
    mu = combine(u, -epsilon, weights.rows, rows)
    nu = [sent - epsilon * x for sent, x in zip(head.u_m, mask + mask_appended, strict=True)]
    split = shape.c * shape.R
    return Explained(
        pad,
        Randomness(appended[:split], mask, mask_appended, nu, mu, appended[split:], free.salts1, free.salts2),
        dealt,
    )


def _dealt(
    threshold: Threshold,
    witness: Witness,
    zeta: Sequence[Ext],
    values: Sequence[Ext],
    corrupted: Mapping[int, OpenShare],
) -> Dealt:
    """Polynomials that hold the key of the witness and are what the corrupted members have; and the mask that makes V
    of them."""
    assert witness.dealt is not None
    blocks = key_blocks(witness.key, threshold.packing)
    known = dict(zip(threshold.base_points, blocks, strict=False)) | {k: list(at) for k, (at, _) in corrupted.items()}
    for point, dealt in zip(threshold.base_points, witness.dealt.values, strict=True):
        if len(known) < threshold.recovery and point not in known:
            known[point] = dealt
    points, rows = list(known), list(known.values())
    found = []
    for at in threshold.base_points:
        weights = interpolation(points, at)
        found.append([sum(w * x for w, x in zip(weights, row, strict=True)) % P for row in zip(*rows, strict=True)])
    unmasked = values_of(Dealt(threshold, found, [ZERO] * threshold.recovery, []), zeta)
    mask = [value - without for value, without in zip(values, unmasked, strict=True)]
    return Dealt(threshold, found, mask, witness.dealt.salts)


def _column_masks(columns: Columns, y: Sequence[Ext], z: Sequence[Ext]) -> list[Ext]:
    """rho_V, from V'(z) = V(z) + rho_V x (1 - x)."""
    bump = (z[-1] * (ONE - z[-1])).inverse()
    return [(value - evaluate(as_elements(column), z)) * bump for column, value in zip(columns, y, strict=True)]


def _round_masks(
    constraint: Constraint,
    columns: Columns,
    rho: list[Ext],
    rounds: Sequence[Sequence[Ext]],
    z: Sequence[Ext],
    claim: Ext,
) -> list[Ext]:
    """a_(i,1) .. a_(i,d_i) of every round: what is sent less the round of F is a combination of x^d - 1/2."""
    shape = constraint.shape
    sums = SumCheck(constraint, columns, [ZERO] * sum(shape.degrees) + rho)
    result: list[Ext] = []
    so_far = ZERO
    for i, (sent, degree) in enumerate(zip(rounds, shape.degrees, strict=True)):
        values = [sent[0], claim - sent[0], *sent[1:]]
        scale = pow(1 << shape.ell - 1 - i, -1, P)
        rest = [(p - f).scale(scale) - so_far for p, f in zip(values, sums.plain_round(i), strict=True)]
        points = range(degree + 1)
        found = [Ext(*both) for both in zip(*(interpolating(points, part) for part in parts(rest)), strict=True)]
        if found[0] != -total(found[1:]).scale(HALF):
            raise ValueError("the round does not fit the claim")
        result += found[1:]
        so_far = so_far + mask_value(found[1:], z[i])
        claim = interpolate(values, z[i])
        sums.bind(i, z[i])
    return result


def _appended(row: Sequence[int], targets: Sequence[int], points: Sequence[int], free: Sequence[int]) -> list[int]:
    """What appended to the row gives the targets at the points; `free` says which, where there are many."""
    wanted = []
    for x, target in zip(points, targets, strict=True):
        power = pow(x, len(row), P)
        value = _value([*row, *free], x)
        wanted.append((target - value) * pow(power, -1, P) % P)
    correction = interpolating(points, wanted)
    correction += [0] * (len(free) - len(correction))
    return [(a + b) % P for a, b in zip(free, correction, strict=True)]


def _value(coefficients: Sequence[int], x: int) -> int:
    result = 0
    for c in reversed(coefficients):
        result = (result * x + c) % P
    return result
