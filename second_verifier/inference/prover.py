"""A slow prover, deterministic in its randomness. It checks nothing about the witness: a liar can use it as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bounded_update.columns import as_elements
from bounded_update.commitment import Commitment, Rows
from bounded_update.field import ZERO, Ext, bind, inner, inner_base, total
from bounded_update.field import P as _P
from bounded_update.polynomials import interpolate
from bounded_update.prover import combine
from bounded_update.transcript import Challenger, Transcript, serialize

from .claims import Challenges, LinearClaims, Samples, WeightsClaims, public_source, sum_of_outputs, truncated
from .columns import base_columns, inverse_columns, value_columns
from .commitment import (
    Randomness,
    WeightsCommitment,
    first_commitment,
    mask_commitment,
    second_commitment,
)  # fmt: skip
from .constraint import Constraint
from .joint import Joint
from .model import Run, Trace, Weights
from .opened import RowWeights, prove_rows
from .opening import Ends, Kappa, MaskWeights, both_sides, claim, claim_W, mask_constants, mask_weights
from .proof_bytes import Head, LayerSent, Openings, Proof
from .shape import LayerShape, Shape
from .statement import Statement
from .sumcheck import SumCheck


def prove(
    statement: Statement, committed: WeightsCommitment, randomness: Randomness, hidden: Sequence[Sequence[int]] = ()
) -> Proof:
    """A proof for an honest witness. `hidden`: inputs and the hash's randomness of each sample, where they are."""
    prover = Prover(statement, committed, committed.weights, randomness, hidden)
    return prover.run(Transcript(statement.digest))


