"""Proofs at toy size, and silos that lie. Toy shapes prove nothing to anybody: the same argument, but smaller."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from bounded_update import Direction, Further, ParameterSet, PartNorm, Randomness, Shape, Statement, Threshold, Witness
from bounded_update.claims import NOTHING_FURTHER
from bounded_update.columns import Columns, base_columns
from bounded_update.encryption import encrypt, slots
from bounded_update.field import Ext, P
from bounded_update.proof_bytes import Proof
from bounded_update.prover import Prover
from bounded_update.shape import PAD_AND_SLACK_SPACE, Code
from bounded_update.shares import Dealt, deal
from bounded_update.transcript import Transcript
from bounded_update.vectors import direction_leaving

N = 16
W = 4
ETA = 3
CONTEXT = bytes(range(32))
BINDING = bytes(range(32, 64))
SEED = bytes(32)


def toy_shape(k: int, b: int, values: int, S: int = 4, claims: int = 0, threshold: Threshold | None = None) -> Shape:
    """With room for the slacks of that many further claims, and with the key in shares where there is a threshold."""
    parameters = ParameterSet(f"toy-k{k}", W, k, 4, 5, ETA, N)
    space = PAD_AND_SLACK_SPACE * (1 + claims)
    return Shape(parameters, values, b, S, Code(32, 128, 12, True), Code(8, 64, 16, False), space, threshold)


@dataclass
class Silo:
    """A silo with random values of its own, before it has encrypted them; tests spoil what they like."""

    shape: Shape
    slack: int = 5
    context: bytes = CONTEXT  # of the ciphertext; the statement's is CONTEXT
    seed: int = 1
    slack_bits: int | None = None  # other than the honest ones
    further: Further = NOTHING_FURTHER
    key: list[int] = field(init=False)
    errors: list[list[int]] = field(init=False)
    q: list[list[list[int]]] = field(init=False)
    pad: Ext = field(init=False)
    dealt: Dealt | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        draw = random.Random(self.seed)
        self.key = [draw.randint(-ETA, ETA) for _ in range(N)]
        self.errors = [[draw.randint(-ETA, ETA) for _ in range(N)] for _ in range(self.shape.J)]
        largest = 2 ** (W - 1)
        self.q = slots(self.shape.parameters, [draw.randrange(-largest, largest) for _ in range(self.shape.D)])
        self.pad = Ext(draw.randrange(P), draw.randrange(P))
        if self.shape.threshold is not None:
            self.dealt = deal(self.shape.parameters, self.shape.threshold, self.key, draw.randbytes(32))

    @property
    def values(self) -> list[int]:
        return [x for block in self.q for slot in block for x in slot][: self.shape.D]

    def part(self, first: int, end: int, slack: int = 0) -> PartNorm:
        return PartNorm(first, end, sum(x * x for x in self.values[first:end]) + slack)

    def direction(self, slack: int = 0) -> Direction:
        """Entries of both signs, which leave just that."""
        magnitudes = [3 * (37 * i % 19) for i in range(self.shape.D)]
        return Direction(direction_leaving(self.values, magnitudes, slack))

    @property
    def witness(self) -> Witness:
        return Witness(self.key, self.pad, self.errors, self.q, self.dealt)

    def blocks(self) -> list[list[int]]:
        return encrypt(self.shape.parameters, self.context, self.key, self.errors, self.q)

    def statement(self) -> Statement:
        commitments = () if self.dealt is None else self.dealt.commitments
        return Statement(self.shape, self.witness.norm() + self.slack, CONTEXT, BINDING, self.further, commitments)

    def columns(self) -> Columns:
        slacks = [max(slack, 0) for slack in self.witness.differences(self.statement())]
        if self.slack_bits is not None:
            slacks[0] = self.slack_bits
        return base_columns(self.shape, self.witness, slacks)

    def prover(self, kind: type[Prover] = Prover) -> Prover:
        return kind(self.statement(), self.blocks(), self.columns(), Randomness.from_seed(self.shape, SEED))


def run(prover: Prover) -> Proof:
    return prover.run(Transcript(prover.statement.digest(prover.blocks)))
