"""From the challenges to the claims: over Q, R, Y and I, and over the weights (docs/inference-proofs.md, Claims)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bounded_update.field import ONE, ZERO, Ext, eq_vector, inner, inner_base, powers, total

from .cells import Cell, Pulled
from .shape import LayerShape, Shape
from .statement import Statement


def bump(point: Sequence[Ext]) -> Ext:
    """x (1 - x) of the last variable."""
    return point[-1] * (ONE - point[-1])


@dataclass
class Challenges:
    """All that is drawn before the rounds over L rows, as far as it has been drawn."""

    alpha: Ext
    beta: Ext
    r_b: list[Ext]
    r_o: list[list[Ext]] = field(default_factory=list)  # of each layer
    s: list[list[Ext]] = field(default_factory=list)
    r_t: list[list[Ext]] = field(default_factory=list)  # of each linear cell
    r_argmax: list[Ext] = field(default_factory=list)  # of an ArgMax of a value
    r_h: list[Ext] = field(default_factory=list)
    r_out: list[Ext] = field(default_factory=list)
    tau: list[Ext] = field(default_factory=list)
    gamma: Ext = ZERO
    gamma_W: Ext = ZERO


class Samples:
    """Omega, and what it makes of the statement's inputs and outputs."""

    def __init__(self, statement: Statement, r_b: Sequence[Ext]) -> None:
        self.statement = statement
        self.omega = eq_vector(r_b)[: statement.shape.batch]
        self.sum = total(self.omega)

    @cached_property
    def inputs(self) -> list[Ext]:
        """sum_b Omega_b input_b, or with hidden inputs of their hashes."""
        return self._combined(self.statement.inputs)

    @cached_property
    def outputs(self) -> list[Ext]:
        return self._combined(self.statement.outputs)

    @property
    def places(self) -> list[int]:
        """c_b, the answers of an ArgMax."""
        return [sample[0] for sample in self.statement.outputs]

    def ties(self, weights: Sequence[Ext]) -> Ext:
        """ties(w)."""
        argmax = self.statement.shape.program.argmax
        assert argmax is not None
        counted = (
            (omega, total(weight for k, weight in enumerate(weights) if argmax.counts(k, c)))
            for omega, c in zip(self.omega, self.places, strict=True)
        )
        return total(omega * weight for omega, weight in counted)

    def _combined(self, batch: Sequence[Sequence[int]]) -> list[Ext]:
        return [inner_base(self.omega, entries) for entries in zip(*batch, strict=True)]


def truncated(point: Sequence[Ext], length: int) -> list[Ext]:
    """eq_F."""
    return eq_vector(point)[:length]


def sum_of_outputs(layer: LayerShape, samples: Samples, r_o: Sequence[Ext]) -> Ext:
    """A of a layer whose sums are the outputs."""
    return inner(truncated(r_o, layer.outputs), samples.outputs)


def public_source(layer: LayerShape, samples: Samples, s: Sequence[Ext]) -> Ext:
    """X(s) of a layer whose source is the public input."""
    return inner(truncated(s, layer.inputs), samples.inputs)


def power_of_a(shape: Shape, layer: int) -> int:
    return shape.m_q + 1 + 2 * layer


def power_of_x(shape: Shape, layer: int) -> int:
    return shape.m_q + 2 + 2 * layer


