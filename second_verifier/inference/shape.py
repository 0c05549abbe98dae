"""Every count and every place of a proof of answers (docs/inference-proofs.md, Shape)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

from bounded_update.shape import ceil_log2

from .cells import Forms
from .codes import REAL, Code, Parameters, column_code, opened_code
from .field_hash import FieldHash
from .program import Program
from .values import Refused, need
from .weights_shape import WeightsShape

FRACTIONS_IN_A_CHUNK: Final = 7
LARGEST_BATCH: Final = 1 << 14
MASK_WORDS: Final = 6  # of tree 1: the mask row's, nu's and mu's two parts


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
        """Of those that fit, the one with which trees 1 and 2 have the fewest words; of those the least."""
        p = self.parameters
        fitting: list[tuple[int, int]] = []
        refused = ""
        for ell in sorted(p.codes):
            if ell < self.beta:
                continue
            code = column_code(p, ell)
            runs = (1 << ell) // code.C
            first = sum(columns_of(self, ell).values()) * runs + MASK_WORDS
            if first > p.words:  # before columns are listed, of which a program may have any number
                refused = f"2^{ell}: {first} words of {p.words}"
                continue
            sizes = Sizes(self, ell)
            second, mask = 2 * sizes.m_q * runs, sizes.M + code.Q
            if second <= p.words and mask <= code.K:
                fitting.append(((first + second) * code.n, ell))
            refused = f"2^{ell}: {first} and {second} words of {p.words}, mask row {mask} of {code.K}"
        if not fitting:
            raise Refused(f"no column is long enough for {self.batch} answers: {refused}")
        return min(fitting)[1]

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


def columns_of(shape: Shape, ell: int) -> dict[str, int]:
    """How many columns of 2^ell entries there are of each kind."""
    columns = {kind: -(-features >> ell - shape.beta) for kind, features in shape.features.items()}
    return columns | {"uses": -(-len(shape.entries) >> ell)}


class Sizes:
    """What depends on the length of a column, which is chosen by it."""

    def __init__(self, shape: Shape, ell: int) -> None:
        self.columns = columns_of(shape, ell)
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
