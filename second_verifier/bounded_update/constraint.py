"""The polynomial F of the sum-check, its public vectors, and what it must add up to (docs/proofs.md, The sum-check).

The public vectors exist twice: in full, by their definitions, for the prover, and at a point, in closed form, for the
verifier. Tests compare the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .claims import known
from .columns import fraction_order, table_row
from .encryption import public_element
from .field import (
    ONE,
    ZERO,
    Ext,
    X,
    base,
    eq,
    eq_index,
    eq_vector,
    from_index,
    inner,
    inner_base,
    powers,
    total,
)  # fmt: skip
from .polynomials import negacyclic_coefficients, negacyclic_values
from .shape import CLAIM_POWERS, SLACK_BITS, log2
from .statement import Blocks, Statement

Key = tuple[str, int]


@dataclass(frozen=True)
class Challenges:
    """All that is drawn before the sum-check."""

    zeta: list[Ext]
    alpha: Ext
    tau: list[Ext]
    theta: list[Ext]
    gamma: Ext


@dataclass(frozen=True)
class Piece:
    """A vector that is zero but for the rows from `start` on; `values` are 2^l, and `start` is a multiple of that."""

    start: int
    values: list[Ext]

    def full(self, length: int) -> list[Ext]:
        return [ZERO] * self.start + self.values + [ZERO] * (length - self.start - len(self.values))

    def at(self, point: Sequence[Ext]) -> Ext:
        low = len(point) - log2(len(self.values))
        return eq_index(point[:low], self.start // len(self.values)) * inner(eq_vector(point[low:]), self.values)


class Constraint:
    def __init__(self, statement: Statement, blocks: Blocks, challenges: Challenges) -> None:
        shape = self.shape = statement.shape
        self.challenges = challenges
        self._bound, self._parts = statement.bound, statement.further.parts
        direction = statement.further.direction
        self._direction = None if direction is None else known(direction)
        self._blocks = blocks
        split = shape.ell - log2(shape.parameters.N)
        self._tau_high, self._tau_low = challenges.tau[:split], challenges.tau[split:]
        self._group_weights = eq_vector(challenges.theta)
        self._first_claim = shape.m_q + 66 + shape.parameters.k
        self._first_share = self._first_claim + CLAIM_POWERS * statement.further.count
        self.gamma = powers(challenges.gamma, self._first_share + (shape.key_values if shape.threshold else 0))
        self._fractions = fraction_order(shape)
        self._pieces = self._public_pieces(statement)

    # What F must add up to.

    def claim(self, v: Ext, *more: Ext) -> Ext:
        """With v, or with V at the base points."""
        first = self.shape.m_q
        low = eq_vector(self._tau_low)
        ciphertext = total(
            weight * inner_base(low, block) for weight, block in zip(self._block_weights(), self._blocks, strict=True)
        )
        norm, key = self.gamma[first + 2] * base(self._bound), self.gamma[first + 3] * v
        if self.shape.threshold is not None:
            key = inner(self._shares(), [v, *more])
        further = total(weight * base(part.bound) for weight, part in zip(self._claims(), self._parts, strict=False))
        if self._direction is not None:
            further -= self._claims()[-1] * base(self._direction.magnitude)
        return self.gamma[first] * ciphertext + norm + key + further

    def _claims(self) -> list[Ext]:
        """The power of gamma of each further claim."""
        return self.gamma[self._first_claim : self._first_share : CLAIM_POWERS]

    def _shares(self) -> list[Ext]:
        """The power of gamma of V at each base point."""
        return self.gamma[self._first_share :]

    def _block_weights(self) -> list[Ext]:
        """eq(theta, j / S) eq(tau_hi, j mod S) of every block j."""
        S, slots = self.shape.S, eq_vector(self._tau_high)
        return [self._group_weights[j // S] * slots[j % S] for j in range(self.shape.J)]

    # The public vectors.

    def _public_pieces(self, statement: Statement) -> dict[Key, list[Piece]]:
        shape, first = self.shape, self.shape.m_q
        pieces: dict[Key, list[Piece]] = {}

        def add(name: str, start: int, values: list[Ext]) -> None:
            """A vector over y, cut where a column ends."""
            for at in range(0, len(values), shape.L):
                column, row = divmod(start + at, shape.L)
                pieces.setdefault((name, column), []).append(Piece(row, values[at : at + shape.L]))

        bits = self.gamma[first + 4 : first + 4 + SLACK_BITS]
        slack = [self.gamma[first + 2].scale(1 << i) - bit for i, bit in enumerate(bits)]
        binding = self.gamma[first + 3] if shape.threshold is None else ZERO
        add("linear", shape.T_P, [binding, binding * X, *slack])
        add("square", shape.T_P, [ZERO, ZERO, *bits])
        for claim, weight in enumerate(self._claims()):
            after = self._first_claim + CLAIM_POWERS * claim + 1
            bits = self.gamma[after : after + SLACK_BITS]
            sign = 1 if claim < len(self._parts) else -1
            start = shape.slack_start(claim + 1) - 2
            add("linear", start, [ZERO, ZERO, *(weight.scale(sign << i) - bit for i, bit in enumerate(bits))])
            add("square", start, [ZERO, ZERO, *bits])
        key = zip(self.key_weights(statement), eq_vector(self.challenges.zeta), strict=True)
        add("linear", shape.T_S, [self.gamma[first] * w + binding * e for w, e in key])
        if shape.threshold is not None:
            across = eq_vector(self.challenges.zeta[log2(shape.parameters.N) - log2(shape.share_length) :])
            for i, weight in enumerate(self._shares()):
                add("linear", shape.T_S + i * shape.share_length, [weight * z for z in across])
            mask = [part for weight in self._shares() for part in (weight, weight * X)]
            add("linear", shape.T_M, mask + [ZERO] * (shape.mask_space - len(mask)))
        last = shape.J - 1
        N, k = shape.parameters.N, shape.parameters.k
        low = eq_vector(self._tau_low)
        for t in range(k):
            cut = min(max(shape.D - last * N * k - t * N, 0), N)
            pieces["padding", t] = [Piece(last % shape.S * N, [ZERO] * cut + low[cut:])]
        return pieces

    def key_weights(self, statement: Statement) -> list[Ext]:
        """W_s = A(X^-1) T modulo X^N + 1."""
        N = self.shape.parameters.N
        parts = ([0] * N, [0] * N)
        for j, weight in enumerate(self._block_weights()):
            element = public_element(self.shape.parameters, statement.context, j)
            for part, factor in zip(parts, (weight.a, weight.b), strict=True):
                for i, value in enumerate(element):
                    part[i] += factor * value
        low = eq_vector(self._tau_low)
        t_a, t_b = negacyclic_values([x.a for x in low]), negacyclic_values([x.b for x in low])
        # Value i belongs to psi^(2i+1), whose inverse is psi^(2(N-1-i)+1).
        inverse = [base(a) + X * base(b) for a, b in zip(*parts, strict=True)][::-1]
        values = [Ext(a, b) * other for a, b, other in zip(t_a, t_b, inverse, strict=True)]
        w_a, w_b = ([x.a for x in values], [x.b for x in values])
        return [Ext(a, b) for a, b in zip(negacyclic_coefficients(w_a), negacyclic_coefficients(w_b), strict=True)]

    def vectors(self) -> dict[Key, list[Ext]]:
        """In full."""
        shape, L = self.shape, self.shape.L
        result: dict[Key, list[Ext]] = {("eq", 0): eq_vector(self.challenges.tau)}
        for a in range(shape.A_T):
            rows = [table_row(shape, a * L + row) for row in range(L)]
            result["table", a] = [value for value, _ in rows]
            result["selected", a] = [base(selected) for _, selected in rows]
        for key, pieces in self._pieces.items():
            result[key] = [total(entries) for entries in zip(*(piece.full(L) for piece in pieces), strict=True)]
        return result | self._claim_vectors()

    def _claim_vectors(self) -> dict[Key, list[Ext]]:
        """in_(c,g,t) of all parts, each times its power of gamma, added up; and dir_(g,t) times its own."""
        result = {key: [ZERO] * self.shape.L for key in self._claim_keys()}
        for weight, part in zip(self._claims(), self._parts, strict=False):
            for value in range(part.first, part.end):
                column, row = self._place(value)
                result["parts", column][row] += weight
        if self._direction is not None:
            for value, entry in enumerate(self._direction.entries):
                column, row = self._place(value)
                result["direction", column][row] += self._claims()[-1].scale(entry)
        return result

    def _claim_keys(self) -> list[Key]:
        names = ["parts"] * bool(self._parts) + ["direction"] * (self._direction is not None)
        return [(name, column) for name in names for column in range(self.shape.G * self.shape.parameters.k)]

    def _place(self, value: int) -> tuple[int, int]:
        """g k + t and the row where a value stands."""
        p = self.shape.parameters
        block, rest = divmod(value, p.N * p.k)
        slot, coefficient = divmod(rest, p.N)
        return block // self.shape.S * p.k + slot, block % self.shape.S * p.N + coefficient

    def values(self, z: Sequence[Ext]) -> dict[Key, Ext]:
        """At a point, in closed form."""
        shape, L, eta = self.shape, self.shape.L, self.shape.parameters.eta
        result = {("eq", 0): eq(self.challenges.tau, z)}
        for a in range(shape.A_T):

            def g(start: int, a: int = a) -> Ext:
                return from_index(z, min(max(start - a * L, 0), L))

            line = base(a * L) + total(c.scale(1 << shape.ell - 1 - i) for i, c in enumerate(z))
            result["table", a] = line + X + g(shape.T_E) * (X - base(shape.T_E + eta))
            result["selected", a] = ONE - g(1 << shape.b) + g(shape.T_E) - g(shape.T_E + 2 * eta + 1)
        for key, pieces in self._pieces.items():
            result[key] = total(piece.at(z) for piece in pieces)
        return result | {key: self._claim_value(key, z) for key in self._claim_keys()}

    def _claim_value(self, key: Key, z: Sequence[Ext]) -> Ext:
        group, slot = divmod(key[1], self.shape.parameters.k)
        if key[0] == "direction":
            return self._claims()[-1] * self._direction_value(group, slot, z)
        return total(
            weight
            * (from_index(z, self._start(part.first, group, slot)) - from_index(z, self._start(part.end, group, slot)))
            for weight, part in zip(self._claims(), self._parts, strict=False)
        )

    def _start(self, value: int, group: int, slot: int) -> int:
        """r: the first row of this group and slot that holds this value or a later one."""
        N, k, S = self.shape.parameters.N, self.shape.parameters.k, self.shape.S
        a, b = divmod(max(value - group * S * N * k, 0), N * k)
        return min(a * N + min(max(b - slot * N, 0), N), self.shape.L)

    def _direction_value(self, group: int, slot: int, z: Sequence[Ext]) -> Ext:
        """dir~_(g,t): block by block, each of them N rows."""
        assert self._direction is not None
        N, k, S = self.shape.parameters.N, self.shape.parameters.k, self.shape.S
        high, low = eq_vector(z[: log2(S)]), eq_vector(z[log2(S) :])
        result = ZERO
        for at, weight in enumerate(high):
            start = ((group * S + at) * k + slot) * N
            entries = self._direction.entries[start : start + N]
            result += weight * inner_base(low[: len(entries)], entries)
        return result

    # F itself.

    def evaluate(self, committed: Sequence[Ext], public: Mapping[Key, Ext]) -> Ext:
        """F from the values of the m committed columns and of the public vectors at one point."""
        shape, gamma, first = self.shape, self.gamma, self.shape.m_q
        inverses = [committed[shape.c + 2 * q] + X * committed[shape.c + 2 * q + 1] for q in range(first)]
        messages = [[self._message(committed, g, t) for t in range(shape.parameters.k)] for g in range(shape.G)]
        relation = gamma[first] * self._relation(committed, messages)
        zero = relation + total(
            gamma[q] * self._zero(committed, public, q, inverse) for q, inverse in enumerate(inverses)
        )
        result = public["eq", 0] * zero + gamma[first + 1] * total(inverses)
        squares = [m * m for group in messages for m in group]
        result += gamma[first + 2] * total(squares)
        if self._parts:
            result += total(public["parts", i] * square for i, square in enumerate(squares))
        if self._direction is not None:
            products = enumerate(m for group in messages for m in group)
            result += total(public["direction", i] * m for i, m in products)
        for a in range(shape.A):
            y = committed[shape.auxiliary_column(a)]
            if ("linear", a) in public:
                result += public["linear", a] * y
            if ("square", a) in public:
                result += public["square", a] * y * y
        for t, m in enumerate(messages[-1]):
            result += gamma[first + 66 + t] * public["padding", t] * m
        return result

    def _message(self, committed: Sequence[Ext], group: int, slot: int) -> Ext:
        """u_(g,t) - off."""
        limbs = range(self.shape.limbs)
        u = total(committed[self.shape.limb_column(group, slot, i)].scale(1 << self.shape.b * i) for i in limbs)
        return u - base(self.shape.off)

    def _relation(self, committed: Sequence[Ext], messages: list[list[Ext]]) -> Ext:
        """Rel: the errors and the packed values, by group."""
        p = self.shape.parameters
        packed = [total(m.scale(1 << p.delta + p.W * t) for t, m in enumerate(row)) for row in messages]
        errors = [committed[self.shape.error_column(g)] for g in range(self.shape.G)]
        return total(
            self._group_weights[g] * (error + message)
            for g, (error, message) in enumerate(zip(errors, packed, strict=True))
        )

    def _zero(self, committed: Sequence[Ext], public: Mapping[Key, Ext], chunk: int, inverse: Ext) -> Ext:
        """Z_q = h prod d - sum_i n_i prod_(l != i) d_l."""
        alpha = self.challenges.alpha
        numerator, denominator = ZERO, ONE
        for index in self.shape.chunks[chunk]:
            entry = committed[self._fractions[index]]
            if index < self.shape.lookups:
                n, d = ONE, alpha - entry - (X + X if index < self.shape.G else X)
            else:
                a = index - self.shape.lookups
                n, d = -(public["selected", a] * entry), alpha - public["table", a]
            numerator = numerator * d + n * denominator
            denominator = denominator * d
        return inverse * denominator - numerator
