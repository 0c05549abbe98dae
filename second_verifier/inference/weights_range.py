"""The committed weights are integers within the program's range (docs/inference-proofs.md, Range of the weights)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from bounded_update.errors import Rejected
from bounded_update.field import ONE, ZERO, Ext, P, X, eq, eq_vector, inner, powers
from bounded_update.opening import code_points
from bounded_update.shape import ceil_log2, log2
from bounded_update.transcript import Challenger, Transcript, serialize

from .claims import bump
from .joint import Joint
from .opened import RowWeights, Side, check_mask_row, check_root, verify_rows
from .opening import powers_less_half
from .proof_bytes import Openings
from .range_bytes import Head, RangeReader
from .range_shape import RangeShape, statement_digest
from .rounds import follow_rounds
from .shape import MASK_WORDS
from .soundness import bits_of, missed
from .weights_shape import WeightsShape


class Constraint:
    """F over WL rows: the fresh columns are committed first, then the weights columns."""

    def __init__(self, shape: RangeShape, alpha: Ext, tau: Sequence[Ext], gamma: Ext) -> None:
        self.shape, self._alpha, self._tau = shape, alpha, tau
        self._gamma = powers(gamma, shape.m_q + 1)

    def evaluate(self, committed: Sequence[Ext], public: Sequence[Ext]) -> Ext:
        """`public`: eq, then tab and sel of each column of uses."""
        shape = self.shape
        by_chunk, inverses = ZERO, ZERO
        for q, chunk in enumerate(shape.chunks):
            numerator, denominator = ZERO, ONE
            for fraction in chunk:
                if fraction < shape.n_1:
                    n, d = ONE, self._alpha - committed[shape.m + fraction]
                else:
                    a = fraction - shape.n_1
                    n, d = -(public[2 + 2 * a] * committed[a]), self._alpha - public[1 + 2 * a]
                numerator = numerator * d + n * denominator
                denominator = denominator * d
            h = committed[shape.A + 2 * q] + X * committed[shape.A + 2 * q + 1]
            by_chunk = by_chunk + self._gamma[q] * (h * denominator - numerator)
            inverses = inverses + h
        return public[0] * by_chunk + self._gamma[shape.m_q] * inverses

    def vectors(self) -> list[list[Ext]]:
        both = [vector for a in range(self.shape.A) for vector in self.shape.tab(a)]
        return [eq_vector(self._tau), *both]

    def values(self, z: Sequence[Ext]) -> list[Ext]:
        rows = eq_vector(z)
        return [eq(self._tau, z)] + [inner(rows, v) for a in range(self.shape.A) for v in self.shape.tab(a)]


@dataclass(frozen=True)
class Kappa:
    columns: list[Ext]
    g: Ext
    weights: list[Ext]  # of all n_W columns: 0 of those of biases

    @staticmethod
    def draw(shape: RangeShape, challenger: Challenger) -> Kappa:
        drawn = challenger.draw("kappa")
        columns = eq_vector(drawn.elements(ceil_log2(shape.m)))[: shape.m]
        g = drawn.element()
        weights = eq_vector(drawn.elements(max(1, ceil_log2(shape.n_1))))[: shape.n_1]
        return Kappa(columns, g, weights + [ZERO] * (shape.weights.n_W - shape.n_1))

    def mask_weights(self, shape: RangeShape, z: Sequence[Ext]) -> tuple[list[Ext], list[Ext]]:
        """w_m and w_mW."""
        g = [self.g * x for x in powers_less_half(z, shape.degrees)]
        fresh = [weight * bump(z) for weight in self.columns]
        weights = [weight * bump(z) for weight in self.weights[: shape.n_1]]
        return g + fresh + [ZERO] * shape.n_1, [ZERO] * (len(g) + shape.m) + weights


def sides(
    shape: RangeShape, head: Head, openings: Openings, at: tuple[list[int], list[int]], kappa: Kappa,
    z: Sequence[Ext], g_z: Ext, epsilon: Ext,
) -> tuple[Side, Side]:  # fmt: skip
    w_m, w_mW = kappa.mask_weights(shape, z)
    code_W = shape.weights.code
    known = inner(kappa.columns, head.y) + kappa.g * g_z
    known_W = inner(kappa.weights[: shape.n_1], head.y_W)
    claim = head.sigma + epsilon * known - inner(w_m, head.u_m[: shape.M])
    claim_W = head.sigma_W + epsilon * known_W - inner(w_mW, head.u_m[: shape.M])
    rows = RowWeights.of(kappa.columns, z, shape.code), RowWeights.of(kappa.weights, z, code_W)
    words = [
        (Ext(*first[-2:]), first[:-MASK_WORDS] + second)
        for first, second in zip(openings.first.words, openings.second.words, strict=True)
    ]
    words_W = [(Ext(*mask), opened) for mask, opened in zip(openings.mask.words, openings.weights.words, strict=True)]
    return (
        Side("u", shape.code, rows[0], claim, head.u_end, at[0], words),
        Side("u_W", code_W, rows[1], claim_W, head.u_W_end, at[1], words_W),
    )


@dataclass(frozen=True)
class VerifiedRange:
    statement: bytes
    soundness_bits: float


def verify_range(weights: WeightsShape, root: bytes, proof: bytes) -> VerifiedRange:
    shape = RangeShape(weights)
    reader = RangeReader(shape, proof)
    head = reader.head()
    digest = statement_digest(shape, root)
    check_statement(head, digest)
    return verify_range_under(shape, root, head, reader, Transcript(digest))


def check_statement(head: Head, digest: bytes) -> None:
    if head.statement != digest:
        raise Rejected("the proof is about another statement")


def verify_range_under(
    shape: RangeShape, root: bytes, head: Head, reader: RangeReader, challenger: Challenger
) -> VerifiedRange:
    challenger.absorb("roots", head.root1 + head.root_M)
    alpha = challenger.draw("lookup").element()
    challenger.absorb("root2", head.root2)
    tau = challenger.draw("point").elements(shape.ell)
    constraint = Constraint(shape, alpha, tau, challenger.draw("gamma").element())
    z, left = follow_rounds(ZERO, head.rounds, ("round", "z"), challenger)
    y = [*head.y, *head.y_W]
    challenger.absorb("values", serialize(y))
    g_z = left - constraint.evaluate(y, constraint.values(z))
    kappa = Kappa.draw(shape, challenger)
    challenger.absorb("sigma", serialize([head.sigma, head.sigma_W]))
    epsilon = challenger.draw("epsilon").element()
    challenger.absorb("opening", head.opening_bytes())
    n, n_W = shape.code.n, shape.weights.code.n
    positions = challenger.draw("positions").positions(n, shape.code.Q)
    places = challenger.draw("places").positions(n_W, shape.weights.code.Q)
    openings = reader.openings(positions, places)
    check_root("1", head.root1, positions, openings.first, n)
    check_root("2", head.root2, positions, openings.second, n)
    check_root("M", head.root_M, places, openings.mask, n_W)
    check_root("W", root, places, openings.weights, n_W)
    check_mask_row(openings.first.words, code_points(n, positions), epsilon, head.u_m)
    both = sides(shape, head, openings, (positions, places), kappa, z, g_z, epsilon)
    verify_rows(Joint.of(shape), both, head.root3, epsilon, openings.to_bytes(), reader, challenger)
    reader.end()
    return VerifiedRange(head.statement, bits_of(terms(shape)))


def terms(shape: RangeShape) -> dict[str, Fraction]:
    field = Fraction(P * P)
    weights = shape.weights
    code, row, code_W, joint = shape.code, shape.row_code, weights.code, Joint.of(shape)
    columns, columns_W = ceil_log2(shape.m), max(1, ceil_log2(shape.n_1))
    return {
        "alpha": 2 * (shape.n_1 * shape.L + shape.entries) / (field - shape.L * (shape.A + shape.n_1 + shape.m_q)),
        "tau": shape.ell / field,
        "gamma": shape.m_q / field,
        "z": sum(shape.degrees) / field,
        "kappa": (columns + 1 + columns_W) / field,
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
