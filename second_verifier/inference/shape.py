"""Every count and every place of a proof of answers (docs/inference-proofs.md, Shape)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Protocol

from bounded_update.shape import _CODES, SECURITY, ceil_log2, log2

from .cells import Forms
from .field_hash import FieldHash
from .program import Program, Refused, need

FRACTIONS_IN_A_CHUNK: Final = 7
LARGEST_BATCH: Final = 1 << 14
MOST_OPENINGS: Final = 64
MASK_WORDS: Final = 6  # of tree 1: the mask row's, nu's and mu's two parts


@dataclass(frozen=True)
class Parameters:
    """The numbers of the page. Others are toys: they prove nothing to anybody, and are there for tests."""

    codes: Mapping[int, tuple[int, int, int, int]] = field(default_factory=lambda: _CODES)  # log2 of C, n, C2, n2
    security: int = SECURITY
    words: int = 124
    least_run: int = 11  # of c_W
    run_of_an_opening: int = 512
    least_omega: int = 12
    weights_words: int = 120
    largest_run: int = 19


REAL: Final = Parameters()


def least_queries(C: int, n: int, appended: int, security: int) -> int:
    """The least Q with ((n + C + appended Q) / 2n)^Q <= 2^-security, in exact integers."""
    Q = 1
    while (n + C + appended * Q) ** Q << security > (2 * n) ** Q:
        Q += 1
        need(C + appended * Q <= n, f"no number of positions is enough for runs of {C} in words of {n}")
    return Q


@dataclass(frozen=True)
class Code:
    """Runs of C entries with `appended` elements each, words of n, Q positions."""

    C: int
    n: int
    Q: int
    appended: int

    @property
    def K(self) -> int:
        return self.C + self.appended

    def to_numbers(self) -> tuple[int, int, int]:
        return log2(self.C), log2(self.n), self.Q


def _row_code(parameters: Parameters, log_C: int) -> Code:
    for run, _, row, length in parameters.codes.values():
        if run == log_C:
            C, n = 1 << row, 1 << length
            return Code(C, n, least_queries(C, n, 0, parameters.security), 0)
    raise Refused(f"no code of the table has runs of 2^{log_C}")


def opened_code(parameters: Parameters, codes: tuple[Code, Code]) -> Code:
    """That of the runs of two opened rows."""
    return _row_code(parameters, log2(max(code.C for code in codes)))


def column_code(parameters: Parameters, ell: int) -> Code:
    """That of columns of 2^ell entries."""
    run, length, _, _ = parameters.codes[ell]
    C, n = 1 << run, 1 << length
    Q = least_queries(C, n, 1, parameters.security)
    return Code(C, n, Q, Q)


@dataclass(frozen=True)
class WeightsShape:
    """Of the commitment to weights: it depends on the program and T alone."""

    program: Program
    openings: int  # T
    parameters: Parameters = REAL

    def __post_init__(self) -> None:
        need(1 <= self.openings <= MOST_OPENINGS, f"{self.openings} openings, not 1 to {MOST_OPENINGS}")
        self.omega  # noqa: B018 - refuses what does not fit

    @cached_property
    def order(self) -> list[int]:
        """Layers, by their place among the layers, as they stand in the weights vector."""
        layers = self.program.layers
        dense = [i for i, (number, _) in enumerate(layers) if self._padded(number)]
        dense.sort(key=lambda i: -self._padded(layers[i][0]))
        return dense + [i for i, (number, _) in enumerate(layers) if not self._padded(number)]

    def _padded(self, number: int) -> int:
        """K' of a Dense, 0 of a Conv."""
        source = self.program.given(number)[0]
        dense = type(self.program.steps[number - 1]).__name__ == "Dense"
        return 1 << ceil_log2(source.features) if dense else 0

    @cached_property
    def weights_start(self) -> list[int]:
        """Where the weights of each layer begin in the weights vector."""
        return self._starts[0]

    @cached_property
    def weights_length(self) -> int:
        return self._starts[1]

    @cached_property
    def _starts(self) -> tuple[list[int], int]:
        starts, at = [0] * len(self.program.layers), 0
        for i in self.order:
            number, layer = self.program.layers[i]
            starts[i] = at
            padded = self._padded(number)
            at += layer.biases * padded if padded else layer.weights(self.program.given(number)[0].shape)
        return starts, at

    def weight_place(self, layer: int, weight: int) -> int:
        """The place in the weights vector of a weight, given by its index in natural order."""
        number = self.program.layers[layer][0]
        padded, width = self._padded(number), self.program.given(number)[0].features
        inside = weight // width * padded + weight % width if padded else weight
        return self.weights_start[layer] + inside

    @cached_property
    def bias_start(self) -> list[int]:
        """Where the biases of each layer begin in the bias vector."""
        starts, at = [], 0
        for _, layer in self.program.layers:
            starts.append(at)
            at += layer.biases
        return starts

    @cached_property
    def biases(self) -> int:
        return sum(layer.biases for _, layer in self.program.layers)

    def _columns(self, omega: int) -> tuple[int, int]:
        return -(-self.weights_length >> omega), -(-self.biases >> omega)

    @cached_property
    def _least_run(self) -> int:
        c = self.parameters.least_run
        while 1 << c < self.parameters.run_of_an_opening * self.openings:
            c += 1
        return c

    def _run(self, omega: int) -> int:
        return max(self._least_run, omega - 2)

    @cached_property
    def omega(self) -> int:
        p = self.parameters
        omega = max(p.least_omega, self._least_run)
        while self._run(omega) <= p.largest_run:
            if sum(self._columns(omega)) << omega - self._run(omega) <= p.weights_words:
                return omega
            omega += 1
        count = self.weights_length + self.biases
        raise Refused(f"{count} weights and biases are more than columns of 2^{omega - 1} entries hold")

    @cached_property
    def WL(self) -> int:
        return 1 << self.omega

    @cached_property
    def n_1(self) -> int:
        return self._columns(self.omega)[0]

    @cached_property
    def n_W(self) -> int:
        return sum(self._columns(self.omega))

    @cached_property
    def code(self) -> Code:
        C = 1 << self._run(self.omega)
        n = 8 * C
        Q = least_queries(C, n, self.openings, self.parameters.security)
        return Code(C, n, Q, self.openings * Q)

    @cached_property
    def row_code(self) -> Code:
        """Of the runs of both opened rows of a link."""
        return opened_code(self.parameters, (self.code, self.code))

    @cached_property
    def R(self) -> int:
        return self.WL // self.code.C

    @cached_property
    def degrees(self) -> list[int]:
        return [2] * (self.omega - 1) + [3]

    def to_numbers(self) -> tuple[int, ...]:
        return self.omega, *self.code.to_numbers()


