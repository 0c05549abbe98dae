"""The test vectors in tests/vectors/inference_proofs: statements, proofs, and faults that must be seen."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bounded_update.errors import Rejected
from bounded_update.transcript import Transcript

from .commitment import Randomness, WeightsCommitment, WeightsRandomness
from .field_hash import FieldHash
from .model import Run, Trace, Weights
from .mutations import Changed, apply, mutations
from .program import Program
from .proof_bytes import Proof
from .prover import Prover
from .range_prover import prove_range, range_randomness
from .range_shape import RangeShape
from .shape import Shape
from .statement import Statement, batch_bytes
from .statement_file import FILES, statement_of, write
from .steps import ArgMax, AveragePool, Conv, Dense, Flatten, MaxPool, Sum
from .values import Rounding, Windows
from .verifier import verify
from .weights_link import LinkRandomness, prove_link, verify_link
from .weights_range import verify_range
from .weights_shape import WeightsShape

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

PLACE_AMONG_SUMS: Final = Program((20,), 0, 255, 127, (*TWO_LAYERS.steps, ArgMax(2, 0, 8, 13)))
LAST_IN_A_VALUE: Final = Program((20,), 0, 255, 127, (Dense(0, 12, Rounding(13, 0, 3, 7)), ArgMax(1, 1, 0, 2)))


@dataclass
class Case:
    """An honest operator, with weights and inputs drawn by Python's `random` from the seed."""

    name: str
    program: Program
    batch: int
    openings: int
    seed: int
    hidden: bool = False

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
        traces = self.trace(self.weights)
        self.outputs = [trace.values[-1] for trace in traces]
        hashed = FieldHash.of(program) if self.hidden else None
        self.shape = Shape(program, self.batch, self.openings, hashed)
        self.secrets = []
        if hashed:
            rho = [hashed.rho(draw.randbytes(hashed.randomness)) for _ in self.inputs]  # the range has 256 integers
            self.secrets = [x + more for x, more in zip(self.inputs, rho, strict=True)]
        for trace in traces:
            for cell, q in zip(self.shape.forms.cells, trace.q, strict=True):
                if not all((0 if cell.whole else -(1 << cell.q_bits)) <= x < 1 << cell.q_bits for x in q):
                    raise ValueError(f"q of step {cell.step} goes from {min(q)} to {max(q)}")

    def commit(self, seed: bytes = WEIGHTS_SEED) -> WeightsCommitment:
        shape = WeightsShape(self.program, self.openings)
        return WeightsCommitment.make(shape, self.weights, WeightsRandomness.from_seed(shape, seed))

    def trace(self, weights: Weights) -> list[Trace]:
        return [Run(self.program, weights).trace(sample) for sample in self.inputs]

    def prove(self) -> tuple[Statement, Proof]:
        committed, shape = self.commit(), self.shape
        inputs = self.inputs
        if shape.hash:
            features = shape.program.values[0].features
            inputs = [shape.hash.hash(both[:features], both[features:]) for both in self.secrets]
        statement = Statement(shape, committed.root, inputs, self.outputs, BINDING)
        drawn = Randomness.from_seed(shape, PROVER_SEED)
        prover = Prover(statement, committed, self.weights, drawn, self.secrets)
        return statement, prover.run(Transcript(statement.digest))


ACCEPTED: Final = (
    ("two-layers", TWO_LAYERS, 5, 1, 1, False),
    ("images", IMAGES, 3, 1, 2, False),
    ("one-layer-batch-of-1", ONE_LAYER, 1, 1, 3, False),
    ("two-layers-16-openings", TWO_LAYERS, 1, 16, 4, False),
    ("two-layers-hidden", TWO_LAYERS, 2, 1, 5, True),
    ("place-among-sums", PLACE_AMONG_SUMS, 5, 1, 6, False),
    ("last-place-in-a-value", LAST_IN_A_VALUE, 5, 1, 8, False),
)


