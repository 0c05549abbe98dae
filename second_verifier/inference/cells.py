"""Cells, values as linear forms of them, and weights pulled back through the forms (Cells in the page)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bounded_update.field import ZERO, Ext

from .program import Program
from .steps import ArgMax, AveragePool, Conv, Dense, Flatten, MaxPool, Sum
from .values import Rounding


@dataclass(frozen=True)
class Cell:
    """A tensor that is rounded and clipped. `place` is that of a pool's window, counted from 1; 0 of other steps. Of an
    ArgMax 1 is of the distances, 2 of the largest: those are cut in two and nothing else, `whole`."""

    step: int
    place: int
    features: int
    shift: int
    low: int
    high: int
    q_bits: int
    whole: bool = False

    @property
    def half(self) -> int:
        return 0 if self.whole else (1 << self.shift) >> 1


def cells_of(program: Program) -> list[Cell]:
    """In the order of steps."""
    cells = []
    for number, step in enumerate(program.steps, 1):
        features = program.values[number].features
        if isinstance(step, MaxPool):
            low, high = program.given(number)[0].range
            width = high - low
            for place in range(1, step.windows.places):
                cells.append(Cell(number, place, features, 0, 0, width, width.bit_length()))
        elif isinstance(step, ArgMax):
            for place, count in ((1, program.given(number)[0].features), (2, 1)):
                cells.append(Cell(number, place, count, step.shift, 0, 0, step.q_bits, whole=True))
        elif not isinstance(step, Flatten) and step.rounding is not None:
            r: Rounding = step.rounding
            cells.append(Cell(number, 0, features, r.shift, r.low, r.high, r.q_bits))
    return cells


@dataclass
class Pulled:
    """Weights over the y of each cell, over the input, and the constant."""

    cells: dict[int, list[Ext]] = field(default_factory=dict)  # by the cell's place in the order of steps
    input: list[Ext] | None = None
    constant: Ext = ZERO

    def add_cell(self, cell: int, weights: Sequence[Ext]) -> None:
        before = self.cells.get(cell)
        self.cells[cell] = list(weights) if before is None else _added(before, weights)

    def add_input(self, weights: Sequence[Ext]) -> None:
        self.input = list(weights) if self.input is None else _added(self.input, weights)


def _added(left: Sequence[Ext], right: Sequence[Ext]) -> list[Ext]:
    return [a + b for a, b in zip(left, right, strict=True)]


class Forms:
    """All values of a program as linear forms."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.cells = cells_of(program)
        self.index = {(cell.step, cell.place): i for i, cell in enumerate(self.cells)}

    def pull(self, value: int, weights: Sequence[Ext], into: Pulled) -> None:
        """Adds what the weights over the features of a value are over cells, input and 1."""
        while value:
            step = self.program.steps[value - 1]
            if isinstance(step, MaxPool):
                for place in range(1, step.windows.places):
                    into.add_cell(self.index[value, place], weights)
                weights = self._moved(value, step, 0, weights, into)
            elif not isinstance(step, Flatten):
                into.add_cell(self.index[value, 0], weights)
                return
            value = step.source
        into.add_input(weights)

    def _moved(self, value: int, step: MaxPool, place: int, weights: Sequence[Ext], into: Pulled) -> list[Ext]:
        """The same over the source's values at one place of the windows, row-major; the constant is added."""
        source = self.program.values[step.source]
        low = source.range[0]
        moved = [ZERO] * source.features
        for weight, feature in zip(weights, self.features_at(value, place), strict=True):
            if feature is None:
                into.constant = into.constant + weight.scale(low)
            else:
                moved[feature] = moved[feature] + weight
        return moved

    def features_at(self, value: int, place: int) -> list[int | None]:
        """For each feature of a pool's value, the feature of the source at this place of its window."""
        step = self.program.steps[value - 1]
        assert isinstance(step, MaxPool | AveragePool)
        shape = self.program.values[step.source].shape
        at = step.windows.all_places()[place]
        return [f for channel in range(shape[0]) for f in step.windows.of_channel(shape, channel, at)]

    def pull_sum(self, cell: int, weights: Sequence[Ext], into: Pulled) -> None:
        """The same for the sum that is rounded in a cell of a Sum, an AveragePool or a MaxPool."""
        number, place = self.cells[cell].step, self.cells[cell].place
        step = self.program.steps[number - 1]
        if isinstance(step, Sum):
            for source, shift in zip(step.sources, step.left_shifts, strict=True):
                self.pull(source, [weight.scale(1 << shift) for weight in weights], into)
        elif isinstance(step, AveragePool):
            spread = [ZERO] * self.program.values[step.source].features
            for at in range(step.windows.places):
                for weight, feature in zip(weights, self.features_at(number, at), strict=True):
                    assert feature is not None  # there are no pads
                    spread[feature] = spread[feature] + weight.scale(step.multiplier)
            self.pull(step.source, spread, into)
        elif isinstance(step, MaxPool):
            minus = [-weight for weight in weights]
            for at, signed in ((place, weights), (0, minus)):
                self.pull(step.source, self._moved(number, step, at, signed, into), into)
            for before in range(1, place):
                into.add_cell(self.index[number, before], minus)
        else:
            raise TypeError("the sum of a Dense or a Conv has hidden weights")

    def is_linear(self, cell: int) -> bool:
        """Whether the cell is of a Sum or a pool, so that its sum has public weights."""
        return not isinstance(self.program.steps[self.cells[cell].step - 1], Dense | Conv | ArgMax)
