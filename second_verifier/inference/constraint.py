"""The polynomial F over L rows and its public vectors (docs/inference-proofs.md, Claims, Over L rows).

The public vectors exist twice: in full for the prover, and at a point for the verifier. Tests compare the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bounded_update.field import ONE, ZERO, Ext, X, base, eq, eq_vector, inner, inner_base, powers, total

from .claims import Challenges, LinearClaims, Samples
from .shape import Shape

Public = dict[tuple[str, int], Ext]


class Constraint:
    def __init__(self, shape: Shape, samples: Samples, ch: Challenges, claims: LinearClaims) -> None:
        self.shape, self._samples, self._ch, self._claims = shape, samples, ch, claims
        self._gamma = powers(ch.gamma, shape.m_q + 1)

    def evaluate(self, committed: Sequence[Ext], public: Public) -> Ext:
        """F of the committed columns' values and the public ones at a row or a point."""
        shape = self.shape
        by_chunk, inverses = ZERO, ZERO
        for q in range(shape.m_q):
            h = committed[shape.c + 2 * q] + X * committed[shape.c + 2 * q + 1]
            by_chunk = by_chunk + self._gamma[q] * self.fractions(q, h, committed, public)
            inverses = inverses + h
        return public["eq", 0] * by_chunk + self._gamma[shape.m_q] * inverses + self._linear(committed, public)

    def fractions(self, q: int, h: Ext, committed: Sequence[Ext], public: Public) -> Ext:
        """Z_q: h prod d - sum n prod d of the others."""
        shape, alpha, beta = self.shape, self._ch.alpha, self._ch.beta
        squared = beta * beta
        numerator, denominator = ZERO, ONE
        for kind, column in ((fraction.kind, fraction.column) for fraction in shape.chunks[q]):
            n, d = ONE, alpha
            if kind == "uses":
                n = -(public["sel", column] * committed[shape.column("uses", column)])
                d = d - public["tab", column]
            else:
                d = d - committed[shape.column(kind, column)] - squared * public["tag " + kind, column]
            if kind == "q":
                d = d - beta * committed[shape.column("y", column)]
            numerator = numerator * d + n * denominator
            denominator = denominator * d
        return h * denominator - numerator

    def _linear(self, committed: Sequence[Ext], public: Public) -> Ext:
        shape = self.shape
        return total(
            public["lin " + kind, column] * committed[shape.column(kind, column)]
            for kind in ("q", "r", "y", "i")
            for column in range(shape.columns[kind])
        )

    def entry(self, index: int) -> Ext:
        """tab of an entry of the table vector."""
        v0, v1, k = self.shape.entries[index]
        beta = self._ch.beta
        return base(v0) + beta.scale(v1) + (beta * beta).scale(k)

    def tag(self, kind: str, feature: int) -> int:
        """Of a feature; behind the last it is that of the last."""
        tags = self.shape.tags[kind]
        return tags[min(feature, len(tags) - 1)]

    def _places(self) -> Iterator[tuple[str, int, int, int, Ext]]:
        """Of the distance of each sample's answer from the largest: column, feature in it, sample, and what it is
        multiplied with beside Omega_b."""
        shape = self.shape
        if shape.program.argmax is None:
            return
        cell, power = shape.argmax_cells[0], self._claims.place
        shift = shape.forms.cells[cell].shift
        for b, c in enumerate(self._samples.places):
            column, row = divmod(shape.offsets[cell] + c, shape.L // shape.padded_batch)
            yield "q", column, row, b, power.scale(1 << shift)
            if shift:
                yield "r", column, row, b, power

    def vectors(self) -> dict[tuple[str, int], list[Ext]]:
        """All public vectors in full, by their definitions."""
        shape, samples = self.shape, self._samples
        vectors = {("eq", 0): eq_vector(self._ch.tau)}
        omega = samples.omega + [ZERO] * (shape.padded_batch - shape.batch)
        for kind in ("q", "r", "y", "i"):
            weights = self._claims.weights[kind]
            for column in range(shape.columns[kind]):
                features = [divmod(column * shape.L + row, shape.padded_batch) for row in range(shape.L)]
                if kind != "y":
                    vectors["tag " + kind, column] = [base(self.tag(kind, f)) for f, _ in features]
                vectors["lin " + kind, column] = [
                    weights[f] * omega[b] if f < len(weights) else ZERO for f, b in features
                ]
        for kind, column, row, b, factor in self._places():
            place = vectors["lin " + kind, column]
            place[row * shape.padded_batch + b] = place[row * shape.padded_batch + b] + factor * samples.omega[b]
        for column in range(shape.columns["uses"]):
            indices = range(column * shape.L, (column + 1) * shape.L)
            there = len(shape.entries)
            vectors["tab", column] = [self.entry(i) if i < there else ZERO for i in indices]
            vectors["sel", column] = [ONE if i < there else ZERO for i in indices]
        return vectors

    def values(self, z: Sequence[Ext]) -> Public:
        """The same at a point: features and samples are different variables."""
        shape = self.shape
        split = shape.ell - shape.beta
        by_feature, by_sample = eq_vector(z[:split]), eq_vector(z[split:])
        omega = inner(self._samples.omega, by_sample[: shape.batch])
        size = len(by_feature)
        result = {("eq", 0): eq(self._ch.tau, z)}
        for kind in ("q", "r", "y", "i"):
            weights = self._claims.weights[kind]
            for column in range(shape.columns[kind]):
                piece = weights[column * size : (column + 1) * size]
                result["lin " + kind, column] = omega * inner(by_feature[: len(piece)], piece)
                if kind != "y":
                    tags = [self.tag(kind, column * size + f) for f in range(size)]
                    result["tag " + kind, column] = inner_base(by_feature, tags)
        for kind, column, row, b, factor in self._places():
            entry = factor * self._samples.omega[b] * by_feature[row] * by_sample[b]
            result["lin " + kind, column] = result["lin " + kind, column] + entry
        rows = eq_vector(z) if shape.entries else []
        for column in range(shape.columns["uses"]):
            count = min(len(shape.entries) - column * shape.L, shape.L)
            entries = [self.entry(column * shape.L + row) for row in range(count)]
            result["tab", column] = inner(rows[:count], entries)
            result["sel", column] = total(rows[:count])
        return result