def rounded_up(case: Case) -> tuple[Weights, list[Trace]]:
    """The first rounded sum is rounded up to the next: q larger by one, r smaller by 2^shift, what follows from it."""
    weights, traces = case.weights, case.trace(case.weights)
    first, rounding, last = traces[0], TWO_LAYERS.steps[0].rounding, TWO_LAYERS.layers[1][1]  # type: ignore[union-attr]
    assert rounding is not None
    i = next(i for i, q in enumerate(first.q[0]) if rounding.low <= q < rounding.high)
    first.q[0][i] += 1
    first.r[0][i] -= 1 << rounding.shift
    first.y[0][i] += 1
    first.values[2][:] = Run(TWO_LAYERS, weights).sums(2, 1, last, first.y[0])
    return weights, traces


def changed_weight(case: Case) -> tuple[Weights, list[Trace]]:
    """One weight of the second layer is larger by one than the committed one."""
    weights = [list(layer) for layer in case.weights.weights]
    weights[1][7] += 1
    changed = Weights(weights, case.weights.biases)
    return changed, case.trace(changed)


def another_model(case: Case) -> tuple[Weights, list[Trace]]:
    """All weights and biases are those of another model."""
    other = Case(case.name, case.program, case.batch, case.openings, case.seed + 100).weights
    return other, case.trace(other)


def changed_input(case: Case) -> tuple[Weights, list[Trace]]:
    """The first entry of the first input is another one than that of the statement."""
    (first, *entries), *others = case.inputs
    high = case.program.high
    samples = [[first + 1 if first < high else first - 1, *entries], *others]
    return case.weights, [Run(case.program, case.weights).trace(sample) for sample in samples]


def swapped_answers(case: Case) -> tuple[Weights, list[Trace]]:
    """The answers of the first two samples have changed places."""
    traces = case.trace(case.weights)
    first, second = traces[0].values, traces[1].values
    first[-1], second[-1] = second[-1], first[-1]
    assert first[-1] != second[-1]
    return case.weights, traces


def skipped_layer(case: Case) -> tuple[Weights, list[Trace]]:
    """The last layer takes the beginning of the input, as if the one before it gave that."""
    traces, (number, last) = case.trace(case.weights), case.program.layers[-1]
    for trace in traces:
        trace.values[1][:] = trace.values[0][: len(trace.values[1])]
        trace.values[2][:] = Run(case.program, case.weights).sums(number, 1, last, trace.values[1])
    return case.weights, traces


class FirstOfEquals(Run):
    """Gives the first place of the largest of a program that gives the last, and makes the distances from it."""

    def place(self, number: int, step: ArgMax, given: Sequence[int]) -> list[int]:
        c = given.index(max(given))
        self.cut(step, [given[c] - entry - step.counts(k, c) for k, entry in enumerate(given)])
        self.cut(step, [given[c] - step.floor(self.program.given(number)[0])])
        return [c]


def tie_broken(case: Case) -> tuple[Weights, list[Trace]]:
    """Of several largest values the first is answered, where the program says the last."""
    traces = [FirstOfEquals(case.program, case.weights).trace(sample) for sample in case.inputs]
    assert any(trace.values[-1] != honest for trace, honest in zip(traces, case.outputs, strict=True))
    return case.weights, traces


Lie = Callable[[Case], tuple[Weights, list[Trace]]]

FORGED: Final[dict[str, tuple[Lie, int]]] = {
    "rounded-up": (rounded_up, 0),
    "changed-weight": (changed_weight, 0),
    "tie-broken": (tie_broken, 6),
    "another-model": (another_model, 0),
    "changed-input": (changed_input, 0),
    "swapped-answers": (swapped_answers, 0),
    "skipped-layer": (skipped_layer, 0),
}
"""Each with the number of the accepted one that it is of."""


FORGED_LINKS: Final[dict[str, Lie]] = {
    "link-to-a-changed-weight": changed_weight,
    "link-to-another-model": another_model,
}


def forge(case: Case, lie: Lie) -> tuple[Statement, Proof]:
    """A liar that follows the argument in all else. The answers are what comes of the lie."""
    weights, traces = lie(case)
    committed = case.commit()
    outputs = [trace.values[-1] for trace in traces]
    statement = Statement(case.shape, committed.root, case.inputs, outputs, BINDING)

    class Liar(Prover):
        def traces(self) -> list[Trace]:
            return traces

    liar = Liar(statement, committed, weights, Randomness.from_seed(case.shape, PROVER_SEED))
    return statement, liar.run(Transcript(statement.digest))


