"""Proofs at toy size, and silos that lie. Toy shapes prove nothing to anybody: the same argument, but smaller."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from bounded_update import ParameterSet, Randomness, Shape, Statement, Witness
from bounded_update.columns import Columns, base_columns
from bounded_update.encryption import encrypt, slots
from bounded_update.field import Ext, P
from bounded_update.proof_bytes import Proof
from bounded_update.prover import Prover
from bounded_update.shape import Code
from bounded_update.transcript import Transcript

N = 16
W = 4
ETA = 3
CONTEXT = bytes(range(32))
BINDING = bytes(range(32, 64))
SEED = bytes(32)


def toy_shape(k: int, b: int, values: int, S: int = 4) -> Shape:
    parameters = ParameterSet(f"toy-k{k}", W, k, 4, 5, ETA, N)
    return Shape(parameters, values, b, S, Code(32, 128, 12, True), Code(8, 64, 16, False))


@dataclass
class Silo:
    """A silo with random values of its own, before it has encrypted them; tests spoil what they like."""

    shape: Shape
    slack: int = 5
    context: bytes = CONTEXT  # of the ciphertext; the statement's is CONTEXT
    seed: int = 1
    slack_bits: int | None = None  # other than the honest ones
    key: list[int] = field(init=False)
    errors: list[list[int]] = field(init=False)
    q: list[list[list[int]]] = field(init=False)
    pad: Ext = field(init=False)

    def __post_init__(self) -> None:
        draw = random.Random(self.seed)
        self.key = [draw.randint(-ETA, ETA) for _ in range(N)]
        self.errors = [[draw.randint(-ETA, ETA) for _ in range(N)] for _ in range(self.shape.J)]
        largest = 2 ** (W - 1)
        self.q = slots(self.shape.parameters, [draw.randrange(-largest, largest) for _ in range(self.shape.D)])
        self.pad = Ext(draw.randrange(P), draw.randrange(P))

    @property
    def witness(self) -> Witness:
        return Witness(self.key, self.pad, self.errors, self.q)

    def blocks(self) -> list[list[int]]:
        return encrypt(self.shape.parameters, self.context, self.key, self.errors, self.q)

    def statement(self) -> Statement:
        return Statement(self.shape, self.witness.norm() + self.slack, CONTEXT, BINDING)

    def columns(self) -> Columns:
        slack = max(self.slack, 0) if self.slack_bits is None else self.slack_bits
        return base_columns(self.shape, self.witness, slack)

    def prover(self, kind: type[Prover] = Prover) -> Prover:
        return kind(self.statement(), self.blocks(), self.columns(), Randomness.from_seed(self.shape, SEED))


def run(prover: Prover) -> Proof:
    return prover.run(Transcript(prover.statement.digest(prover.blocks)))
