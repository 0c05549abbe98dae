"""The kernel's proofs about committed weights: what is proven verifies, what is not true is not proven, and misuse is
refused with the numbers. How proofs are attacked is tested in Rust and with the second verifier."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil import _core

BINDING = bytes(range(32))


class Model:
    """A Dense layer of ``hidden`` outputs that is rounded to 0 .. 127, and one of ``outputs`` whose sums come out."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, largest: int = 127, seed: int = 0) -> None:
        source = np.random.default_rng(seed)
        self.program = b"QFPROG01" + struct.pack("<IIiiII", 1, inputs, -128, 127, largest, 2)
        self.program += struct.pack("<IIIIIiiI", 0, 0, hidden, 1, 8, 0, 127, 15) + struct.pack(
            "<IIII", 0, 1, outputs, 0
        )
        self.layers = [
            (source.integers(-20, 21, (rows, columns)), source.integers(-500, 500, rows))
            for rows, columns in ((hidden, inputs), (outputs, hidden))
        ]

    @property
    def weights(self) -> bytes:
        return b"".join(packed(part) for layer in self.layers for part in layer)

    def run(self, inputs: np.ndarray) -> tuple[list[bytes], bytes]:
        """The sums of the first layer, and the outputs."""
        (first, first_bias), (second, second_bias) = self.layers
        sums = inputs @ first.T + first_bias
        rounded = np.clip((sums + 128) >> 8, 0, 127)
        return [packed(sums)], packed(rounded @ second.T + second_bias)

    def commit(self, openings: int = 1, seed: int = 1) -> _core.WeightsCommitment:
        return _core.WeightsCommitment(self.program, openings, self.weights, bytes([seed] * 32), 1)


def packed(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, "<i4").tobytes()


def batch_of(model: Model, batch: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (batch, model.layers[0][0].shape[1]))


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(20, 6, 3)


@pytest.fixture(scope="module")
def commitment(model: Model) -> _core.WeightsCommitment:
    return model.commit(openings=2)


@pytest.fixture(scope="module")
def proven(model: Model, commitment: _core.WeightsCommitment) -> tuple[bytes, bytes, bytes]:
    """Inputs, outputs, proof of 5 samples."""
    inputs = batch_of(model, 5)
    sums, outputs = model.run(inputs)
    proof = _core.prove_inference(commitment, packed(inputs), outputs, sums, 5, None, BINDING, bytes(32), 2)
    return packed(inputs), outputs, proof


@settings(max_examples=6, deadline=None)
@given(
    inputs=st.integers(2, 40),
    hidden=st.integers(2, 9),
    outputs=st.integers(1, 5),
    batch=st.integers(1, 9),
    openings=st.integers(1, 8),
    seed=st.integers(0, 1 << 30),
)
def test_what_a_model_computes_is_proven(
    inputs: int, hidden: int, outputs: int, batch: int, openings: int, seed: int
) -> None:
    model = Model(inputs, hidden, outputs, seed=seed)
    commitment, entered = model.commit(openings), batch_of(model, batch, seed)
    sums, given_out = model.run(entered)
    proof = _core.prove_inference(commitment, packed(entered), given_out, sums, batch, None, BINDING, bytes(32), 1)
    public = (model.program, openings, commitment.root, packed(entered), False, given_out, batch, BINDING)
    digest, bits = _core.verify_inference(*public, proof, 1)
    shape = _core.inference_shape(model.program, openings, batch, False)
    assert digest == proof[12:44] and bits == shape["soundness_bits"] > 98
    assert shape["least_proof_bytes"] <= len(proof) <= shape["largest_proof_bytes"]


def test_proofs_are_the_same_on_any_number_of_threads(
    model: Model, commitment: _core.WeightsCommitment, proven: tuple[bytes, bytes, bytes]
) -> None:
    inputs, outputs, proof = proven
    sums, _ = model.run(batch_of(model, 5))
    again = _core.prove_inference(commitment, inputs, outputs, sums, 5, None, BINDING, bytes(32), 1)
    other = _core.prove_inference(commitment, inputs, outputs, sums, 5, None, BINDING, bytes([1] * 32), 1)
    assert again == proof and other != proof


@pytest.mark.parametrize("what", ["root", "inputs", "outputs", "binding", "openings", "batch", "model", "proof"])
def test_another_statement_is_rejected(
    what: str, model: Model, commitment: _core.WeightsCommitment, proven: tuple[bytes, bytes, bytes]
) -> None:
    inputs, outputs, proof = proven
    said = {
        "program": model.program,
        "openings": 2,
        "root": commitment.root,
        "inputs": inputs,
        "hidden": False,
        "outputs": outputs,
        "batch": 5,
        "binding": BINDING,
        "proof": proof,
        "threads": 1,
    }
    assert _core.verify_inference(**said)[0] == proof[12:44]
    changes: dict[str, dict[str, object]] = {
        "root": {"root": bytes(32)},
        "inputs": {"inputs": packed(np.frombuffer(inputs, "<i4")[::-1])},
        "outputs": {"outputs": packed(np.frombuffer(outputs, "<i4") + np.eye(1, 15, dtype=int)[0])},
        "binding": {"binding": bytes(32)},
        "openings": {"openings": 3},
        "batch": {"batch": 4, "inputs": inputs[: 4 * 80], "outputs": outputs[: 4 * 12]},
        "model": {"program": Model(20, 6, 3, largest=126).program},
        "proof": {"proof": proof[:-1]},
    }
    with pytest.raises(_core.ProofRejected):
        _core.verify_inference(**{**said, **changes[what]})