@dataclass
class Prover:
    """One run of the argument, message by message. A liar computes with other weights than are committed to."""

    statement: Statement
    committed: WeightsCommitment
    weights: Weights
    randomness: Randomness
    hidden: Sequence[Sequence[int]] = ()
    values: dict[str, Rows] = field(init=False)
    columns: Rows = field(init=False)

    @property
    def shape(self) -> Shape:
        return self.statement.shape

    @property
    def samples(self) -> Sequence[Sequence[int]]:
        """The inputs themselves."""
        features = self.shape.program.values[0].features
        return [sample[:features] for sample in self.hidden] if self.shape.hidden else self.statement.inputs

    def traces(self) -> list[Trace]:
        """A liar may give others."""
        return [Run(self.shape.program, self.weights).trace(sample) for sample in self.samples]

    def witness(self) -> None:
        self.found = self.traces()
        self.values = value_columns(self.shape, self.found, self.hidden)
        self.columns = base_columns(self.shape, self.values)

    def inverses(self, alpha: Ext, beta: Ext) -> Rows:
        return inverse_columns(self.shape, self.columns, alpha, beta)

    def run(self, challenger: Challenger) -> Proof:
        shape, drawn, weights = self.shape, self.randomness, self.shape.weights
        self.witness()
        first, mask = first_commitment(shape, self.columns, drawn), mask_commitment(shape, drawn)
        challenger.absorb("roots", first.root + mask.root)
        stream = challenger.draw("lookup")
        alpha, beta = stream.element(), stream.element()
        inverses = self.inverses(alpha, beta)
        second = second_commitment(shape, inverses, drawn)
        challenger.absorb("root2", second.root)
        ch = Challenges(alpha, beta, challenger.draw("batch").elements(shape.beta))
        samples = Samples(self.statement, ch.r_b)
        layers, G_i = [], []
        for layer in shape.layers:
            sent, G = self._layer(layer, samples, ch, challenger)
            layers.append(sent)
            G_i.append(G)
        draw_maps(shape, ch, challenger)

        claims = linear_claims(shape, samples, ch, layers)
        constant, constant_W = mask_constants(shape, ch, lambda name, i: drawn.of_mask(shape, name, i)[0])
        constraint = Constraint(shape, samples, ch, claims)
        vectors = constraint.vectors()
        keys = list(vectors)
        sums = SumCheck(
            [as_elements(column) for column in self.columns + inverses],
            drawn.of_mask(shape, "rho"),
            list(vectors.values()),
            lambda committed, public: constraint.evaluate(committed, dict(zip(keys, public, strict=True))),
            shape.degrees,
            drawn.of_mask(shape, "g"),
            constant,
        )
        rounds, z, left = follow(sums, claims.sum, shape.degrees, ("round", "z"), challenger)
        y = sums.committed_values(z)
        challenger.absorb("values", serialize(y))
        G_z = left - constraint.evaluate(y, constraint.values(z))

        claims_W = weights_claims(shape, samples, ch, layers)
        sums = SumCheck(
            [as_elements(column) for column in self.committed.columns],
            drawn.of_mask(shape, "rho_w"),
            claims_W.columns,
            inner,
            weights.degrees,
            drawn.of_mask(shape, "g_W"),
            constant_W,
        )
        rounds_W, w, left = follow(sums, claims_W.sum, weights.degrees, ("weights round", "w"), challenger)
        y_W = sums.committed_values(w)
        challenger.absorb("weights values", serialize(y_W))
        G_W = left - inner([evaluated(column, w) for column in claims_W.columns], y_W)
        trees = Trees(first, second, mask, self.committed.commitment)
        sent_before = Sent(trees, layers, rounds, rounds_W, Ends(y, G_z, y_W, G_W, G_i), z, w)
        return self._open(sent_before, ch, challenger)

    def _layer(
        self, layer: LayerShape, samples: Samples, ch: Challenges, challenger: Challenger
    ) -> tuple[LayerSent, Ext]:
        """One layer's sum-check, and what its masks must be at s."""
        shape = self.shape
        ch.r_o.append(challenger.draw("layer").elements(_bits(layer.outputs)))
        x, m, bias = self.layer_vectors(layer, samples, ch.r_o[-1])
        A = inner(x, m) + bias

        def mask(name: str) -> Ext:
            return self.randomness.of_mask(shape, name, layer.place)[0]

        rho_A = mask("rho_A") if layer.stated else ZERO
        v_A = self.sum_of(layer, A, samples, ch) + rho_A if layer.stated else None
        v_B = bias + mask("rho_B")
        sent = LayerSent(v_A, v_B, [], None, ZERO)
        challenger.absorb("claim", sent.claim_bytes())
        sums = SumCheck(
            [x, m],
            [ZERO if layer.public else mask("rho_X"), mask("rho_M")],
            [],
            lambda committed, _: committed[0] * committed[1],
            layer.degrees,
            self.randomness.of_mask(shape, "g_i", layer.place),
            (rho_A - mask("rho_B")).scale(pow(1 << layer.variables, -1, _P)),
        )
        start = (sum_of_outputs(layer, samples, ch.r_o[-1]) if v_A is None else v_A) - v_B
        rounds, s, left = follow(sums, start, layer.degrees, ("layer round", "s"), challenger)
        ch.s.append(s)
        x_s, m_s = sums.committed_values(s)
        sent = LayerSent(v_A, v_B, rounds, None if layer.public else x_s, m_s)
        challenger.absorb("ends", sent.ends_bytes())
        known = public_source(layer, samples, s) if layer.public else x_s
        return sent, left - known * m_s

    def sum_of(self, layer: LayerShape, products: Ext, samples: Samples, ch: Challenges) -> Ext:  # noqa: ARG002
        """A of a layer whose sums are hidden. A liar may state another one: that of its columns."""
        return products

    def layer_vectors(
        self, layer: LayerShape, samples: Samples, r_o: Sequence[Ext]
    ) -> tuple[list[Ext], list[Ext], Ext]:
        """X, m and Bi."""
        step = self.shape.program.layers[layer.place][1]
        N = 1 << layer.variables
        given = [trace.values[step.source] for trace in self.found]
        x = [inner_base(samples.omega, entries) for entries in zip(*given, strict=True)]
        eq = truncated(r_o, layer.outputs)
        m = [ZERO] * N
        weights, biases = self.weights.weights[layer.place], self.weights.biases[layer.place]
        values = self.shape.program.values
        for f, w, i in step.products(values[step.source].shape):
            m[i] = m[i] + eq[f].scale(weights[w])
        bias = total(e.scale(biases[step.bias_of(f, values[layer.step].shape)]) for f, e in enumerate(eq))
        return x + [ZERO] * (N - len(x)), m, samples.sum * bias

    def _open(self, sent: Sent, ch: Challenges, challenger: Challenger) -> Proof:
        shape = self.shape
        kappa = Kappa.draw(shape, challenger)
        rows = RowWeights.of(kappa.columns, sent.z, shape.code)
        rows_W = RowWeights.of(kappa.weights, sent.w, shape.weights.code)
        w_m, w_mW = mask_weights(shape, ch, kappa, sent.z, sent.w)
        sigma, sigma_W = self.sigmas((rows, rows_W), (w_m, w_mW))
        challenger.absorb("sigma", serialize([sigma, sigma_W]))
        epsilon = challenger.draw("epsilon").element()
        u = self.opened_row(sent, rows, epsilon)
        u_W = self.opened_weights_row(sent, rows_W, epsilon)
        u_m = self.opened_mask_row(epsilon)
        C, C_W = shape.code.C, shape.weights.code.C
        joint, pair = Joint.of(shape), (u[:C], u_W[:C_W])
        third = joint.commit(pair)
        trees, ends = sent.trees, sent.ends
        head = Head(
            statement=self.statement.digest,
            root1=trees.first.root,
            root_M=trees.mask.root,
            root2=trees.second.root,
            layers=sent.layers,
            rounds=sent.rounds,
            y=ends.y,
            rounds_W=sent.rounds_W,
            y_W=ends.y_W,
            sigma=sigma,
            sigma_W=sigma_W,
            u_m=u_m,
            u_end=u[C:],
            u_W_end=u_W[C_W:],
            root3=third.root,
        )
        challenger.absorb("opening", head.opening_bytes())
        positions = challenger.draw("positions").positions(shape.code.n, shape.code.Q)
        places = challenger.draw("places").positions(shape.weights.code.n, shape.weights.code.Q)
        openings = Openings(
            trees.first.open(positions), trees.second.open(positions), trees.mask.open(places),
            trees.weights.open(places),
        )  # fmt: skip
        left = claim(sigma, epsilon, kappa, ends, w_m, u_m)
        left_W = claim_W(sigma_W, epsilon, kappa, ends, w_mW, u_m)
        sides = both_sides(shape, head, openings, (positions, places), (rows, rows_W), (left, left_W))
        rows_sent = prove_rows(joint, sides, pair, third, epsilon, openings.to_bytes(), challenger)
        return Proof(head, openings, rows_sent)

    def sigmas(self, rows: tuple[RowWeights, RowWeights], masks: tuple[MaskWeights, MaskWeights]) -> tuple[Ext, Ext]:
        """sigma and sigma_W. A liar may send others."""
        drawn, shape = self.randomness, self.shape
        (row, row_W), (w_m, w_mW) = rows, masks
        sigma = inner(row.low, drawn.mu[: shape.code.C]) + inner(w_m, drawn.nu[: shape.M])
        return sigma, inner(row_W.low, drawn.mu_W[: shape.weights.code.C]) + inner(w_mW, drawn.nu[: shape.M])

    def opened_row(self, sent: Sent, rows: RowWeights, epsilon: Ext) -> list[Ext]:
        """u. A liar may send another one."""
        return combine(self.randomness.mu, epsilon, rows.rows, sent.trees.first.rows[:-6] + sent.trees.second.rows)

    def opened_weights_row(self, sent: Sent, rows_W: RowWeights, epsilon: Ext) -> list[Ext]:
        """u_W. A liar may send another one."""
        return combine(self.randomness.mu_W, epsilon, rows_W.rows, sent.trees.weights.rows)

    def opened_mask_row(self, epsilon: Ext) -> list[Ext]:
        """u_m. A liar may send another one."""
        drawn = self.randomness
        mask_row = [*drawn.mask, *drawn.mask_appended]
        return [blind + epsilon * x for blind, x in zip(drawn.nu, mask_row, strict=True)]