class LinearClaims:
    """The sum of all linear claims, each times its power of gamma: weights over the features, and what they add up to.

    `v_A` and `x` are what was sent of each layer; ZERO where nothing was.
    """

    def __init__(self, shape: Shape, samples: Samples, ch: Challenges, v_A: Sequence[Ext], x: Sequence[Ext]) -> None:
        self._shape, self._samples, self._ch = shape, samples, ch
        self.weights = {kind: [ZERO] * count for kind, count in shape.features.items()}
        self.sum = ZERO
        self._cells_from = shape.m_q + 1 + 2 * len(shape.layers)
        self._next = self._cells_from + len(shape.linear_cells)
        self._gamma = powers(ch.gamma, self._next + 4)
        self.place = ZERO  # the power of gamma of the place of an ArgMax
        for layer, sent_A, sent_x in zip(shape.layers, v_A, x, strict=True):
            if layer.cell is not None:
                self._sums_of_layer(layer, shape.forms.cells[layer.cell], layer.cell, sent_A)
            elif layer.stated:
                self._sums_before_argmax(layer, sent_A)
            if not layer.public:
                self._source_of_layer(layer, sent_x)
        for j, t in enumerate(shape.linear_cells):
            self._linear_cell(j, t)
        if shape.argmax_draws:
            self._largest(self._take())
        if shape.hash is not None:
            self._hash(self._take())
        if shape.program.argmax is not None:
            self.place = self._take()
        if shape.program.last_is_rounded:
            self._outputs(self._take())

    def _take(self) -> Ext:
        """The next power of gamma."""
        self._next += 1
        return self._gamma[self._next - 1]

    def _sums_of_layer(self, layer: LayerShape, cell: Cell, t: int, v_A: Ext) -> None:
        eq = truncated(self._ch.r_o[layer.place], layer.outputs)
        power = self._gamma[power_of_a(self._shape, layer.place)]
        self._rounded_sums(t, eq, power)
        self.sum = self.sum + power * (v_A + (self._samples.sum * total(eq)).scale(cell.half))

    def _floor(self) -> int:
        program = self._shape.program
        assert program.argmax is not None
        return program.argmax.floor(program.given(len(program.steps))[0])

    def _sums_before_argmax(self, layer: LayerShape, v_A: Ext) -> None:
        """x_k = largest + floor - distance_k - t(k, c) of sums x."""
        eq = truncated(self._ch.r_o[layer.place], layer.outputs)
        power = self._gamma[power_of_a(self._shape, layer.place)]
        distances, largest = self._shape.argmax_cells
        self._rounded_sums(distances, eq, -power)
        self._rounded_sums(largest, [total(eq)], power)
        floor = (self._samples.sum * total(eq)).scale(self._floor())
        self.sum = self.sum + power * (v_A - floor + self._samples.ties(eq))

    def _largest(self, power: Ext) -> None:
        """The same of a value x."""
        shape, samples = self._shape, self._samples
        eq = truncated(self._ch.r_argmax, shape.argmax_draws)
        distances, largest = shape.argmax_cells
        self._rounded_sums(distances, eq, power)
        self._rounded_sums(largest, [total(eq)], -power)
        pulled = Pulled()
        shape.forms.pull(shape.program.steps[-1].sources[0], eq, pulled)
        floor = (samples.sum * total(eq)).scale(self._floor())
        self.sum = self.sum + power * (floor - samples.ties(eq) - self._add(pulled, power))

    def _source_of_layer(self, layer: LayerShape, x: Ext) -> None:
        """X of a layer is what its source holds."""
        source = self._shape.program.steps[layer.step - 1].sources[0]
        pulled = Pulled()
        self._shape.forms.pull(source, truncated(self._ch.s[layer.place], layer.inputs), pulled)
        power = self._gamma[power_of_x(self._shape, layer.place)]
        self.sum = self.sum + power * (x - self._add(pulled, power))

    def _linear_cell(self, j: int, t: int) -> None:
        """A cell of a Sum, AveragePool or MaxPool, number j of those."""
        cell = self._shape.forms.cells[t]
        power = self._gamma[self._cells_from + j]
        eq = truncated(self._ch.r_t[j], cell.features)
        self._rounded_sums(t, eq, power)
        pulled = Pulled()
        self._shape.forms.pull_sum(t, eq, pulled)
        half = (self._samples.sum * total(eq)).scale(cell.half)
        self.sum = self.sum + power * (half + self._add(pulled, -power))

    def _outputs(self, power: Ext) -> None:
        eq = truncated(self._ch.r_out, self._shape.program.outputs)
        pulled = Pulled()
        self._shape.forms.pull(len(self._shape.program.steps), eq, pulled)
        self.sum = self.sum + power * (inner(eq, self._samples.outputs) - self._add(pulled, power))

    def _rounded_sums(self, cell: int, weights: Sequence[Ext], power: Ext) -> None:
        """2^shift q + r of a cell."""
        shape = self._shape
        start, shift = shape.offsets[cell], shape.forms.cells[cell].shift
        for i, weight in enumerate(weights):
            self._put("q", start + i, power * weight.scale(1 << shift))
            if shift:
                self._put("r", start + i, power * weight)

    def _add(self, pulled: Pulled, power: Ext) -> Ext:
        """Puts what was pulled back, times a power of gamma or minus one, over Y and I. Gives the public part alone."""
        shape, samples = self._shape, self._samples
        for cell, weights in pulled.cells.items():
            for i, weight in enumerate(weights):
                self._put("y", shape.offsets[cell] + i, power * weight)
        public = samples.sum * pulled.constant
        if pulled.input is not None:
            if shape.hidden:
                for i, weight in enumerate(pulled.input):
                    self._put("i", i, power * weight)
            else:
                public = public + inner(pulled.input, samples.inputs)
        return public

    def _hash(self, power: Ext) -> None:
        """The hidden inputs are those of the hashes."""
        hashed = self._shape.hash
        assert hashed is not None
        eq = truncated(self._ch.r_h, hashed.rows)
        for feature, weight in enumerate(hashed.combination(eq)):
            self._put("i", feature, power * weight)
        self.sum = self.sum + power * inner(eq, self._samples.inputs)

    def _put(self, kind: str, feature: int, weight: Ext) -> None:
        self.weights[kind][feature] = self.weights[kind][feature] + weight