def test_what_the_model_does_not_compute_is_not_proven(model: Model, commitment: _core.WeightsCommitment) -> None:
    inputs = batch_of(model, 5)
    sums, outputs = model.run(inputs)

    def prove(outputs: bytes, sums: list[bytes]) -> None:
        _core.prove_inference(commitment, packed(inputs), outputs, sums, 5, None, BINDING, bytes(32), 1)

    changed = np.frombuffer(outputs, "<i4").copy()
    changed[7] += 1
    with pytest.raises(ValueError, match="not what the committed model computes"):
        prove(packed(changed), sums)
    changed = np.frombuffer(sums[0], "<i4").copy()
    changed[3] += 1
    with pytest.raises(ValueError, match="not what the committed model computes"):
        prove(outputs, [packed(changed)])


def test_misuse_is_refused_with_the_numbers(
    model: Model, commitment: _core.WeightsCommitment, proven: tuple[bytes, bytes, bytes]
) -> None:
    inputs, outputs, proof = proven
    sums, _ = model.run(batch_of(model, 5))
    outside = packed(np.full((5, 20), 128))
    cases = [
        (inputs[:-4], outputs, sums, 5, BINDING, "99 entries of inputs are not 5 times 20"),
        (inputs, outputs[:-4], sums, 5, BINDING, "14 entries of outputs are not 5 times 3"),
        (inputs, outputs, [], 5, BINDING, "sums of 0 steps, 1 are rounded"),
        (inputs, outputs, [sums[0][:-4]], 5, BINDING, "29 sums of step 1 are not 5 times 6"),
        (inputs, outputs, sums, 0, BINDING, "a batch of 0, not 1 to 16384"),
        (inputs, outputs, sums, 5, b"short", "binding has 5 bytes, not 32"),
        (outside, outputs, sums, 5, BINDING, "entry 0 of input 0 is 128, not -128 to 127"),
        (inputs[:-1], outputs, sums, 5, BINDING, "399 bytes of inputs are no integers of 4 bytes"),
    ]
    for entered, given_out, summed, batch, binding, expected in cases:
        with pytest.raises(ValueError, match=expected):
            _core.prove_inference(commitment, entered, given_out, summed, batch, None, binding, bytes(32), 1)
    with pytest.raises(ValueError, match="entry 0 of input 0 is 128, not -128 to 127"):
        _core.verify_inference(model.program, 2, commitment.root, outside, False, outputs, 5, BINDING, proof, 1)
    with pytest.raises(ValueError, match="a seed has 31 bytes, not 32"):
        _core.prove_inference(commitment, inputs, outputs, sums, 5, None, BINDING, bytes(31), 1)
    with pytest.raises(ValueError, match="0 threads are not 1 to 256"):
        _core.prove_inference(commitment, inputs, outputs, sums, 5, None, BINDING, bytes(32), 0)


def test_commitments_are_refused_with_the_numbers(model: Model) -> None:
    seed = bytes(32)
    with pytest.raises(ValueError, match="not 4 for each of the program's 147 weights and biases"):
        _core.WeightsCommitment(model.program, 1, model.weights[:-4], seed, 1)
    with pytest.raises(ValueError, match="opened 65 times, not 1 to 64"):
        _core.WeightsCommitment(model.program, 65, model.weights, seed, 1)
    with pytest.raises(ValueError, match=r"weight 0 of step 1 is -128, of a magnitude above 127"):
        _core.WeightsCommitment(model.program, 1, struct.pack("<i", -128) + model.weights[4:], seed, 1)
    with pytest.raises(ValueError, match="program"):
        _core.WeightsCommitment(model.program[:-1], 1, model.weights, seed, 1)
    with pytest.raises(ValueError, match="bytes follow"):
        _core.inference_shape(model.program + b"\0", 1, 1, False)


@pytest.fixture(scope="module")
def hidden(model: Model, commitment: _core.WeightsCommitment) -> tuple[bytes, bytes, bytes]:
    """Hashes, outputs, proof of 3 hidden samples."""
    inputs = batch_of(model, 3)
    sums, outputs = model.run(inputs)
    hashing = _core.FieldHash(20, -128, 127)
    seeds = [bytes([number]) * hashing.rho_bytes for number in range(3)]
    hashes = b"".join(hashing.hash(row.astype(np.int32), rho) for row, rho in zip(inputs, seeds, strict=True))
    rho = b"".join(packed(hashing.rho(rho)) for rho in seeds)
    proof = _core.prove_inference(commitment, packed(inputs), outputs, sums, 3, rho, BINDING, bytes(32), 2)
    return hashes, outputs, proof


