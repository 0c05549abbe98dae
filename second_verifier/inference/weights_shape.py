"""Every count and every place of a commitment to weights (docs/inference-proofs.md, Shape)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from bounded_update.shape import ceil_log2

from .codes import REAL, Code, Parameters, least_queries, opened_code
from .program import Program
from .values import Refused, need

MOST_OPENINGS: Final = 64


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