@dataclass(frozen=True)
class Table:
    """`v0` goes through first .. end - 1. v1 is its clipped value, or 0 where `clip` is None. Tables of two kinds are
    two, even where their entries are the same."""

    kind: str
    first: int
    end: int
    clip: tuple[int, int] | None

    def entries(self) -> list[tuple[int, int]]:
        if self.clip is None:
            return [(v, 0) for v in range(self.first, self.end)]
        low, high = self.clip
        return [(v, min(max(v, low), high)) for v in range(self.first, self.end)]


@dataclass(frozen=True)
class Fraction:
    """kind: q, r, i or uses. `column` counts the columns of that kind."""

    kind: str
    column: int


@dataclass(frozen=True)
class Shape:
    program: Program
    batch: int  # B
    openings: int  # T
    hash: FieldHash | None = None  # with hidden inputs
    parameters: Parameters = REAL

    def __post_init__(self) -> None:
        need(1 <= self.batch <= LARGEST_BATCH, f"a batch of {self.batch}, not 1 to {LARGEST_BATCH}")
        self.ell  # noqa: B018 - refuses what does not fit

    @property
    def hidden(self) -> bool:
        return self.hash is not None

    @cached_property
    def weights(self) -> WeightsShape:
        return WeightsShape(self.program, self.openings, self.parameters)

    @cached_property
    def forms(self) -> Forms:
        return Forms(self.program)

    # Features.

    @cached_property
    def beta(self) -> int:
        return ceil_log2(self.batch)

    @property
    def padded_batch(self) -> int:
        """B'."""
        return 1 << self.beta

    @cached_property
    def layout(self) -> list[int]:
        """Cells as they are laid out."""
        cells = self.forms.cells
        return sorted(range(len(cells)), key=lambda t: cells[t].shift == 0)

    @cached_property
    def offsets(self) -> list[int]:
        """o_t of every cell, in the order of steps."""
        offsets, at = [0] * len(self.layout), 0
        for t in self.layout:
            offsets[t] = at
            at += self.forms.cells[t].features
        return offsets

    @cached_property
    def features(self) -> dict[str, int]:
        cells = self.forms.cells
        every = sum(cell.features for cell in cells)
        inputs = self.program.values[0].features + self.hash.randomness if self.hash else 0
        return {"q": every, "r": sum(cell.features for cell in cells if cell.shift), "y": every, "i": inputs}

    # Tables.

    @cached_property
    def _tables(self) -> tuple[list[Table], dict[str, list[int]]]:
        tables: dict[Table, int] = {}
        tags: dict[str, list[int]] = {"q": [], "r": [], "i": []}
        cells = [self.forms.cells[t] for t in self.layout]

        def use(kind: str, table: Table, features: int) -> None:
            tags[kind] += [tables.setdefault(table, len(tables))] * features

        for cell in cells:
            size = 1 << cell.q_bits
            clip = Table("clip", -size, size, (cell.low, cell.high))
            use("q", Table("interval", 0, size, None) if cell.whole else clip, cell.features)
        for cell in cells:
            if cell.shift:
                use("r", Table("range", 0, 1 << cell.shift, None), cell.features)
        if self.hidden:
            use("i", Table("interval", self.program.low, self.program.high + 1, None), self.features["i"])
        return list(tables), tags

    @property
    def tables(self) -> list[Table]:
        return self._tables[0]

    @property
    def tags(self) -> dict[str, list[int]]:
        """The tag of each feature of Q, R and I; behind the last it is that of the last."""
        return self._tables[1]

    @cached_property
    def entries(self) -> list[tuple[int, int, int]]:
        """v0, v1 and k of the table vector."""
        return [(v0, v1, k) for k, table in enumerate(self.tables) for v0, v1 in table.entries()]

    # Columns.

    @cached_property
    def ell(self) -> int:
        p = self.parameters
        refused = []
        for ell in sorted(p.codes):
            if ell < self.beta:
                continue
            code = column_code(p, ell)
            sizes = Sizes(self, ell)
            runs = (1 << ell) // code.C
            first, second, mask = sizes.c * runs + MASK_WORDS, 2 * sizes.m_q * runs, sizes.M + code.Q
            if first <= p.words and second <= p.words and mask <= code.K:
                return ell
            refused.append(f"2^{ell}: {first} and {second} words of {p.words}, mask row {mask} of {code.K}")
        raise Refused(f"no column is long enough for {self.batch} answers: " + "; ".join(refused[-1:]))

    @cached_property
    def sizes(self) -> Sizes:
        return Sizes(self, self.ell)

    @cached_property
    def L(self) -> int:
        return 1 << self.ell

    @cached_property
    def code(self) -> Code:
        return column_code(self.parameters, self.ell)

    @cached_property
    def row_code(self) -> Code:
        """Of the runs of both opened rows."""
        return opened_code(self.parameters, (self.code, self.weights.code))

    @cached_property
    def R(self) -> int:
        return self.L // self.code.C

    @property
    def c(self) -> int:
        return self.sizes.c

    @property
    def m_q(self) -> int:
        return self.sizes.m_q

    @property
    def m(self) -> int:
        return self.sizes.m

    @property
    def M(self) -> int:
        return self.sizes.M

    @property
    def degrees(self) -> list[int]:
        return self.sizes.degrees

    @property
    def columns(self) -> dict[str, int]:
        return self.sizes.columns

    @property
    def chunks(self) -> list[list[Fraction]]:
        return self.sizes.chunks

    def column(self, kind: str, index: int = 0) -> int:
        """The place among all columns of column `index` of q, r, y, i or uses."""
        kinds = ("q", "r", "y", "i", "uses")
        return sum(self.columns[before] for before in kinds[: kinds.index(kind)]) + index

    # Layers.

    @cached_property
    def layers(self) -> list[LayerShape]:
        return [self._layer(place) for place in range(len(self.program.layers))]

    def _layer(self, place: int) -> LayerShape:
        number, step = self.program.layers[place]
        public = self.program.is_input(step.source) and not self.hidden
        cell = self.forms.index[number, 0] if step.rounding is not None else None
        stated = number < len(self.program.steps) or cell is not None
        inputs, outputs = self.program.given(number)[0].features, self.program.values[number].features
        return LayerShape(place, number, inputs, outputs, cell, stated, public)

    @cached_property
    def linear_cells(self) -> list[int]:
        """The cells of a Sum, AveragePool or MaxPool, in the order of steps."""
        return [t for t in range(len(self.forms.cells)) if self.forms.is_linear(t)]

    @cached_property
    def argmax_cells(self) -> tuple[int, int]:
        """Of the distances, and of the largest."""
        number = len(self.program.steps)
        return self.forms.index[number, 1], self.forms.index[number, 2]

    @property
    def argmax_draws(self) -> int:
        """Features over which an ArgMax of a value is held to its source; 0 where there is none."""
        program = self.program
        return 0 if program.argmax is None or program.argmax_of_sums else program.given(len(program.steps))[0].features

    @cached_property
    def places(self) -> dict[tuple[str, int], slice]:
        """Of everything in the mask row."""
        return self.sizes.places


