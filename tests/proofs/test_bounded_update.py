"""What is true is proven at every kind of shape, and what is not has no proof."""

from __future__ import annotations

import numpy as np
import pytest
from proving import NARROW, WIDE, Instance, instance, rounded

from quatrefoil.aggregation import ParameterSet
from quatrefoil.contracts import HiddenUpdate
from quatrefoil.errors import CiphertextRefused, ParametersRefused, ProofRejected, UpdateRefused
from quatrefoil.proofs import BoundedUpdateProofs, ProofShape

SIZES = [
    (WIDE, 1),
    (WIDE, 8_192),
    (WIDE, 8_193),
    (WIDE, 3 * 8_192 - 5),
    (WIDE, 8 * 8_192),
    (WIDE, 9 * 8_192 - 4_000),
    (NARROW, 1),
    (NARROW, 5_000),
    (NARROW, 3 * 12_288),
    (NARROW, 9 * 12_288 - 1),
]


@pytest.mark.parametrize(("parameters", "length"), SIZES, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_an_honest_update_is_accepted_whatever_the_threads(parameters: ParameterSet, length: int, kind: type) -> None:
    one = instance(parameters, length, kind)
    proof = one.prove()
    threaded = BoundedUpdateProofs(parameters, threads=3, random=lambda count: b"\x03" * count)
    assert threaded.prove(one.statement, one.hidden) == proof
    verified = threaded.verify(one.statement, proof)
    assert verified == one.backend.verify(one.statement, proof)
    assert verified.statement == proof[12:44] and 99.5 < verified.soundness_bits < 101
    numbers = ProofShape(parameters, length).numbers
    assert numbers["least_proof_bytes"] < len(proof) <= numbers["largest_proof_bytes"]
    assert numbers["ciphertext_bytes"] + 96 == len(one.encrypted.ciphertext)
    one.backend.check_key(
        one.encrypted.key,
        verified.key_claim,
        shape=one.shape,
        bound=one.statement.bound,
        binding=one.statement.binding,
    )


def test_the_bound_is_exact_to_the_unit(small: Instance) -> None:
    norm = sum(value * value for value in rounded(small))
    tight = small.stated(bound=norm)
    assert small.backend.verify(tight, small.backend.prove(tight, small.hidden))
    with pytest.raises(UpdateRefused, match="the sum of squares is over the bound"):
        small.backend.prove(small.stated(bound=norm - 1), small.hidden)
    # A larger bound is another statement: the proof of the tight one says nothing about it.
    with pytest.raises(ProofRejected, match="it proves another statement"):
        small.backend.verify(small.stated(bound=norm + 1), small.backend.prove(tight, small.hidden))


@pytest.mark.parametrize("what", ["key", "noise", "weight", "values"])
def test_what_was_not_encrypted_is_not_proven(small: Instance, what: str) -> None:
    hidden = small.hidden
    changed = {
        "key": HiddenUpdate(hidden.values, hidden.weight, bytearray(32), hidden.noise),
        "noise": HiddenUpdate(hidden.values, hidden.weight, hidden.key, bytearray(32)),
        "weight": HiddenUpdate(hidden.values, 0.25, hidden.key, hidden.noise),
        "values": HiddenUpdate(hidden.values + 0.001, hidden.weight, hidden.key, hidden.noise),
    }[what]
    with pytest.raises(UpdateRefused, match="not what these values and seeds give"):
        small.backend.prove(small.stated(bound=1 << 60), changed)


def test_values_that_cannot_be_encrypted_cannot_be_proven(small: Instance) -> None:
    for index, value in ((0, np.nan), (7, np.inf), (544, 1.1)):
        values = small.hidden.values.copy()
        values[index] = value
        with pytest.raises(UpdateRefused, match=f"value {index} is not finite"):
            small.backend.prove(
                small.statement, HiddenUpdate(values, small.hidden.weight, small.hidden.key, small.hidden.noise)
            )
    with pytest.raises(UpdateRefused, match="544 values are not 545"):
        hidden = small.hidden
        small.backend.prove(small.statement, HiddenUpdate(hidden.values[1:], hidden.weight, hidden.key, hidden.noise))


def test_no_update_within_the_norm_misses_the_bound() -> None:
    generator = np.random.default_rng(1)
    for length in (1, 100, 5_000):
        one = instance(WIDE, length, seed=int(generator.integers(1 << 30)))
        squares = sum(value * value for value in rounded(one))
        assert squares <= one.statement.bound


def test_the_bound_grows_with_norm_and_weight(small: Instance) -> None:
    bound = small.backend.bound
    assert bound(1.0, weight=0.5, shape=small.shape) == bound(0.5, weight=1.0, shape=small.shape)
    assert bound(0.0, weight=1.0, shape=small.shape) in range(545, 548)
    assert bound(2.0, weight=0.5, shape=small.shape) > bound(1.0, weight=0.5, shape=small.shape)
    for norm in (-1.0, float("nan"), float("inf"), 1e6):
        with pytest.raises(ParametersRefused):
            bound(norm, weight=1.0, shape=small.shape)


@pytest.mark.parametrize("bound", [-1, 1 << 62, 1.5, True])
def test_a_bound_that_is_none_is_refused(small: Instance, bound: int) -> None:
    with pytest.raises(ParametersRefused, match="a bound of"):
        small.backend.prove(small.stated(bound=bound), small.hidden)


@pytest.mark.parametrize("what", ["binding", "context"])
def test_digests_of_another_length_are_refused(small: Instance, small_proof: bytes, what: str) -> None:
    from dataclasses import replace

    changed = (
        small.stated(binding=b"short") if what == "binding" else small.stated(shape=replace(small.shape, context=b""))
    )
    with pytest.raises(ParametersRefused, match="not 32 bytes"):
        small.backend.verify(changed, small_proof)


def test_a_ciphertext_of_another_form_is_refused(small: Instance, small_proof: bytes) -> None:
    ciphertext = small.encrypted.ciphertext
    with pytest.raises(CiphertextRefused, match="32863 bytes is not 32864"):
        small.backend.verify(small.stated(ciphertext=ciphertext[:-1]), small_proof)
    damaged = ciphertext[:96] + b"\xff" * 8 + ciphertext[104:]
    for act in (
        lambda: small.backend.verify(small.stated(ciphertext=damaged), small_proof),
        lambda: small.backend.prove(small.stated(ciphertext=damaged), small.hidden),
    ):
        with pytest.raises(CiphertextRefused, match="at word 0, not below the modulus"):
            act()


def test_sets_without_proofs_are_refused_when_the_backend_is_built() -> None:
    with pytest.raises(ParametersRefused, match=r"12 and 16 bits a value, not for 32: 8388608 squares"):
        BoundedUpdateProofs(ParameterSet.named("sum-2048-w32"))
    for threads in (0, 257):
        with pytest.raises(ParametersRefused, match="are not 1 to 256"):
            BoundedUpdateProofs(WIDE, threads=threads)
    with pytest.raises(ParametersRefused, match="2049 blocks, not 1 to 2048"):
        ProofShape(WIDE, 2048 * 8192 + 1)
    for values in (0, -1, 1 << 40):
        with pytest.raises(ParametersRefused, match="proofs are not about"):
            ProofShape(WIDE, values)


def test_a_source_of_too_little_randomness_is_refused(small: Instance) -> None:
    with pytest.raises(ParametersRefused, match="31 bytes, not 32"):
        BoundedUpdateProofs(WIDE, random=lambda _: bytes(31)).prove(small.statement, small.hidden)


def test_secrets_are_not_printed(small: Instance) -> None:
    assert "1, 1" not in repr(small.hidden) and "x01" not in repr(small.hidden)