class WeightsClaims:
    """The columns C_w, and what their products with the weights columns add up to."""

    def __init__(self, shape: Shape, samples_sum: Ext, ch: Challenges, m: Sequence[Ext], v_B: Sequence[Ext]) -> None:
        self._shape, self._ch = shape, ch
        self.columns = [[ZERO] * shape.weights.WL for _ in range(shape.weights.n_W)]
        self.sum = ZERO
        gamma = powers(ch.gamma_W, 2 * len(shape.layers))
        for layer, sent_m, sent_B in zip(shape.layers, m, v_B, strict=True):
            self._weights_of_layer(layer, gamma[2 * layer.place], sent_m)
            self._biases_of_layer(layer, gamma[2 * layer.place + 1], samples_sum, sent_B)

    def _weights_of_layer(self, layer: LayerShape, power: Ext, m: Ext) -> None:
        shape, step = self._shape, self._shape.program.layers[layer.place][1]
        eq_o = [weight * power for weight in truncated(self._ch.r_o[layer.place], layer.outputs)]
        eq_s = truncated(self._ch.s[layer.place], layer.inputs)
        for output, weight, feature in step.products(shape.program.values[step.source].shape):
            self._put(shape.weights.weight_place(layer.place, weight), eq_o[output] * eq_s[feature])
        self.sum = self.sum + power * m

    def _biases_of_layer(self, layer: LayerShape, power: Ext, samples_sum: Ext, v_B: Ext) -> None:
        weights, step = self._shape.weights, self._shape.program.layers[layer.place][1]
        value = self._shape.program.values[layer.step].shape
        start = weights.n_1 * weights.WL + weights.bias_start[layer.place]
        for output, weight in enumerate(truncated(self._ch.r_o[layer.place], layer.outputs)):
            self._put(start + step.bias_of(output, value), samples_sum * power * weight)
        self.sum = self.sum + power * v_B

    def _put(self, place: int, weight: Ext) -> None:
        column = self.columns[place // len(self.columns[0])]
        row = place % len(column)
        column[row] = column[row] + weight
