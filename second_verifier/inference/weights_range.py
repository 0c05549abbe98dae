"""The committed weights are integers within the program's range (docs/inference-proofs.md, Range of the weights)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

from bounded_update import blake3
from bounded_update.columns import as_elements
from bounded_update.commitment import Commitment, cut, parts
from bounded_update.commitment import Rows as Columns
from bounded_update.errors import Rejected
from bounded_update.field import ONE, ZERO, Ext, P, X, base, eq, eq_vector, inner, powers, total
from bounded_update.opening import code_points
from bounded_update.prover import combine
from bounded_update.reading import DIGEST, Pieces
from bounded_update.shape import ceil_log2, log2
from bounded_update.transcript import TRANSCRIPT, Challenger, Transcript, serialize

from .claims import bump
from .commitment import Source, WeightsCommitment, row_commitment, runs
from .opened import (
    Rows,
    RowWeights,
    Side,
    check_mask_row,
    check_root,
    longest_opening,
    longest_row,
    prove_rows,
    row_regions,
    shortest_row,
    verify_rows,
)  # fmt: skip
from .opening import powers_less_half
from .proof_bytes import Openings, opened_regions
from .prover import follow
from .rounds import follow_rounds
from .shape import FRACTIONS_IN_A_CHUNK, MASK_WORDS, Code, WeightsShape, column_code
from .soundness import bits_of, missed
from .sumcheck import SumCheck

MAGIC: Final = b"QFPROOFR"
PROTOCOL: Final = b"quatrefoil/proof/weights-range/v1"
VERSION: Final = 1


@dataclass(frozen=True)
class RangeShape:
    weights: WeightsShape

    @property
    def w_max(self) -> int:
        return self.weights.program.w_max

    @property
    def entries(self) -> int:
        return 2 * self.w_max + 1

    @property
    def ell(self) -> int:
        return self.weights.omega

    @property
    def L(self) -> int:
        return self.weights.WL

    @property
    def n_1(self) -> int:
        return self.weights.n_1

    @cached_property
    def A(self) -> int:
        return -(-self.entries // self.L)

    @cached_property
    def codes(self) -> tuple[Code, Code]:
        return column_code(self.weights.parameters, self.ell)

    @property
    def code(self) -> Code:
        return self.codes[0]

    @property
    def row_code(self) -> Code:
        return self.codes[1]

    @property
    def R(self) -> int:
        return self.L // self.code.C

    @cached_property
    def chunks(self) -> list[range]:
        """Fractions below n_1 are of weights columns, the others of the columns of uses."""
        count, step = self.n_1 + self.A, FRACTIONS_IN_A_CHUNK
        return [range(first, min(first + step, count)) for first in range(0, count, step)]

    @property
    def m_q(self) -> int:
        return len(self.chunks)

    @property
    def m(self) -> int:
        """Fresh columns."""
        return self.A + 2 * self.m_q

    @cached_property
    def degrees(self) -> list[int]:
        f_max = max(len(chunk) for chunk in self.chunks)
        return [f_max + 2] * (self.ell - 1) + [2 * f_max + 3]

    @property
    def M(self) -> int:
        return sum(self.degrees) + self.m + self.n_1

    def tab(self, column: int) -> tuple[list[Ext], list[Ext]]:
        """tab and sel of a column of uses."""
        indices = range(column * self.L, (column + 1) * self.L)
        tab = [base(x - self.w_max) if x < self.entries else ZERO for x in indices]
        return tab, [ONE if x < self.entries else ZERO for x in indices]


def statement_digest(shape: RangeShape, root: bytes) -> bytes:
    program = shape.weights.program.to_bytes()
    fresh = (*shape.code.to_numbers(), *shape.row_code.to_numbers())
    numbers = (shape.weights.openings, shape.ell, *fresh, *shape.weights.to_numbers()[1:])
    packed = struct.pack("<I", len(program)) + program + struct.pack(f"<{len(numbers)}I", *numbers)
    return blake3.digest(PROTOCOL + packed + root, TRANSCRIPT)


@dataclass(frozen=True)
class Head:
    statement: bytes
    root1: bytes
    root_M: bytes
    root2: bytes
    rounds: list[list[Ext]]
    y: list[Ext]  # of the m fresh columns
    y_W: list[Ext]  # of the n_1 weights columns
    sigma: Ext
    sigma_W: Ext
    u_m: list[Ext]
    u_end: list[Ext]
    u_W_end: list[Ext]
    root3: bytes
    root4: bytes

    def opening_bytes(self) -> bytes:
        return serialize([*self.u_m, *self.u_end, *self.u_W_end]) + self.root3 + self.root4

    def to_bytes(self) -> bytes:
        rounds = b"".join(serialize(sent) for sent in self.rounds)
        sent = serialize([*self.y, *self.y_W, self.sigma, self.sigma_W])
        begin = MAGIC + struct.pack("<2H", VERSION, 0) + self.statement
        return begin + self.root1 + self.root_M + self.root2 + rounds + sent + self.opening_bytes()


@dataclass(frozen=True)
class RangeProof:
    head: Head
    openings: Openings
    rows: Rows

    def to_bytes(self) -> bytes:
        return self.head.to_bytes() + self.openings.to_bytes() + self.rows.to_bytes()

    def regions(self) -> list[tuple[str, int, int]]:
        head = self.head
        sizes = [("magic", 8), ("version", 2), ("reserved", 2), ("statement", DIGEST), ("root 1", DIGEST)]
        sizes += [("root M", DIGEST), ("root 2", DIGEST)]
        sizes += [(f"round {i}", 16 * len(sent)) for i, sent in enumerate(head.rounds)]
        sizes += [("y", 16 * len(head.y)), ("y_w", 16 * len(head.y_W)), ("sigma", 16), ("sigma_W", 16)]
        sizes += [("u_m", 16 * len(head.u_m)), ("end of u", 16 * len(head.u_end))]
        sizes += [("end of u_W", 16 * len(head.u_W_end)), ("root 3", DIGEST), ("root 4", DIGEST)]
        return placed(sizes + opened_regions(self.openings) + row_regions(self.rows))


def placed(sizes: Sequence[tuple[str, int]]) -> list[tuple[str, int, int]]:
    result, at = [], 0
    for name, size in sizes:
        result.append((name, at, size))
        at += size
    return result


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
        Side("u", shape.code, shape.row_code, rows[0], claim, head.u_end, at[0], words, head.root3),
        Side("u_W", code_W, shape.weights.row_code, rows[1], claim_W, head.u_W_end, at[1], words_W, head.root4),
    )


# The prover.


@dataclass
class RangeRandomness:
    appended1: Columns
    mask: list[Ext]
    mask_appended: list[Ext]
    nu: list[Ext]
    mu: list[Ext]
    appended2: Columns
    mu_W: list[Ext]
    salts1: list[bytes]
    salts2: list[bytes]
    salts_M: list[bytes]

    @staticmethod
    def from_seed(shape: RangeShape, seed: bytes) -> RangeRandomness:
        source, code, code_W = Source(seed), shape.code, shape.weights.code
        return RangeRandomness(
            appended1=source.rows("appended1", shape.A * shape.R, code.Q),
            mask=source.elements("mask", shape.M),
            mask_appended=source.elements("mask-appended", code.Q),
            nu=source.elements("nu", shape.M + code.Q),
            mu=source.elements("mu", code.K),
            appended2=source.rows("appended2", 2 * shape.m_q * shape.R, code.Q),
            mu_W=source.elements("mu_W", code_W.K),
            salts1=source.salts("salts1", code.n),
            salts2=source.salts("salts2", code.n),
            salts_M=source.salts("salts_M", code_W.n),
        )


def prove_range(committed: WeightsCommitment, drawn: RangeRandomness) -> RangeProof:
    """Nothing is checked about the weights: a liar can use it as well."""
    shape = RangeShape(committed.shape)
    digest = statement_digest(shape, committed.root)
    return run_range(shape, committed, drawn, digest, Transcript(digest))


def run_range(
    shape: RangeShape, committed: WeightsCommitment, drawn: RangeRandomness, digest: bytes, challenger: Challenger
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
    third = row_commitment(u[:C], shape.row_code.C, shape.row_code.n)
    fourth = row_commitment(u_W[:C_W], shape.weights.row_code.C, shape.weights.row_code.n)
    head = Head(
        digest, first.root, mask.root, second.root, rounds, y[: shape.m], y[shape.m :], sigma, sigma_W, u_m,
        u[C:], u_W[C_W:], third.root, fourth.root,
    )  # fmt: skip
    challenger.absorb("opening", head.opening_bytes())
    positions = challenger.draw("positions").positions(shape.code.n, shape.code.Q)
    places = challenger.draw("places").positions(shape.weights.code.n, shape.weights.code.Q)
    trees = (first, second, mask, committed.commitment)
    openings = Openings(
        *(tree.open(at) for tree, at in zip(trees, (positions, positions, places, places), strict=True))
    )
    both = sides(shape, head, openings, (positions, places), kappa, z, g_z, epsilon)
    rows_ = prove_rows(both, ((u[:C], third), (u_W[:C_W], fourth)), epsilon, openings.to_bytes(), challenger)
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


# The verifier.


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
    verify_rows(both, epsilon, openings.to_bytes(), reader, challenger)
    reader.end()
    return VerifiedRange(head.statement, bits_of(terms(shape)))


def widths(shape: RangeShape) -> tuple[int, int, int, int]:
    """Words of a leaf of trees 1, 2, M and W."""
    return shape.A * shape.R + MASK_WORDS, 2 * shape.m_q * shape.R, 2, shape.weights.n_W * shape.weights.R


def fixed_length(shape: RangeShape) -> int:
    weights = shape.weights
    elements = sum(shape.degrees) + shape.m + shape.n_1 + 2 + shape.M + 2 * shape.code.Q + weights.code.appended
    rows = shortest_row(shape.code, shape.row_code) + shortest_row(weights.code, weights.row_code)
    return len(MAGIC) + 4 + 6 * DIGEST + 16 * elements + rows


def largest_length(shape: RangeShape) -> int:
    weights = shape.weights
    codes = (shape.code, shape.code, weights.code, weights.code)
    salted = sum(longest_opening(code, width, True) for code, width in zip(codes, widths(shape), strict=True))
    rows = longest_row(shape.code, shape.row_code) + longest_row(weights.code, weights.row_code)
    return fixed_length(shape) + salted + rows


class RangeReader(Pieces):
    def __init__(self, shape: RangeShape, data: bytes) -> None:
        super().__init__(data, fixed_length(shape), largest_length(shape))
        self._shape = shape

    def head(self) -> Head:
        if self._take(len(MAGIC)) != MAGIC:
            raise Rejected("these bytes are no proof of the range of weights")
        if struct.unpack("<2H", self._take(4)) != (VERSION, 0):
            raise Rejected("the version or the reserved field of the proof is unknown")
        shape = self._shape
        return Head(
            statement=self._take(DIGEST),
            root1=self._take(DIGEST),
            root_M=self._take(DIGEST),
            root2=self._take(DIGEST),
            rounds=[self._elements(degree) for degree in shape.degrees],
            y=self._elements(shape.m),
            y_W=self._elements(shape.n_1),
            sigma=self._element(),
            sigma_W=self._element(),
            u_m=self._elements(shape.M + shape.code.Q),
            u_end=self._elements(shape.code.Q),
            u_W_end=self._elements(shape.weights.code.appended),
            root3=self._take(DIGEST),
            root4=self._take(DIGEST),
        )

    def openings(self, positions: list[int], places: list[int]) -> Openings:
        n, n_W = self._shape.code.n, self._shape.weights.code.n
        at = ((positions, n), (positions, n), (places, n_W), (places, n_W))
        found = [
            self.opening(where, size, width, salted=True)
            for (where, size), width in zip(at, widths(self._shape), strict=True)
        ]
        return Openings(*found)


def terms(shape: RangeShape) -> dict[str, Fraction]:
    field = Fraction(P * P)
    weights = shape.weights
    code, row, code_W, row_W = shape.code, shape.row_code, weights.code, weights.row_code
    columns, columns_W = ceil_log2(shape.m), max(1, ceil_log2(shape.n_1))
    return {
        "alpha": 2 * (shape.n_1 * shape.L + shape.entries) / (field - shape.L * (shape.A + shape.n_1 + shape.m_q)),
        "tau": shape.ell / field,
        "gamma": shape.m_q / field,
        "z": sum(shape.degrees) / field,
        "kappa": (columns + 1 + columns_W) / field,
        "kappa, z_hi": (columns + log2(shape.R)) * code.n / field,
        "kappa, w_hi": (columns_W + log2(weights.R)) * code_W.n / field,
        "epsilon": (2 * code.n + code_W.n + 2) / field,
        "positions": 3 * missed(code),
        "places": 2 * missed(code_W),
        "chi": code.Q / field,
        "chi_W": code_W.Q / field,
        "r": 2 * (log2(code.C) + log2(code_W.C)) / field,
        "r_hi": log2(code.C // row.C) * row.n / field + log2(code_W.C // row_W.C) * row_W.n / field,
        "positions2": 2 * missed(row),
        "places2": 2 * missed(row_W),
    }
