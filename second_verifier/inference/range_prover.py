"""A prover of the range of weights that checks nothing, so that tests can lie with it."""

from __future__ import annotations

from collections import Counter

from bounded_update.columns import as_elements
from bounded_update.commitment import Commitment, cut, parts
from bounded_update.commitment import Rows as Columns
from bounded_update.field import ZERO, Ext, P, base, inner, total
from bounded_update.prover import combine
from bounded_update.transcript import Challenger, Transcript, serialize

from .commitment import Randomness, WeightsCommitment, runs
from .joint import Joint
from .opened import RowWeights, prove_rows
from .proof_bytes import Openings
from .prover import follow
from .range_bytes import Head, RangeProof
from .range_shape import RangeShape, statement_digest
from .sumcheck import SumCheck
from .weights_range import Constraint, Kappa, sides


def range_randomness(shape: RangeShape, seed: bytes) -> Randomness:
    return Randomness.of(shape, shape.A, seed)


def prove_range(committed: WeightsCommitment, drawn: Randomness) -> RangeProof:
    """Nothing is checked about the weights: a liar can use it as well."""
    shape = RangeShape(committed.shape)
    digest = statement_digest(shape, committed.root)
    return run_range(shape, committed, drawn, digest, Transcript(digest))


def run_range(
    shape: RangeShape, committed: WeightsCommitment, drawn: Randomness, digest: bytes, challenger: Challenger
) -> RangeProof:
    weights = committed.columns[: shape.n_1]
    uses = count_uses(shape, weights)
    rows = runs(uses, shape.code.C, drawn.appended1)
    rows += parts([*drawn.mask, *drawn.mask_appended]) + parts(drawn.nu) + parts(drawn.mu)
    first = Commitment(rows, shape.code.n, drawn.salts1)
    mask = Commitment(parts(drawn.mu_W), shape.weights.code.n, drawn.salts_M)
    challenger.absorb("roots", first.root + mask.root)
    alpha = challenger.draw("lookup").element()
    inverses = inverse_columns(shape, weights, uses, alpha)
    second = Commitment(runs(inverses, shape.code.C, drawn.appended2), shape.code.n, drawn.salts2)
    challenger.absorb("root2", second.root)
    tau = challenger.draw("point").elements(shape.ell)
    constraint = Constraint(shape, alpha, tau, challenger.draw("gamma").element())
    g = sum(shape.degrees)
    sums = SumCheck(
        [as_elements(column) for column in uses + inverses + weights],
        drawn.mask[g:],
        constraint.vectors(),
        constraint.evaluate,
        shape.degrees,
        drawn.mask[:g],
        ZERO,
    )
    rounds, z, left = follow(sums, ZERO, shape.degrees, ("round", "z"), challenger)
    y = sums.committed_values(z)
    challenger.absorb("values", serialize(y))
    g_z = left - constraint.evaluate(y, constraint.values(z))
    kappa = Kappa.draw(shape, challenger)
    w_m, w_mW = kappa.mask_weights(shape, z)
    C, C_W = shape.code.C, shape.weights.code.C
    low = RowWeights.of(kappa.columns, z, shape.code)
    low_W = RowWeights.of(kappa.weights, z, shape.weights.code)
    sigma = inner(low.low, drawn.mu[:C]) + inner(w_m, drawn.nu[: shape.M])
    sigma_W = inner(low_W.low, drawn.mu_W[:C_W]) + inner(w_mW, drawn.nu[: shape.M])
    challenger.absorb("sigma", serialize([sigma, sigma_W]))
    epsilon = challenger.draw("epsilon").element()
    u = combine(drawn.mu, epsilon, low.rows, first.rows[:-6] + second.rows)
    u_W = combine(drawn.mu_W, epsilon, low_W.rows, committed.commitment.rows)
    u_m = [n + epsilon * x for n, x in zip(drawn.nu, [*drawn.mask, *drawn.mask_appended], strict=True)]
    joint, pair = Joint.of(shape), (u[:C], u_W[:C_W])
    third = joint.commit(pair)
    head = Head(
        digest, first.root, mask.root, second.root, rounds, y[: shape.m], y[shape.m :], sigma, sigma_W, u_m,
        u[C:], u_W[C_W:], third.root,
    )  # fmt: skip
    challenger.absorb("opening", head.opening_bytes())
    positions = challenger.draw("positions").positions(shape.code.n, shape.code.Q)
    places = challenger.draw("places").positions(shape.weights.code.n, shape.weights.code.Q)
    trees = (first, second, mask, committed.commitment)
    openings = Openings(
        *(tree.open(at) for tree, at in zip(trees, (positions, positions, places, places), strict=True))
    )
    both = sides(shape, head, openings, (positions, places), kappa, z, g_z, epsilon)
    rows_ = prove_rows(joint, both, pair, third, epsilon, openings.to_bytes(), challenger)
    return RangeProof(head, openings, rows_)


def count_uses(shape: RangeShape, weights: Columns) -> Columns:
    uses = Counter(entry for column in weights for entry in column)
    vector = [uses[(x - shape.w_max) % P] for x in range(shape.entries)]
    return cut(vector + [0] * (shape.A * shape.L - shape.entries), shape.L)


def inverse_columns(shape: RangeShape, weights: Columns, uses: Columns, alpha: Ext) -> Columns:
    result = []
    for chunk in shape.chunks:
        terms: list[list[Ext]] = []
        for fraction in chunk:
            if fraction < shape.n_1:
                terms.append([(alpha - base(entry)).inverse() for entry in weights[fraction]])
            else:
                a = fraction - shape.n_1
                tab, sel = shape.tab(a)
                terms.append([-(s * (alpha - t).inverse()).scale(k) for t, s, k in zip(tab, sel, uses[a], strict=True)])
        sums = [total(row) for row in zip(*terms, strict=True)]
        result += [[x.a for x in sums], [x.b for x in sums]]
    return result
