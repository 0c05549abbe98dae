"""The test vectors in tests/vectors/inference_proofs: statements, proofs, and faults that must be seen."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bounded_update.transcript import Transcript

from .commitment import Randomness, WeightsCommitment, WeightsRandomness
from .model import Run, Weights
from .program import AveragePool, Conv, Dense, Flatten, MaxPool, Program, Rounding, Sum, Windows
from .proof_bytes import Proof
from .prover import Prover
from .shape import Shape, WeightsShape
from .statement import Statement
from .statement_file import write
from .verifier import verify
from .weights_link import LinkRandomness, prove_link, verify_link
from .weights_range import RangeRandomness, RangeShape, prove_range, verify_range

BINDING: Final = bytes(range(100, 132))
WEIGHTS_SEED: Final = bytes([1]) * 32
PROVER_SEED: Final = bytes([3]) * 32
LINKED_SEED: Final = bytes([4]) * 32  # of the commitment that a link leads to

TWO_LAYERS: Final = Program((20,), 0, 255, 127, (Dense(0, 16, Rounding(8, 0, 255, 12)), Dense(1, 5, None)))
ONE_LAYER: Final = Program((13,), -128, 127, 127, (Dense(0, 2, None),))
IMAGES: Final = Program(
    (2, 7, 6),
    -8,
    7,
    7,
    (
        Conv(0, 3, Windows((3, 2), (2, 1), (1, 1, 0, 1)), Rounding(3, 0, 15, 8)),
        MaxPool(1, Windows((2, 3), (1, 2), (1, 0, 0, 1))),
        Conv(2, 3, Windows((1, 3), (1, 1), (0, 1, 0, 1)), Rounding(4, -8, 7, 7)),
        Sum((2, 3), (1, 2), Rounding(2, 0, 15, 5)),
        AveragePool(4, Windows((2, 2), (1, 1)), 5, Rounding(4, 0, 15, 5)),
        Flatten(5),
        Dense(6, 4, Rounding(4, -16, 15, 8)),
    ),
)


@dataclass
class Case:
    """An honest operator, with weights and inputs drawn by Python's `random` from the seed."""

    name: str
    program: Program
    batch: int
    openings: int
    seed: int

    def __post_init__(self) -> None:
        draw = random.Random(self.seed)  # noqa: S311 - no secret: anybody makes these again
        program = self.program
        layers = [(step, program.given(number)[0].shape) for number, step in program.layers]
        self.weights = Weights(
            [[draw.randint(-program.w_max, program.w_max) for _ in range(step.weights(of))] for step, of in layers],
            [[draw.randint(-100, 100) for _ in range(step.biases)] for step, _ in layers],
        )
        features = program.values[0].features
        self.inputs = [[draw.randint(program.low, program.high) for _ in range(features)] for _ in range(self.batch)]
        traces = [Run(program, self.weights).trace(sample) for sample in self.inputs]
        self.outputs = [trace.values[-1] for trace in traces]
        self.shape = Shape(program, self.batch, self.openings)
        for trace in traces:
            for cell, q in zip(self.shape.forms.cells, trace.q, strict=True):
                if not all(-(1 << cell.q_bits) <= x < 1 << cell.q_bits for x in q):
                    raise ValueError(f"q of step {cell.step} goes from {min(q)} to {max(q)}")

    def commit(self, seed: bytes = WEIGHTS_SEED) -> WeightsCommitment:
        shape = WeightsShape(self.program, self.openings)
        return WeightsCommitment.make(shape, self.weights, WeightsRandomness.from_seed(shape, seed))

    def prove(self) -> tuple[Statement, Proof]:
        committed = self.commit()
        statement = Statement(self.shape, committed.root, self.inputs, self.outputs, BINDING)
        prover = Prover(statement, committed, self.weights, Randomness.from_seed(self.shape, PROVER_SEED))
        return statement, prover.run(Transcript(statement.digest))


ACCEPTED: Final = (
    ("two-layers", TWO_LAYERS, 5, 1, 1),
    ("images", IMAGES, 3, 1, 2),
    ("one-layer-batch-of-1", ONE_LAYER, 1, 1, 3),
    ("two-layers-16-openings", TWO_LAYERS, 1, 16, 4),
)


def write_vectors(directory: Path, names: tuple[str, ...] = ()) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    accepted: list[dict[str, Any]] = []
    for name, program, batch, openings, seed in ACCEPTED:
        if names and name not in names:
            continue
        case = Case(name, program, batch, openings, seed)
        statement, proof = case.prove()
        data = proof.to_bytes()
        write(statement, directory, name)
        (directory / f"{name}.proof").write_bytes(data)
        verified = verify(statement, data)
        accepted.append(
            {
                "name": name,
                "statement_digest": verified.statement.hex(),
                "soundness_bits": round(verified.soundness_bits, 6),
                "weights": case.weights.weights,
                "biases": case.weights.biases,
            }
        )
        if name == ACCEPTED[0][0]:
            accepted[-1] |= _of_weights(case, directory)
    index = {
        "version": 1,
        "weights_seed": WEIGHTS_SEED.hex(),
        "linked_seed": LINKED_SEED.hex(),
        "prover_seed": PROVER_SEED.hex(),
        "accepted": accepted,
    }
    (directory / "index.json").write_text(json.dumps(index) + "\n")


def _of_weights(case: Case, directory: Path) -> dict[str, Any]:
    """A proof of the range of a commitment's weights, and a link to a fresh one."""
    old, new = case.commit(), case.commit(LINKED_SEED)
    in_range = prove_range(old, RangeRandomness.from_seed(RangeShape(old.shape), PROVER_SEED)).to_bytes()
    link = prove_link(old, new, LinkRandomness.from_seed(old.shape, PROVER_SEED)).to_bytes()
    (directory / f"{case.name}.range").write_bytes(in_range)
    (directory / f"{case.name}.link").write_bytes(link)
    one, other = verify_range(old.shape, old.root, in_range), verify_link(old.shape, old.root, new.root, link)
    return {
        "range": {"file": f"{case.name}.range", "statement_digest": one.statement.hex()},
        "link": {"file": f"{case.name}.link", "statement_digest": other.statement.hex(), "linked_root": new.root.hex()},
    }