def _bits(count: int) -> int:
    return (count - 1).bit_length()


@dataclass(frozen=True)
class Trees:
    first: Commitment
    second: Commitment
    mask: Commitment
    weights: Commitment


@dataclass(frozen=True)
class Sent:
    """What the opening needs of the messages before it."""

    trees: Trees
    layers: list[LayerSent]
    rounds: list[list[Ext]]
    rounds_W: list[list[Ext]]
    ends: Ends
    z: list[Ext]
    w: list[Ext]


def draw_maps(shape: Shape, ch: Challenges, challenger: Challenger) -> None:
    """Row 4 of the transcript."""
    drawn = challenger.draw("maps")
    ch.r_t = [drawn.elements(_bits(shape.forms.cells[t].features)) for t in shape.linear_cells]
    if shape.argmax_draws:
        ch.r_argmax = drawn.elements(_bits(shape.argmax_draws))
    if shape.hash is not None:
        ch.r_h = drawn.elements(_bits(shape.hash.rows))
    if shape.program.last_is_rounded:
        ch.r_out = drawn.elements(_bits(shape.program.outputs))
    ch.tau = challenger.draw("point").elements(shape.ell)
    drawn = challenger.draw("gamma")
    ch.gamma, ch.gamma_W = drawn.element(), drawn.element()


def linear_claims(shape: Shape, samples: Samples, ch: Challenges, layers: Sequence[LayerSent]) -> LinearClaims:
    v_A = [ZERO if sent.v_A is None else sent.v_A for sent in layers]
    return LinearClaims(shape, samples, ch, v_A, [ZERO if sent.x is None else sent.x for sent in layers])


def weights_claims(shape: Shape, samples: Samples, ch: Challenges, layers: Sequence[LayerSent]) -> WeightsClaims:
    return WeightsClaims(shape, samples.sum, ch, [sent.m for sent in layers], [sent.v_B for sent in layers])


def follow(
    sums: SumCheck, start: Ext, degrees: Sequence[int], labels: tuple[str, str], challenger: Challenger
) -> tuple[list[list[Ext]], list[Ext], Ext]:
    """All rounds of a sum-check: what is sent, the point, and the claim there."""
    rounds: list[list[Ext]] = []
    point: list[Ext] = []
    for i in range(len(degrees)):
        values = sums.round(i)
        rounds.append([values[0], *values[2:]])
        challenger.absorb(labels[0], serialize(rounds[-1]))
        point.append(challenger.draw(labels[1]).element())
        # A liar's p(0) + p(1) is not the claim; what the verifier goes on with is what counts.
        start = interpolate([values[0], start - values[0], *values[2:]], point[-1])
        sums.bind(i, point[-1])
    return rounds, point, start


def evaluated(vector: Sequence[Ext], point: Sequence[Ext]) -> Ext:
    for coordinate in point:
        vector = bind(vector, coordinate)
    return vector[0]
