"""Proofs of the range of weights, and links between commitments: honest ones hold, lies are seen. At toy size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from toy_answers import CONV, DENSE, LINEAR, SEED, TOY, WEIGHTS_SEED, Operator

from inference import Rejected, WeightsCommitment, WeightsRandomness, WeightsShape
from inference.model import Weights
from inference.program import Program
from inference.range_bytes import RangeProof
from inference.range_prover import prove_range, range_randomness
from inference.range_shape import RangeShape
from inference.weights_link import LinkProof, LinkRandomness, prove_link, verify_link
from inference.weights_range import verify_range

PROGRAMS = {"dense": DENSE, "linear": LINEAR, "convolutions": CONV}
each_program = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
OTHER_SEED = bytes([2]) * 32


def committed(operator: Operator, weights: Weights | None = None, seed: bytes = WEIGHTS_SEED) -> WeightsCommitment:
    shape = WeightsShape(operator.program, operator.openings, TOY)
    return WeightsCommitment.make(shape, weights or operator.weights, WeightsRandomness.from_seed(shape, seed))


def range_of(commitment: WeightsCommitment) -> RangeProof:
    return prove_range(commitment, range_randomness(RangeShape(commitment.shape), SEED))


def link_of(old: WeightsCommitment, new: WeightsCommitment) -> LinkProof:
    return prove_link(old, new, LinkRandomness.from_seed(old.shape, SEED))


def changed(weights: Weights, layer: int, index: int, change: int) -> Weights:
    layers = [list(one) for one in weights.weights]
    layers[layer][index] += change
    return Weights(layers, weights.biases)


@each_program
@pytest.mark.parametrize("openings", [1, 3])
def test_weights_in_their_range_are_proven(program: Program, openings: int) -> None:
    commitment = committed(Operator(program, openings=openings))
    proof = range_of(commitment)
    assert verify_range(commitment.shape, commitment.root, proof.to_bytes()).statement == proof.head.statement


@pytest.mark.parametrize("change", [1, -1])
def test_a_weight_outside_the_range_by_one_is_seen(change: int) -> None:
    operator = Operator(DENSE)
    w_max = operator.program.w_max
    weights = operator.weights
    spoilt = changed(weights, 1, 2, change * (w_max + 1) - weights.weights[1][2])
    commitment = committed(operator, spoilt)
    with pytest.raises(Rejected, match="the opened rows do not take"):
        verify_range(commitment.shape, commitment.root, range_of(commitment).to_bytes())
    at_the_end = committed(operator, changed(weights, 1, 2, change * w_max - weights.weights[1][2]))
    verify_range(at_the_end.shape, at_the_end.root, range_of(at_the_end).to_bytes())


def test_a_proof_of_range_is_of_one_commitment_program_and_number_of_openings() -> None:
    operator = Operator(DENSE)
    commitment, other = committed(operator), committed(operator, seed=OTHER_SEED)
    proof = range_of(commitment).to_bytes()
    with pytest.raises(Rejected, match="another statement"):
        verify_range(commitment.shape, other.root, proof)
    narrower = WeightsShape(replace(DENSE, w_max=2), 1, TOY)
    with pytest.raises(Rejected, match="another statement"):
        verify_range(narrower, commitment.root, proof)
    with pytest.raises(Rejected):
        verify_range(WeightsShape(DENSE, 2, TOY), commitment.root, proof)


@each_program
@pytest.mark.parametrize("openings", [1, 3])
def test_two_commitments_to_the_same_weights_are_linked(program: Program, openings: int) -> None:
    operator = Operator(program, openings=openings)
    old, new = committed(operator), committed(operator, seed=OTHER_SEED)
    assert old.root != new.root
    proof = link_of(old, new)
    assert verify_link(old.shape, old.root, new.root, proof.to_bytes()).statement == proof.head.statement


def bias_changed(weights: Weights) -> Weights:
    return Weights(weights.weights, [*weights.biases[:-1], [weights.biases[-1][0] + 1, *weights.biases[-1][1:]]])


@pytest.mark.parametrize("change", [lambda w: changed(w, 0, 0, 1), lambda w: changed(w, 2, -1, 1), bias_changed])
def test_commitments_to_different_models_are_not_linked(change: Callable[[Weights], Weights]) -> None:
    operator = Operator(DENSE)
    old, new = committed(operator), committed(operator, change(operator.weights), OTHER_SEED)
    with pytest.raises(Rejected, match="the opened rows do not take"):
        verify_link(old.shape, old.root, new.root, link_of(old, new).to_bytes())


def test_a_link_is_of_two_commitments_in_their_order() -> None:
    operator = Operator(DENSE)
    old, new = committed(operator), committed(operator, seed=OTHER_SEED)
    proof = link_of(old, new).to_bytes()
    for roots in ((new.root, old.root), (old.root, old.root)):
        with pytest.raises(Rejected, match="another statement"):
            verify_link(old.shape, *roots, proof)


@pytest.mark.parametrize("kind", ["range", "link"])
def test_no_part_of_these_proofs_can_be_changed(kind: str) -> None:
    operator = Operator(LINEAR)
    old, new = committed(operator), committed(operator, seed=OTHER_SEED)
    proof: RangeProof | LinkProof = range_of(old) if kind == "range" else link_of(old, new)
    data = proof.to_bytes()

    def check(changed: bytes) -> None:
        if kind == "range":
            verify_range(old.shape, old.root, changed)
        else:
            verify_link(old.shape, old.root, new.root, changed)

    check(data)
    regions = proof.regions()
    assert regions[-1][1] + regions[-1][2] == len(data)
    for name, at, size in regions:
        for offset in {at, at + size - 1} if size else set():
            spoilt = bytearray(data)
            spoilt[offset] ^= 1
            with pytest.raises(Rejected):
                check(bytes(spoilt))
            assert name
    for spoilt in (data[:-1], data + bytes(1), b""):
        with pytest.raises(Rejected):
            check(bytes(spoilt))
