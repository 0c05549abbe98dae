"""Proofs of answers through both verifiers, which share no code: what one makes, the other takes."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inference as second
from inference.codes import REAL, column_code
from inference.model import Run, Weights
from inference.mutations import Changed, apply
from inference.program import Program
from inference.proof_bytes import fixed_length, largest_length
from inference.shape import MASK_WORDS, Sizes
from inference.soundness import linear_claims, soundness_bits
from inference.statement import batch_bytes
from inference.statement_file import FILES, load
from inference.steps import ArgMax, AveragePool, Conv, Dense, Flatten, MaxPool, Sum
from inference.values import Refused, Rounding, Windows
from inference.vectors import ACCEPTED, BINDING, Case
from inference.weights_link import LinkRandomness, prove_link, verify_link
from inference.weights_range import verify_range
from quatrefoil import _core

FOLDER = Path(__file__).parents[1] / "vectors" / "inference_proofs"
INDEX = json.loads((FOLDER / "index.json").read_text())
SEED = bytes(range(32))
FALSE = "the claims about the committed columns do not hold"
"""Where the algebra ends: everything before it fits."""


def names(entries: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(entry, id=entry["name"]) for entry in entries]


def verified(changed: Changed) -> tuple[bytes, float]:
    """By the kernel."""
    fields, files = changed.statement, changed.files
    root, binding = bytes.fromhex(fields["root"]), bytes.fromhex(fields["binding"])
    return _core.verify_inference(
        files["program"],
        fields["openings"],
        root,
        files["inputs"],
        fields["hidden"],
        files["outputs"],
        fields["batch"],
        binding,
        changed.proof,
        1,
    )


def loaded(name: str) -> Changed:
    fields = json.loads((FOLDER / f"{name}.json").read_text())
    files = {file: (FOLDER / fields[file]).read_bytes() for file in FILES}
    return Changed(fields, files, (FOLDER / f"{name}.proof").read_bytes())


@pytest.mark.parametrize("entry", names(INDEX["accepted"]))
def test_the_kernel_accepts_what_the_second_prover_made(entry: dict[str, Any]) -> None:
    digest, bits = verified(loaded(entry["name"]))
    assert digest.hex() == entry["statement_digest"]
    assert bits == pytest.approx(entry["soundness_bits"], abs=1e-5)


@pytest.mark.parametrize("entry", names(INDEX["forged"]))
def test_the_kernel_rejects_the_forged_ones(entry: dict[str, Any]) -> None:
    with pytest.raises(_core.ProofRejected, match=FALSE):
        verified(loaded(entry["name"]))


@pytest.mark.parametrize("entry", names(INDEX["forged_links"]))
def test_the_kernel_rejects_the_forged_links(entry: dict[str, Any]) -> None:
    of, link = loaded(entry["of"]), (FOLDER / entry["file"]).read_bytes()
    roots = bytes.fromhex(of.statement["root"]), bytes.fromhex(entry["linked_root"])
    with pytest.raises(_core.ProofRejected, match=FALSE):
        _core.verify_weights_link(of.files["program"], 1, roots[0], 1, roots[1], link)


@pytest.mark.parametrize("entry", names(INDEX["mutated"]))
def test_the_kernel_rejects_the_mutated_ones(entry: dict[str, Any]) -> None:
    of = loaded(entry["of"])
    with pytest.raises((_core.ProofRejected, ValueError)):
        verified(apply(entry, of.statement, of.files, of.proof))


def test_the_kernel_accepts_the_range_and_the_link() -> None:
    entry = INDEX["accepted"][0]
    vector = loaded(entry["name"])
    program, root = vector.files["program"], bytes.fromhex(vector.statement["root"])
    linked = bytes.fromhex(entry["link"]["linked_root"])
    in_range, link = ((FOLDER / entry[kind]["file"]).read_bytes() for kind in ("range", "link"))
    digest, _ = _core.verify_weights_range(program, 1, root, in_range)
    assert digest.hex() == entry["range"]["statement_digest"]
    digest, _ = _core.verify_weights_link(program, 1, root, 1, linked, link)
    assert digest.hex() == entry["link"]["statement_digest"]
    with pytest.raises(_core.ProofRejected):
        _core.verify_weights_range(program, 1, linked, in_range)
    with pytest.raises(_core.ProofRejected):
        _core.verify_weights_link(program, 1, linked, 1, root, link)


def kernel_proof(case: Case) -> tuple[second.Statement, bytes]:
    """Made by the kernel, and the statement as the second verifier reads it."""
    program, shape = case.program, case.shape
    commitment = _core.WeightsCommitment(program.to_bytes(), case.openings, case.weights.to_bytes(), SEED, 1)
    sums = []
    features = program.values[0].features
    for place, (number, layer) in enumerate(program.layers):
        if shape.layers[place].stated:
            source = layer.sources[0]
            given = [trace.values[source] for trace in case.trace(case.weights)]
            run = Run(program, case.weights)
            sums.append(batch_bytes([run.sums(number, place, layer, values) for values in given]))
    rho = batch_bytes([sample[features:] for sample in case.secrets]) if case.hidden else None
    inputs: Any = case.inputs
    if shape.hash:
        inputs = [shape.hash.hash(sample[:features], sample[features:]) for sample in case.secrets]
    plain, outputs = batch_bytes(case.inputs), batch_bytes(case.outputs)
    proof = _core.prove_inference(commitment, plain, outputs, sums, case.batch, rho, BINDING, SEED, 1)
    return second.Statement(shape, commitment.root, inputs, case.outputs, BINDING), proof


@pytest.mark.parametrize("arguments", [pytest.param(one, id=one[0]) for one in ACCEPTED])
def test_the_second_verifier_accepts_what_the_kernel_proves(arguments: Any) -> None:
    statement, proof = kernel_proof(Case(*arguments))
    assert second.verify(statement, proof).statement == statement.digest
    spoilt = bytearray(proof)
    spoilt[len(proof) // 2] ^= 1
    with pytest.raises(second.Rejected):
        second.verify(statement, bytes(spoilt))


def test_columns_are_as_long_as_makes_the_trees_smallest_though_shorter_ones_fit() -> None:
    rounded = Dense(0, 138, Rounding(13, 0, 255, 11))
    case = Case("longer", Program((16,), 0, 255, 127, (rounded, Dense(1, 4, None))), 256, 1, 9)
    shorter, chosen = Sizes(case.shape, 12), case.shape.ell
    assert chosen == 14 and 2 * shorter.c + MASK_WORDS <= 124 and shorter.M + column_code(REAL, 12).Q <= 1 << 11
    statement, proof = kernel_proof(case)
    assert second.verify(statement, proof).statement == statement.digest
    assert by_the_kernel(case, statement, proof) == statement.digest


def places_with_ties(seed: int) -> Case:
    """Small numbers, no biases: several are often the largest. Answers are what the second verifier computes."""
    draw = random.Random(seed)
    if draw.random() < 0.5:
        rounding = Rounding(draw.randint(0, 3), *draw.choice([(0, 3), (-1, 1)]), 12)
        bits = (rounding.high - rounding.low).bit_length()
    else:
        rounding, bits = None, 13
    shift = draw.randint(0, bits - 1)
    steps = (Dense(0, draw.randint(1, 9), rounding), ArgMax(1, draw.randint(0, 1), shift, bits - shift))
    program = Program((draw.randint(2, 6),), *draw.choice([(0, 1), (-2, 2), (0, 255)]), 1, steps)
    case = Case("places", program, 4, 1, seed)
    case.weights = second.Weights(case.weights.weights, [[0] * len(layer) for layer in case.weights.biases])
    case.outputs = [trace.values[-1] for trace in case.trace(case.weights)]
    return case


def by_the_kernel(case: Case, statement: second.Statement, proof: bytes) -> bytes:
    fields = {
        "root": statement.root.hex(),
        "binding": BINDING.hex(),
        "openings": 1,
        "batch": case.batch,
        "hidden": False,
    }
    files = {"program": case.program.to_bytes(), "inputs": batch_bytes(case.inputs)}
    return verified(Changed(fields, files | {"outputs": batch_bytes(statement.outputs)}, proof))[0]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1 << 32), st.integers(1, 8))
def test_the_kernel_proves_the_places_that_the_second_verifier_computes_and_no_others(seed: int, more: int) -> None:
    case = places_with_ties(seed)
    statement, proof = kernel_proof(case)
    assert by_the_kernel(case, statement, proof) == statement.digest
    places = case.program.values[1].features
    case.outputs[0] = [(case.outputs[0][0] + more) % places]
    if more % places:
        with pytest.raises(ValueError, match="not what the committed model computes"):
            kernel_proof(case)
        with pytest.raises(_core.ProofRejected):
            by_the_kernel(case, replace(statement, outputs=case.outputs), proof)


def test_the_second_verifier_accepts_the_kernels_range_and_link() -> None:
    case = Case(*ACCEPTED[0])
    program, weights = case.program.to_bytes(), case.weights.to_bytes()
    old, new = (_core.WeightsCommitment(program, 2, weights, bytes([i]) * 32, 1) for i in (1, 2))
    shape = second.WeightsShape(case.program, 2)
    verify_range(shape, old.root, _core.prove_weights_range(old, SEED, 1))
    verify_link(shape, old.root, new.root, _core.prove_weights_link(old, new, SEED, 1))


@pytest.mark.parametrize(("inputs", "hidden", "openings"), [(20, 16, 1), (20, 130, 2), (9, 1024, 16)])
def test_both_count_the_errors_of_ranges_and_links_alike(inputs: int, hidden: int, openings: int) -> None:
    """Of weights that fill a column, a power of two of them, and more."""
    program = Program((inputs,), 0, 255, 3, (Dense(0, hidden, Rounding(8, 0, 255, 12)), Dense(1, 1, None)))
    shape, data = second.WeightsShape(program, openings), program.to_bytes()
    weights = struct.pack("<i", 1) * (hidden * (inputs + 2) + 1)
    old, new = (_core.WeightsCommitment(data, openings, weights, bytes([i]) * 32, 1) for i in (1, 2))
    in_range, link = _core.prove_weights_range(old, SEED, 1), _core.prove_weights_link(old, new, SEED, 1)
    _, of_range = _core.verify_weights_range(data, openings, old.root, in_range)
    _, of_link = _core.verify_weights_link(data, openings, old.root, openings, new.root, link)
    assert of_range == pytest.approx(verify_range(shape, old.root, in_range).soundness_bits, abs=1e-9)
    assert of_link == pytest.approx(verify_link(shape, old.root, new.root, link).soundness_bits, abs=1e-9)


def larger(weights: Weights) -> Weights:
    first, *rest = weights.weights
    return Weights([[first[0] + 1, *first[1:]], *rest], weights.biases)


def biased(weights: Weights) -> Weights:
    *rest, last = weights.biases
    return Weights(weights.weights, [*rest, [*last[:-1], last[-1] - 1]])


@pytest.mark.slow
@pytest.mark.parametrize("change", [larger, biased])
def test_neither_takes_a_link_to_another_model(change: Callable[[Weights], Weights]) -> None:
    """Made by the second prover, which makes one for a liar too; our own makes none."""
    case = Case(*ACCEPTED[0])
    old, other = case.commit(), Case(*ACCEPTED[0])
    other.weights = change(case.weights)
    new = other.commit(bytes([9]) * 32)
    proof = prove_link(old, new, LinkRandomness.from_seed(old.shape, SEED)).to_bytes()
    program = case.program.to_bytes()
    with pytest.raises(second.Rejected):
        verify_link(old.shape, old.root, new.root, proof)
    with pytest.raises(_core.ProofRejected):
        _core.verify_weights_link(program, 1, old.root, 1, new.root, proof)
    ours, theirs = (
        _core.WeightsCommitment(program, 1, one.weights.to_bytes(), bytes([place]) * 32, 1)
        for place, one in enumerate((case, other))
    )
    with pytest.raises(ValueError, match="different weights"):
        _core.prove_weights_link(ours, theirs, SEED, 1)


def test_neither_takes_more_openings_than_a_commitment_hides() -> None:
    """An operator that allows itself a 65th has no proof that anybody takes, however it counts."""
    case = Case(*ACCEPTED[0])
    statement, proof = kernel_proof(case)
    with pytest.raises(second.Refused):
        second.Shape(case.program, case.batch, 65, None)
    with pytest.raises(ValueError, match="65"):
        _core.verify_inference(
            case.program.to_bytes(),
            65,
            statement.root,
            batch_bytes(case.inputs),
            False,
            batch_bytes(case.outputs),
            case.batch,
            BINDING,
            proof,
            1,
        )


# Programs: both read them, refuse them and count their proofs alike.


def random_program(seed: int) -> Program | None:
    """Of steps that may fit each other; None where they do not, by what the second verifier says."""
    draw = random.Random(seed)

    def rounding() -> Rounding:
        low, high = draw.choice([(0, 255), (-128, 127), (0, 15), (-8, 7), (0, 0)])
        return Rounding(draw.randint(0, 12), low, high, draw.randint(1, 13))

    def windows(pads: bool) -> Windows:
        kernel = draw.randint(1, 3), draw.randint(1, 3)
        around = tuple(draw.randint(0, 2) if pads else 0 for _ in range(4))
        return Windows(kernel, (draw.randint(1, 2), draw.randint(1, 2)), around)  # type: ignore[arg-type]

    shape = draw.choice([(draw.randint(1, 40),), (draw.randint(1, 3), draw.randint(1, 9), draw.randint(1, 9))])
    steps: list[Any] = []
    for number in range(draw.randint(1, 7)):
        source, other = (draw.randint(max(0, number - 2), number) for _ in range(2))
        end = None if draw.random() < 0.2 else rounding()
        steps.append(
            draw.choice(
                [
                    lambda s=source, r=end: Dense(s, draw.randint(1, 20), r),
                    lambda s=source, r=end: Conv(s, draw.randint(1, 4), windows(True), r),
                    lambda s=source, o=other: Sum((s, o), (draw.randint(0, 24), draw.randint(0, 8)), rounding()),
                    lambda s=source: AveragePool(s, windows(False), draw.randint(1, 500), rounding()),
                    lambda s=source: MaxPool(s, windows(True)),
                    lambda s=source: Flatten(s),
                ]
            )()
        )
    if draw.random() < 0.3:
        steps.append(ArgMax(len(steps), draw.randint(0, 1), draw.randint(0, 16), draw.randint(1, 16)))
    try:
        return Program(shape, *draw.choice([(-128, 127), (0, 255), (0, 1023)]), draw.randint(1, 200), tuple(steps))
    except Refused:
        return None


def counted(program: bytes, openings: int, batch: int, hidden: bool) -> dict[str, float] | None:
    try:
        return _core.inference_shape(program, openings, batch, hidden)
    except ValueError:
        return None


COUNTED: dict[str, Callable[[second.Shape], int]] = {
    "rows": lambda s: s.L,
    "base_columns": lambda s: s.c,
    "table_columns": lambda s: s.columns["uses"],
    "tables": lambda s: len(s.tables),
    "table_entries": lambda s: len(s.entries),
    "inverse_columns": lambda s: s.m_q,
    "linear_claims": linear_claims,
    "mask_row": lambda s: s.M,
    "code_message": lambda s: s.code.C,
    "code_length": lambda s: s.code.n,
    "queries": lambda s: s.code.Q,
    "row_code_message": lambda s: s.row_code.C,
    "row_code_length": lambda s: s.row_code.n,
    "row_queries": lambda s: s.row_code.Q,
    "weights_rows": lambda s: s.weights.WL,
    "weights_columns": lambda s: s.weights.n_W,
    "weights_code_message": lambda s: s.weights.code.C,
    "weights_code_length": lambda s: s.weights.code.n,
    "weights_queries": lambda s: s.weights.code.Q,
    "weights_appended": lambda s: s.weights.code.appended,
    "least_proof_bytes": fixed_length,
    "largest_proof_bytes": largest_length,
}


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 1 << 32), st.sampled_from([1, 2, 16, 64]), st.sampled_from([1, 3, 64, 4097]), st.booleans())
def test_both_count_alike(seed: int, openings: int, batch: int, hidden: bool) -> None:
    program = random_program(seed)
    if program is None:
        return
    assert second.parse(program.to_bytes()) == program
    try:
        hashed = second.FieldHash.of(program) if hidden else None
        shape = second.Shape(program, batch, openings, hashed)
        shape.weights.code  # noqa: B018 - refuses what does not fit
    except Refused:
        assert counted(program.to_bytes(), openings, batch, hidden) is None
        return
    found = counted(program.to_bytes(), openings, batch, hidden)
    assert found is not None
    assert found["soundness_bits"] == pytest.approx(soundness_bits(shape), abs=1e-6)
    assert {key: found[key] for key in COUNTED} == {key: count(shape) for key, count in COUNTED.items()}


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 1 << 32), st.integers(0, 1 << 32))
def test_both_refuse_the_same_programs(seed: int, change: int) -> None:
    program = random_program(seed)
    if program is None:
        return
    draw = random.Random(change)
    data = bytearray(program.to_bytes())
    at = 4 * draw.randrange(len(data) // 4)
    data[at : at + 4] = struct.pack("<I", draw.choice([0, 1, 2, 3, 5, 17, 255, 1 << 16, (1 << 32) - 1]))
    changed = bytes(data[: draw.choice([len(data), len(data), len(data), len(data) - 4])])
    try:
        shape = second.Shape(second.parse(changed), 1, 1)
        shape.weights.code  # noqa: B018 - refuses what does not fit
    except Refused:
        assert counted(changed, 1, 1, False) is None
    else:
        assert counted(changed, 1, 1, False) is not None


def test_programs_that_would_hold_up_a_verifier_are_refused_by_both() -> None:
    def pools(size: int, count: int) -> bytes:
        """Windows of 2^9 by 2^9 over an image: 2^36 products, if there are as many of them."""
        head = b"QFPROG01" + struct.pack("<4I2i2I", 3, 1, size, size, 0, 1, 1, count + 2)
        pool = struct.pack("<9I2iI", 3, 0, 512, 512, 1, 1, 1, 1, 16, 0, 1, 15)
        return head + pool * count + struct.pack("<2I", 5, count) + struct.pack("<4I", 0, count + 1, 1, 0)

    assert second.parse(pools(1023, 1)).work == 1 << 36
    assert counted(pools(1023, 1), 1, 1, False) is not None
    for size, count in ((1024, 1), (1023, 2)):
        with pytest.raises(Refused, match="above 2\\^36"):
            second.parse(pools(size, count))
        assert counted(pools(size, count), 1, 1, False) is None


def test_programs_whose_steps_take_more_than_a_verifier_can_hold_are_refused_by_both() -> None:
    def chain(pools: int) -> bytes:
        """Pools of one place make no cells. Each gives 2^24 features, all of which a convolution takes for one sum."""
        rounding = Rounding(4, 0, 1, 4)
        steps: list[Any] = [Conv(0, 1, Windows((1, 1), (1, 1), (0, 0, 4095, 4095)), rounding)]
        for pool in range(pools):
            steps.append(MaxPool(max(2 * pool, 1), Windows((1, 1), (1, 1))))
            steps.append(Conv(len(steps), 1, Windows((1, 1), (4096, 4096)), rounding))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("inference.program.MOST_TAKEN", 1 << 40)
            return Program((2, 1, 1), 0, 1, 1, tuple(steps)).to_bytes()

    assert second.parse(chain(3)).taken == 6 * (1 << 24) + 2
    assert counted(chain(3), 1, 1, False) is not None
    for pools in (4, 511):
        with pytest.raises(Refused, match="features, above 2\\^27"):
            second.parse(chain(pools))
        with pytest.raises(ValueError, match="take 134217730 features, 2\\^27 are the most"):
            _core.inference_shape(chain(pools), 1, 1, False)


def test_the_files_of_the_vectors_are_read_by_both() -> None:
    for name, *_ in ACCEPTED:
        assert load(FOLDER / f"{name}.json").digest == verified(loaded(name))[0]