def write_vectors(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    accepted: list[dict[str, Any]] = []
    mutated: list[dict[str, Any]] = []
    for given in ACCEPTED:
        case = Case(*given)
        name = case.name
        statement, proof = case.prove()
        data = proof.to_bytes()
        write(statement, directory, name)
        (directory / f"{name}.proof").write_bytes(data)
        (directory / f"{name}.weights").write_bytes(case.weights.to_bytes())
        if case.hidden:
            (directory / f"{name}.secrets").write_bytes(batch_bytes(case.secrets))
        verified = verify(statement, data)
        accepted.append(
            {
                "name": name,
                "statement_digest": verified.statement.hex(),
                "soundness_bits": round(verified.soundness_bits, 6),
            }
        )
        if name == ACCEPTED[0][0]:
            accepted[-1] |= _of_weights(case, directory)
            mutated = list(_mutated(directory, name, proof))
    index = {
        "version": 1,
        "weights_seed": WEIGHTS_SEED.hex(),
        "linked_seed": LINKED_SEED.hex(),
        "prover_seed": PROVER_SEED.hex(),
        "accepted": accepted,
        "forged": [_forged(directory, name) for name in FORGED],
        "forged_links": [_forged_link(directory, name) for name in FORGED_LINKS],
        "mutated": mutated,
    }
    (directory / "index.json").write_text(json.dumps(index, indent=1) + "\n")


def _forged(directory: Path, name: str) -> dict[str, Any]:
    lie, number = FORGED[name]
    statement, proof = forge(Case(*ACCEPTED[number]), lie)
    write(statement, directory, name)
    (directory / f"{name}.proof").write_bytes(proof.to_bytes())
    return {"name": name, "fault": lie.__doc__, "reason": _reason(statement, proof.to_bytes())}


def _forged_link(directory: Path, name: str) -> dict[str, Any]:
    """From the commitment of the first case to one of a liar's weights."""
    lie = FORGED_LINKS[name]
    case = Case(*ACCEPTED[0])
    old = case.commit()
    drawn = WeightsRandomness.from_seed(old.shape, LINKED_SEED)
    new = WeightsCommitment.make(old.shape, lie(case)[0], drawn)
    link = prove_link(old, new, LinkRandomness.from_seed(old.shape, PROVER_SEED)).to_bytes()
    (directory / f"{name}.link").write_bytes(link)
    entry = {"name": name, "of": case.name, "file": f"{name}.link", "linked_root": new.root.hex(), "fault": lie.__doc__}
    try:
        verify_link(old.shape, old.root, new.root, link)
    except Rejected as error:
        return entry | {"reason": error.reason}
    raise AssertionError("a forgery was accepted")


def _mutated(directory: Path, name: str, proof: Proof) -> Iterator[dict[str, Any]]:
    fields = json.loads((directory / f"{name}.json").read_text())
    files = {file: (directory / f"{name}.{file}").read_bytes() for file in FILES}
    data = proof.to_bytes()
    for mutation in mutations(proof, fields, files):
        changed = apply(mutation, fields, files, data)
        yield {"of": name} | mutation | {"reason": reason_of(changed)}


def reason_of(changed: Changed) -> str:
    try:
        statement = statement_of(changed.statement, changed.files)
    except Rejected as error:
        return error.reason
    return _reason(statement, changed.proof)


def _reason(statement: Statement, proof: bytes) -> str:
    try:
        verify(statement, proof)
    except Rejected as error:
        return error.reason
    raise AssertionError("a forgery was accepted")


def _of_weights(case: Case, directory: Path) -> dict[str, Any]:
    """A proof of the range of a commitment's weights, and a link to a fresh one."""
    old, new = case.commit(), case.commit(LINKED_SEED)
    in_range = prove_range(old, range_randomness(RangeShape(old.shape), PROVER_SEED)).to_bytes()
    link = prove_link(old, new, LinkRandomness.from_seed(old.shape, PROVER_SEED)).to_bytes()
    (directory / f"{case.name}.range").write_bytes(in_range)
    (directory / f"{case.name}.link").write_bytes(link)
    one, other = verify_range(old.shape, old.root, in_range), verify_link(old.shape, old.root, new.root, link)
    return {
        "range": {"file": f"{case.name}.range", "statement_digest": one.statement.hex()},
        "link": {"file": f"{case.name}.link", "statement_digest": other.statement.hex(), "linked_root": new.root.hex()},
    }