@dataclass(frozen=True)
class LayerShape:
    """A Dense or Conv: its place among them and its step, the features of its source and of what it gives. `stated`:
    whether v_A is sent, since what it gives is hidden."""

    place: int
    step: int
    inputs: int
    outputs: int
    cell: int | None  # None where it is not rounded
    stated: bool
    public: bool  # whether X is

    @property
    def variables(self) -> int:
        """lambda."""
        return ceil_log2(self.inputs)

    @property
    def degrees(self) -> list[int]:
        return [2] * (self.variables - 1) + [4]


class RangeOrAnswers(Protocol):
    """A shape of which two rows are opened: of fresh columns, and of weights."""

    @property
    def code(self) -> Code: ...

    @property
    def row_code(self) -> Code: ...

    @property
    def weights(self) -> WeightsShape: ...


class Sizes:
    """What depends on the length of a column, which is chosen by it."""

    def __init__(self, shape: Shape, ell: int) -> None:
        beta = shape.beta
        self.columns = {kind: -(-features >> ell - beta) for kind, features in shape.features.items()}
        self.columns["uses"] = -(-len(shape.entries) >> ell)
        self.c = sum(self.columns.values())
        fractions = [Fraction(kind, i) for kind in ("q", "r", "i", "uses") for i in range(self.columns[kind])]
        step = FRACTIONS_IN_A_CHUNK
        self.chunks = [fractions[i : i + step] for i in range(0, len(fractions), step)]
        self.m_q = len(self.chunks)
        self.m = self.c + 2 * self.m_q
        f_max = max((len(chunk) for chunk in self.chunks), default=0)
        self.degrees = [f_max + 2] * (ell - 1) + [2 * f_max + 3]
        self.places: dict[tuple[str, int], slice] = {}
        self.M = 0
        self._take("g", 0, sum(self.degrees))
        self._take("rho", 0, self.m)
        for layer in shape.layers:
            self._take("g_i", layer.place, sum(layer.degrees))
            for name in ("rho_A", "rho_B", "rho_X", "rho_M"):
                self._take(name, layer.place, 1)
        self._take("g_W", 0, sum(shape.weights.degrees))
        self._take("rho_w", 0, shape.weights.n_W)

    def _take(self, name: str, index: int, count: int) -> None:
        self.places[name, index] = slice(self.M, self.M + count)
        self.M += count
