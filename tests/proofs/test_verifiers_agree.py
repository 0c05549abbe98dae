"""The kernel's verifier and the second one say the same of every proof, and so do the kernel's copies of its loops."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from both_verifiers import accepted_by_both
from proving import NARROW, WIDE, Instance, instance
from tests.fuzz.targets import proof as fuzzed
from tests.fuzz.test_fuzz import FOUND

from quatrefoil import _core
from quatrefoil.aggregation import ParameterSet
from quatrefoil.contracts import HiddenUpdate
from quatrefoil.errors import ProofRejected
from quatrefoil.proofs import BoundedUpdateProofs

LEVELS = _core.processor_levels()
MODULUS = 2**64 - 2**32 + 1
HOW = ("bit", "byte", "word", "not reduced", "swapped", "moved", "cut", "longer", "spliced", "zeros")
SETS = {"one-block-w16": "sum-256-w16", "one-block-w12": "sum-32-w12"}


@pytest.fixture(autouse=True)
def best_level() -> Iterator[None]:
    yield
    _core.limit_processor(LEVELS[0])


@cache
def other_proof(name: str) -> bytes:
    """A proof of the same statement with other masks. The vectors' README says what their ciphertexts are made from."""
    _, statement, _ = fuzzed.accepted(name)
    values = (np.arange(statement.shape.length) % 201 - 100) / 128
    hidden = HiddenUpdate(values, 0.5, bytearray(b"\x01" * 32), bytearray(b"\x02" * 32))
    backend = BoundedUpdateProofs(ParameterSet.named(SETS[name]), random=lambda count: b"\x04" * count)
    proof = backend.prove(statement, hidden)
    assert backend.verify(statement, proof)
    return proof


def mutated(source: random.Random, how: str, proof: bytes, other: bytes) -> bytes:
    """A change at a random place, seldom in the parts that are short."""
    at = source.randrange(len(proof) if source.random() < 0.7 else 9_000)
    word, size = at // 4 * 4, source.choice((1, 8, 16, 32, 160, 5_000))
    if how == "bit":
        return proof[:at] + bytes([proof[at] ^ 1 << source.randrange(8)]) + proof[at + 1 :]
    if how == "byte":
        return proof[:at] + bytes([(proof[at] + 1) % 256]) + proof[at + 1 :]
    if how == "word":
        return proof[:word] + source.randrange(MODULUS).to_bytes(8, "little") + proof[word + 8 :]
    if how == "not reduced":
        return proof[:word] + source.randrange(MODULUS, 2**64).to_bytes(8, "little") + proof[word + 8 :]
    if how == "swapped":
        return proof[:at] + proof[at + size : at + 2 * size] + proof[at : at + size] + proof[at + 2 * size :]
    if how == "moved":
        there = source.randrange(len(proof))
        rest = proof[:at] + proof[at + size :]
        return rest[:there] + proof[at : at + size] + rest[there:]
    if how == "cut":
        return proof[: source.choice((at, len(proof) - size))]
    if how == "longer":
        return proof + source.randbytes(source.choice((1, size)))
    if how == "spliced":
        return source.choice((proof[:at] + other[at:], proof[:at] + other[at : at + size] + proof[at + size :]))
    return proof[:at] + bytes(len(proof[at : at + size])) + proof[at + size :]


def agree_on_mutations(name: str, how: str, seed: int, count: int) -> None:
    backend, statement, proof = fuzzed.accepted(name)
    source = random.Random(f"{name} {how} {seed}")
    for _ in range(count):
        changed = mutated(source, how, proof, other_proof(name))
        accepted = accepted_by_both(backend, SETS[name], statement, changed)
        assert accepted == (changed == proof)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", SETS)
def test_they_agree_on_changed_proofs(name: str, how: str) -> None:
    agree_on_mutations(name, how, 0, 2)


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", SETS)
def test_they_agree_on_many_changed_proofs(name: str, how: str) -> None:
    agree_on_mutations(name, how, 1, 40)


def test_they_agree_on_what_a_fuzzer_starts_from_and_on_what_it_found() -> None:
    inputs = [*fuzzed.seeds()[::9], *(file.read_bytes() for file in sorted(FOUND.glob("proof-*")))]
    for data in inputs:
        name, proof = fuzzed.proof_of(data)
        backend, statement, original = fuzzed.accepted(name)
        assert accepted_by_both(backend, SETS[name], statement, proof) == (proof == original)


def test_a_part_of_another_proof_of_the_same_statement_does_not_fit(small: Instance, small_proof: bytes) -> None:
    """Both proofs hold; what is put together from them does not, cut where parts begin."""
    other = BoundedUpdateProofs(WIDE, random=lambda count: b"\x04" * count).prove(small.statement, small.hidden)
    for proof in (small_proof, other):
        assert accepted_by_both(small.backend, WIDE.name, small.statement, proof)
    for cut in (76, 124, 1_772, 5_724, 60_000):
        spliced = small_proof[:cut] + other[cut:]
        assert not accepted_by_both(small.backend, WIDE.name, small.statement, spliced)


@pytest.mark.parametrize("name", SETS)
def test_the_copies_of_the_kernel_reject_for_the_same_reason(name: str) -> None:
    backend, statement, proof = fuzzed.accepted(name)
    source = random.Random(7)
    for how in HOW * 6:
        changed = mutated(source, how, proof, other_proof(name))
        reasons = set()
        for level in LEVELS:
            _core.limit_processor(level)
            try:
                backend.verify(statement, changed)
                reasons.add("")
            except ProofRejected as refusal:
                reasons.add(refusal.reason)
        assert len(reasons) == 1, reasons
        assert (reasons == {""}) == (changed == proof)


@pytest.mark.parametrize(
    ("parameters", "length"),
    [
        (WIDE, 545),
        (NARROW, 5_000),
        pytest.param(WIDE, 9 * 8_192 - 4_000, marks=pytest.mark.slow),
        pytest.param(NARROW, 9 * 12_288 - 1, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_proof_is_the_same_at_every_level_and_the_second_verifier_accepts_it(
    parameters: ParameterSet, length: int
) -> None:
    one = instance(parameters, length)
    proofs = {}
    for level in LEVELS:
        _core.limit_processor(level)
        for threads in (1, 2):
            backend = BoundedUpdateProofs(parameters, threads=threads, random=lambda count: b"\x03" * count)
            proofs[level, threads] = backend.prove(one.statement, one.hidden)
            assert backend.verify(one.statement, proofs[level, threads])
    assert len(set(proofs.values())) == 1 and len(proofs) == 2 * len(LEVELS)
    assert accepted_by_both(one.backend, parameters.name, one.statement, proofs[LEVELS[-1], 1])