def test_answers_to_hidden_inputs_are_proven(
    model: Model, commitment: _core.WeightsCommitment, hidden: tuple[bytes, bytes, bytes]
) -> None:
    hashes, outputs, proof = hidden
    public = (model.program, 2, commitment.root)
    digest, bits = _core.verify_inference(*public, hashes, True, outputs, 3, BINDING, proof, 1)
    assert digest == proof[12:44] and bits == _core.inference_shape(model.program, 2, 3, True)["soundness_bits"]


def test_other_hashes_and_open_inputs_are_rejected(
    model: Model, commitment: _core.WeightsCommitment, hidden: tuple[bytes, bytes, bytes]
) -> None:
    hashes, outputs, proof = hidden
    one = len(hashes) // 3
    swapped = hashes[one : 2 * one] + hashes[:one] + hashes[2 * one :]
    for other in (swapped, bytes(8) + hashes[8:]):
        with pytest.raises(_core.ProofRejected):
            _core.verify_inference(model.program, 2, commitment.root, other, True, outputs, 3, BINDING, proof, 1)
    inputs = packed(batch_of(model, 3))
    with pytest.raises(_core.ProofRejected):
        _core.verify_inference(model.program, 2, commitment.root, inputs, False, outputs, 3, BINDING, proof, 1)
    with pytest.raises(ValueError, match="elements of hashes are not 3 times"):
        _core.verify_inference(model.program, 2, commitment.root, hashes[:-8], True, outputs, 3, BINDING, proof, 1)
    with pytest.raises(ValueError, match="element 0 of the hashes is not below the modulus"):
        _core.verify_inference(
            model.program, 2, commitment.root, b"\xff" * 8 + hashes[8:], True, outputs, 3, BINDING, proof, 1
        )


def test_hidden_inputs_outside_their_range_are_not_proven(model: Model, commitment: _core.WeightsCommitment) -> None:
    inputs = batch_of(model, 1)
    hashing = _core.FieldHash(20, -128, 127)
    rho = np.zeros(hashing.rho_entries, np.int32)
    sums, outputs = model.run(inputs)
    for entered, blind in ((inputs + 256, rho), (inputs, rho + 200)):
        with pytest.raises(ValueError, match="an input or its randomness is not -128 to 127"):
            _core.prove_inference(commitment, packed(entered), outputs, sums, 1, packed(blind), BINDING, bytes(32), 1)
    with pytest.raises(ValueError, match="are not 1 times"):
        _core.prove_inference(commitment, packed(inputs), outputs, sums, 1, packed(rho[1:]), BINDING, bytes(32), 1)


@settings(max_examples=5, deadline=None)
@given(inputs=st.integers(2, 60), hidden=st.integers(2, 9), openings=st.integers(1, 9), largest=st.integers(20, 32767))
def test_the_range_of_weights_is_proven(inputs: int, hidden: int, openings: int, largest: int) -> None:
    model = Model(inputs, hidden, 2, largest=largest)
    commitment = model.commit(openings)
    proof = _core.prove_weights_range(commitment, bytes(32), 2)
    digest, bits = _core.verify_weights_range(model.program, openings, commitment.root, proof)
    assert digest == proof[12:44] and bits > 98
    smaller = Model(inputs, hidden, 2, largest=largest - 1).program
    with pytest.raises(_core.ProofRejected, match=r"another statement|bytes"):
        _core.verify_weights_range(smaller, openings, commitment.root, proof)
    with pytest.raises(_core.ProofRejected, match="another statement"):
        _core.verify_weights_range(model.program, openings, bytes(32), proof)


def test_weights_of_more_than_sixteen_bits_have_no_proof_of_their_range() -> None:
    commitment = Model(4, 2, 2, largest=40000).commit()
    with pytest.raises(ValueError, match="80001 integers"):
        _core.prove_weights_range(commitment, bytes(32), 1)


def test_two_commitments_to_the_same_weights_are_linked(model: Model) -> None:
    old, new = model.commit(2, seed=1), model.commit(2, seed=2)
    proof = _core.prove_weights_link(old, new, bytes(32), 2)
    digest, bits = _core.verify_weights_link(model.program, 2, old.root, 2, new.root, proof)
    assert digest == proof[12:44] and bits > 98
    with pytest.raises(_core.ProofRejected, match="another statement"):
        _core.verify_weights_link(model.program, 2, new.root, 2, old.root, proof)
    with pytest.raises(ValueError, match="2 openings does not link to one to 3"):
        _core.verify_weights_link(model.program, 2, old.root, 3, new.root, proof)


def test_different_models_are_not_linked(model: Model) -> None:
    old = model.commit(2)
    other = Model(20, 6, 3)
    other.layers[1][1][2] += 1
    with pytest.raises(ValueError, match="hold different weights"):
        _core.prove_weights_link(old, other.commit(2, seed=2), bytes(32), 1)
    with pytest.raises(ValueError, match="2 openings does not link to one to 3"):
        _core.prove_weights_link(old, model.commit(3), bytes(32), 1)
    with pytest.raises(ValueError, match="different programs"):
        _core.prove_weights_link(old, Model(20, 6, 3, largest=126).commit(2), bytes(32), 1)
