"""Proofs of answers at toy size. Toy codes prove nothing to anybody: the same argument, but smaller."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bounded_update.transcript import Transcript
from inference import Randomness, Statement, Weights, WeightsCommitment, WeightsRandomness
from inference.codes import Parameters
from inference.field_hash import FieldHash
from inference.model import Run
from inference.program import Program
from inference.proof_bytes import Proof
from inference.prover import Prover
from inference.shape import Shape
from inference.steps import ArgMax, AveragePool, Conv, Dense, Flatten, MaxPool, Step, Sum
from inference.values import Rounding, Windows
from inference.weights_shape import WeightsShape

TOY = Parameters(
    codes={ell: (ell - 1, ell + 1, max(ell - 4, 1), ell - 1) for ell in range(6, 12)},
    security=8,
    words=400,
    least_run=5,
    run_of_an_opening=32,
    least_omega=6,
    weights_words=120,
    largest_run=10,
)
BINDING = bytes(range(32, 64))
SEED = bytes(32)
WEIGHTS_SEED = bytes([1]) * 32

DENSE = Program(
    (3,), 0, 15, 3, (Dense(0, 4, Rounding(3, 0, 7, 5)), Dense(1, 3, Rounding(2, -4, 3, 5)), Dense(2, 2, None))
)
LINEAR = Program((5,), -4, 7, 5, (Dense(0, 3, None),))
ROUNDED = Program((5,), -4, 7, 5, (Dense(0, 1, Rounding(0, -16, 15, 9)),))
CONV = Program(
    (2, 4, 3),
    -2,
    3,
    2,
    (
        Conv(0, 2, Windows((2, 2), (1, 1), (1, 0, 0, 1)), Rounding(2, 0, 7, 5)),
        MaxPool(1, Windows((2, 2), (2, 1), (1, 1, 0, 0))),
        Conv(2, 2, Windows((1, 2), (1, 1), (0, 1, 0, 0)), Rounding(1, -4, 3, 6)),
        Sum((2, 3), (1, 0), Rounding(1, -7, 8, 5)),
        AveragePool(4, Windows((2, 2), (1, 1)), 3, Rounding(3, -3, 5, 6)),
        Flatten(5),
        Dense(6, 2, Rounding(1, -7, 7, 7)),
    ),
)
POOL_OF_INPUT = Program(
    (1, 3, 3),
    -2,
    3,
    2,
    (
        MaxPool(0, Windows((3, 2), (2, 1), (1, 0, 1, 1))),
        Flatten(1),
        Dense(2, 2, Rounding(1, -7, 7, 6)),
        Flatten(0),
        Dense(4, 2, Rounding(0, -7, 7, 6)),
        Sum((3, 5), (0, 2), Rounding(2, -4, 6, 5)),
    ),
)


def _wider(step: Step) -> Step:
    return replace(step, rounding=replace(step.rounding, q_bits=9)) if isinstance(step, Dense | Sum) else step


WIDE_POOL_OF_INPUT = replace(POOL_OF_INPUT, low=-9, high=6, steps=tuple(map(_wider, POOL_OF_INPUT.steps)))
LAST_IS_A_POOL = Program(
    (1, 3, 2),
    -2,
    3,
    3,
    (
        Conv(0, 1, Windows((2, 1), (1, 1)), Rounding(1, -3, 4, 6)),
        MaxPool(1, Windows((2, 2), (1, 1), (1, 1, 0, 0))),
        MaxPool(2, Windows((1, 1), (2, 2))),
    ),
)

ROUNDED_TO = Rounding(3, 0, 7, 5)
FIRST_OF_SUMS = Program((3,), 0, 15, 3, (Dense(0, 4, ROUNDED_TO), Dense(1, 5, None), ArgMax(2, 0, 3, 6)))
LAST_OF_SUMS = Program((3,), 0, 15, 3, (Dense(0, 4, ROUNDED_TO), Dense(1, 5, None), ArgMax(2, 1, 0, 9)))
FIRST_OF_A_VALUE = Program((4,), -8, 7, 3, (Dense(0, 6, Rounding(4, -4, 3, 5)), ArgMax(1, 0, 1, 2)))
LAST_OF_A_VALUE = Program((4,), -8, 7, 3, (Dense(0, 6, Rounding(4, -4, 3, 5)), ArgMax(1, 1, 0, 3)))
PLACE_OF_THE_INPUT = Program((1, 2, 2), 0, 15, 3, (Flatten(0), Dense(1, 2, ROUNDED_TO), ArgMax(1, 0, 2, 3)))
ARGMAX = {
    "first of sums": FIRST_OF_SUMS,
    "last of sums": LAST_OF_SUMS,
    "first of a value": FIRST_OF_A_VALUE,
    "last of a value": LAST_OF_A_VALUE,
    "of the input": PLACE_OF_THE_INPUT,
}


@dataclass
class Operator:
    """An operator with random weights and inputs; tests spoil what they like."""

    program: Program
    batch: int = 3
    openings: int = 1
    seed: int = 1
    hidden: bool = False
    weights: Weights = field(init=False)
    inputs: list[list[int]] = field(init=False)
    rho: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        draw = random.Random(self.seed)
        program = self.program

        def layer(count: int, largest: int) -> list[int]:
            return [draw.randint(-largest, largest) for _ in range(count)]

        layers = [(step, program.given(number)[0].shape) for number, step in program.layers]
        self.weights = Weights(
            [layer(step.weights(source), program.w_max) for step, source in layers],
            [layer(step.biases, 9) for step, _ in layers],
        )
        features = program.values[0].features
        self.inputs = [[draw.randint(program.low, program.high) for _ in range(features)] for _ in range(self.batch)]

        hashed = self.hash
        if hashed:
            largest = (1 << hashed.bits) - 1
            self.rho = [[program.low + draw.randint(0, largest) for _ in range(hashed.randomness)] for _ in self.inputs]

    @property
    def hash(self) -> FieldHash | None:
        """Of two rows: anybody finds another sample with the same hash."""
        program = self.program
        features = program.values[0].features
        return FieldHash(features, program.low, program.high, 2) if self.hidden else None

    @property
    def shape(self) -> Shape:
        return Shape(self.program, self.batch, self.openings, self.hash, TOY)

    @property
    def secrets(self) -> list[list[int]]:
        """Inputs and rho, where they are hidden."""
        return [x + rho for x, rho in zip(self.inputs, self.rho, strict=True)] if self.hidden else []

    def outputs(self, weights: Weights | None = None) -> list[list[int]]:
        run = Run(self.program, weights or self.weights)
        return [run.trace(sample).values[-1] for sample in self.inputs]

    def commit(self, weights: Weights | None = None) -> WeightsCommitment:
        shape = WeightsShape(self.program, self.openings, TOY)
        drawn = WeightsRandomness.from_seed(shape, WEIGHTS_SEED)
        return WeightsCommitment.make(shape, weights or self.weights, drawn)

    def statement(self, outputs: Sequence[Sequence[int]] | None = None) -> Statement:
        hashed, inputs = self.hash, self.inputs
        if hashed:
            inputs = [hashed.hash(x, rho) for x, rho in zip(self.inputs, self.rho, strict=True)]
        return Statement(self.shape, self.commit().root, inputs, outputs or self.outputs(), BINDING)

    def prover(self, kind: type[Prover] = Prover, outputs: Sequence[Sequence[int]] | None = None) -> Prover:
        randomness = Randomness.from_seed(self.shape, SEED)
        return kind(self.statement(outputs), self.commit(), self.weights, randomness, self.secrets)


def run(prover: Prover) -> Proof:
    return prover.run(Transcript(prover.statement.digest))
