"""A slow prover, deterministic in its randomness. It checks nothing about the witness: a liar can use it as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .columns import Columns, Witness, as_elements, base_columns, inverse_columns
from .commitment import Commitment, Randomness, first_commitment, row_commitment, second_commitment
from .constraint import Challenges, Constraint
from .field import Ext, base, bind, eq_vector, evaluate, inner, total
from .opening import (
    Weights,
    Words,
    code_points,
    fold_claim,
    omega_vector,
    opened_value,
    start_of_second,
)  # fmt: skip
from .polynomials import interpolate
from .proof_bytes import Head, Proof
from .shape import Shape, ceil_log2, log2
from .statement import Blocks, Statement
from .sumcheck import SumCheck
from .transcript import Challenger, Transcript, serialize
from .tree import Opening


def prove(statement: Statement, blocks: Blocks, witness: Witness, randomness: Randomness) -> Proof:
    """A proof for an honest witness; raises ValueError where a claim does not hold."""
    columns = base_columns(statement.shape, witness, witness.slacks(statement))
    return Prover(statement, blocks, columns, randomness).run(Transcript(statement.digest(blocks)))


@dataclass
class Prover:
    """One run of the argument, message by message."""

    statement: Statement
    blocks: Blocks
    columns: Columns
    randomness: Randomness

    @property
    def shape(self) -> Shape:
        return self.statement.shape

    def run(self, challenger: Challenger) -> Proof:
        shape, drawn = self.shape, self.randomness
        first = first_commitment(shape, self.columns, drawn)
        challenger.absorb("root1", first.root)
        stream = challenger.draw("zeta")
        zeta, alpha = stream.elements(log2(shape.parameters.N)), stream.lookup_challenge()
        v, *more = self.key_values(zeta)
        inverses = self.inverses(alpha)
        second = second_commitment(shape, inverses, drawn)
        challenger.absorb("root2", serialize([v, *more]) + second.root)
        stream = challenger.draw("point")
        tau, theta = stream.elements(shape.ell), stream.elements(ceil_log2(shape.G))
        challenges = Challenges(zeta, alpha, tau, theta, challenger.draw("gamma").element())
        constraint = Constraint(self.statement, self.blocks, challenges)

        sums = SumCheck(constraint, self.columns + inverses, drawn.mask)
        claim = constraint.claim(v, *more)
        rounds, z = [], []
        for i, degree in enumerate(shape.degrees):
            values = sums.round(i)
            rounds.append([values[0], *values[2:]])
            challenger.absorb("round", serialize(rounds[-1]))
            z.append(challenger.draw("z").element())
            # A liar's p(0) + p(1) is not the claim; what the verifier goes on with is what counts.
            claim = interpolate([values[0], claim - values[0], *values[2:]], z[-1])
            sums.bind(i, z[-1])
            assert len(values) == degree + 1
        y = sums.committed_values(z)
        challenger.absorb("values", serialize(y))
        mask_value = claim - constraint.evaluate(y, constraint.values(z))
        sent = Sent(self.statement.digest(self.blocks), first, v, second, rounds, y, z, mask_value, tuple(more))
        return self._open(sent, challenger)

    def key_values(self, zeta: Sequence[Ext]) -> list[Ext]:
        """v, or V at the base points."""
        shape = self.shape
        if shape.threshold is None:
            return [self.key_value(zeta)]
        m = shape.share_length
        across = eq_vector(zeta[len(zeta) - log2(m) :])

        def value(i: int) -> Ext:
            mask = Ext(*(self._auxiliary(shape.T_M + 2 * i + part) for part in (0, 1)))
            return mask + inner(across, as_elements([self._auxiliary(shape.T_S + i * m + j) for j in range(m)]))

        return [value(i) for i in range(shape.key_values)]

    def key_value(self, zeta: Sequence[Ext]) -> Ext:
        """v = s~(zeta) + pi, from the columns."""
        shape, N = self.shape, self.shape.parameters.N
        key = [self._auxiliary(shape.T_S + i) for i in range(N)]
        return evaluate(as_elements(key), zeta) + Ext(self._auxiliary(shape.T_P), self._auxiliary(shape.T_P + 1))

    def _auxiliary(self, index: int) -> int:
        column, row = divmod(index, self.shape.L)
        return self.columns[self.shape.auxiliary_column(column)][row]

    def inverses(self, alpha: Ext) -> Columns:
        return inverse_columns(self.shape, self.columns, alpha)

    def _open(self, sent: Sent, challenger: Challenger) -> Proof:
        shape, drawn = self.shape, self.randomness
        weights = Weights.draw(shape, challenger, sent.z)
        C = shape.code.C
        sigma = inner(weights.low, drawn.mu[:C]) + inner(weights.mask_row, drawn.nu[: shape.M])
        challenger.absorb("sigma", sigma.to_bytes())
        epsilon = challenger.draw("epsilon").element()
        u = self.opened_row(sent, weights, epsilon)
        u_m = self.opened_mask_row(sent, weights, epsilon)
        third = row_commitment(shape, u[:C])
        challenger.absorb("opening", serialize(u_m + u[C:]) + third.root)
        head = Head(
            sent.statement,
            sent.first.root,
            sent.v,
            sent.second.root,
            sent.rounds,
            sent.y,
            sigma,
            u_m,
            u[C:],
            third.root,
            sent.more,
        )
        positions = challenger.draw("positions").positions(shape.code.n, shape.code.Q)
        openings = sent.first.open(positions), sent.second.open(positions)
        claim = weights.claim(sigma, epsilon, sent.y, sent.mask_value, u_m)
        return finish(shape, head, openings, positions, (u[:C], third), weights, epsilon, claim, challenger)

    def opened_row(self, sent: Sent, weights: Weights, epsilon: Ext) -> list[Ext]:
        """u. A liar may send another one."""
        return combine(self.randomness.mu, epsilon, weights.rows, sent.first.rows[:-6] + sent.second.rows)

    def opened_mask_row(self, sent: Sent, weights: Weights, epsilon: Ext) -> list[Ext]:  # noqa: ARG002 - for liars
        """u_m. A liar may send another one, and knows what the weights and the value of the mask must be."""
        drawn = self.randomness
        mask_row = [*drawn.mask, *drawn.mask_appended]
        return [blind + epsilon * x for blind, x in zip(drawn.nu, mask_row, strict=True)]


@dataclass(frozen=True)
class Sent:
    """What the opening needs of the messages before it."""

    statement: bytes
    first: Commitment
    v: Ext
    second: Commitment
    rounds: list[list[Ext]]
    y: list[Ext]
    z: list[Ext]
    mask_value: Ext
    more: tuple[Ext, ...] = ()


def combine(blind: Sequence[Ext], epsilon: Ext, weights: Sequence[Ext], rows: Sequence[Sequence[int]]) -> list[Ext]:
    """u = mu + epsilon sum_rows weight row."""
    a, b = [0] * len(blind), [0] * len(blind)
    for weight, row in zip(weights, rows, strict=True):
        for i, entry in enumerate(row):
            a[i] += weight.a * entry
            b[i] += weight.b * entry
    return [x + epsilon * (base(p) + Ext(0, 1) * base(q)) for x, p, q in zip(blind, a, b, strict=True)]


def finish(
    shape: Shape,
    head: Head,
    openings: tuple[Opening, Opening],
    positions: Sequence[int],
    row: tuple[Sequence[Ext], Commitment],
    weights: Weights,
    epsilon: Ext,
    claim: Ext,
    challenger: Challenger,
) -> Proof:
    """Rows 7 to 10 of the transcript: all of it is a function of the opened row and of what was opened."""
    challenger.absorb("opened", openings[0].to_bytes() + openings[1].to_bytes())
    chi = challenger.draw("chi").element()
    points = code_points(shape.code.n, positions)
    words = [Words.split(*both) for both in zip(openings[0].words, openings[1].words, strict=True)]
    values = [opened_value(shape, at, weights, epsilon, head.u_end, x) for at, x in zip(words, points, strict=True)]
    claim = start_of_second(claim, values, chi)
    u, third = list(row[0]), row[1]
    omega = omega_vector(weights.low, points, chi)
    folds, r = [], []
    for _ in range(log2(shape.code.C)):
        folds.append(second_round(u, omega))
        challenger.absorb("fold", serialize(folds[-1]))
        r.append(challenger.draw("r").element())
        claim = fold_claim(claim, folds[-1], r[-1])
        u, omega = bind(u, r[-1]), bind(omega, r[-1])
    u_2 = combined_run(shape, row[0], r)
    challenger.absorb("row", serialize(u_2))
    positions2 = challenger.draw("positions2").positions(shape.row_code.n, shape.row_code.Q)
    return Proof(head, openings[0], openings[1], folds, u_2, third.open(positions2))


def combined_run(shape: Shape, row: Sequence[Ext], r: Sequence[Ext]) -> list[Ext]:
    """u_2 = sum_run eq(r_hi, run) run."""
    C2 = shape.row_code.C
    high = eq_vector(r[: len(r) - log2(C2)])
    runs = [row[i : i + C2] for i in range(0, shape.code.C, C2)]
    return [total(weight * run[i] for weight, run in zip(high, runs, strict=True)) for i in range(C2)]


def second_round(u: Sequence[Ext], omega: Sequence[Ext]) -> tuple[Ext, Ext]:
    """f(0), and the coefficient of X^2, of sum u Omega."""
    half = len(u) // 2
    differences = [
        [high - low for low, high in zip(vector[:half], vector[half:], strict=True)] for vector in (u, omega)
    ]
    return inner(u[:half], omega[:half]), inner(*differences)
