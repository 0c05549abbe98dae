"""What we take from SEAL, decrypted by a second implementation in exact integers; and TenSEAL's build as a reader."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.reference.he import phase, slot, slot_modulo

from quatrefoil.aggregation.he import SETS, Evaluator, SecretKey, encode_matrix
from quatrefoil.aggregation.he.bounds import BgvTrack, CkksTrack
from quatrefoil.analytics import LinearModel, Network, encrypt_numbers, encrypt_row, evaluate, score


@pytest.mark.parametrize("name", ["ckks-linear-4096", "ckks-product-8192"])
def test_a_ckks_score_by_a_second_implementation(name: str) -> None:
    p, key = SETS[name], SecretKey.generate(SETS[name])
    values = np.zeros((p.slots, 2))
    values[:3] = [[0.5, -3.0], [1.25, 2.0], [-4.0, 0.0]]
    values[-1] = [0.125, 4.0]
    answer = score(encrypt_numbers(key, ("a", "b"), values), LinearModel("linear", ("a", "b"), (1.5, -2.0), 0.25))
    found = phase(answer.ciphertexts[0], bytes(key.save()), p.ring_degree, p.primes, len(p.key_primes))
    last = p.ring_degree // 2 - 1
    for index in (0, 1, 2, last):
        value = slot(found, index, 2.0**answer.scale_bits) * answer.unit
        row = values[index + p.ring_degree // 2 if p.paired and index == last else index]
        got = value.imag if p.paired and index == last else value.real
        assert abs(got - (row @ [1.5, -2.0] + 0.25)) <= answer.error * answer.unit
    # What the bound says of the error of a fresh ciphertext, coefficient by coefficient: 21, and 1/2 of the encoder.
    nothing = phase(key.encrypt(np.zeros(1)), bytes(key.save()), p.ring_degree, p.primes, len(p.key_primes))
    assert max(map(abs, nothing)) <= 21 and np.var(nothing) == pytest.approx(10.5, rel=0.2)


@pytest.mark.parametrize("name", ["bgv-linear-4096", "bgv-product-8192"])
def test_a_bgv_score_by_a_second_implementation(name: str) -> None:
    p, key = SETS[name], SecretKey.generate(SETS[name])
    values = np.array([[5, -3], [12, 2], [-4, 0]])
    answer = score(encrypt_numbers(key, ("a", "b"), values), LinearModel("linear", ("a", "b"), (3.0, -2.0), 7.0))
    found = phase(answer.ciphertexts[0], bytes(key.save()), p.ring_degree, p.primes, len(p.key_primes))
    assert [slot_modulo(found, index, p.plain) for index in range(4)] == [28, 39, -5, 7]
    # And the noise is inside what its track says.
    fresh = BgvTrack.fresh(p, 12)
    assert max(map(abs, found)) <= fresh.times(3).plus(fresh.times(2)).shifted(7).noise


def test_the_noise_of_a_product_is_inside_its_track() -> None:
    p, key = SETS["bgv-product-8192"], SecretKey.generate(SETS["bgv-product-8192"])
    evaluator = Evaluator(p, key.evaluation_keys())
    fresh = BgvTrack.fresh(p, 1)
    one = evaluator.read(key.encrypt(np.ones(5, dtype=np.int64)), fresh)
    total = evaluator.sum_slots(evaluator.multiply(one, one), 5)
    found = phase(evaluator.write(total), bytes(key.save()), p.ring_degree, p.primes, len(p.key_primes))
    assert isinstance(total.track, BgvTrack) and max(map(abs, found)) <= total.track.noise
    assert slot_modulo(found, 8191, p.plain) == 5


def test_a_network_by_a_second_implementation() -> None:
    """Each output stands in its slots, 0 in the others, all inside the derived error; by exact integers."""
    p, key = SETS["ckks-network-8192"], SecretKey.generate(SETS["ckks-network-8192"])
    hidden, output = ((0.5, -1.0, 0.25), (2.0, 0.0, 1.0)), ((1.0, -0.5), (0.0, 2.0), (-1.0, 0.25))
    network = Network((), hidden, (0.5, -1.0), output, (0.125, 0.0, 3.0), ("a", "b", "c"))
    row = encrypt_row(key, ("x", "y", "z"), np.array([1.0, 0.125, -2.0]), bounds=[2.0] * 3)
    answer = evaluate(row, network, key.evaluation_keys())
    squares = [Fraction(3, 8) ** 2, Fraction(-1) ** 2]
    exact = [
        sum((Fraction(w) * s for w, s in zip(weights, squares, strict=True)), Fraction(bias))
        for weights, bias in zip(output, network.output_biases, strict=True)
    ]
    left = p.primes[:1]
    found = phase(answer.ciphertexts[0], bytes(key.save()), p.ring_degree, left, len(p.key_primes))
    for index in (0, 1, 2, 3, 4, 2049, 4094, 4095):
        value = slot(found, index, 2.0**answer.scale_bits)
        truth = [*exact, Fraction(0)][index % 4] / Fraction(answer.unit)
        assert abs(value.real - truth) <= answer.error and abs(value.imag) <= answer.error


def test_what_a_layer_rounds_off_is_inside_its_bound() -> None:
    """Slots of the hidden layer against exact sums, by exact integers: at the scale of the first rescaling."""
    p, key = SETS["ckks-network-8192"], SecretKey.generate(SETS["ckks-network-8192"])
    fresh = CkksTrack.fresh(p)
    source = np.random.default_rng(9)
    values, weights = (source.integers(-64, 65, p.slots) / 64 for _ in range(2))
    weights /= 4
    matrix = encode_matrix(fresh, [weights], np.full(p.slots, 0.25), [2048, 1024])
    evaluator = Evaluator(p, key.evaluation_keys())
    found = evaluator.apply([evaluator.read(key.encrypt(values), fresh)], matrix)
    assert isinstance(found.track, CkksTrack) and found.track.error < 2.0**-20
    message = phase(evaluator.write(found), bytes(key.save()), p.ring_degree, p.primes[:2], len(p.key_primes))
    products = values * weights  # multiples of 2^-14: exact
    for index in (0, 1, 777, 4095):
        exact = sum(products[(index + step) % p.slots] for step in (0, 1024, 2048, 3072)) + 0.25
        value = slot(message, index, 2.0**found.track.scale_bits)
        assert max(abs(value.real - exact), abs(value.imag)) <= found.track.error


def test_seal_in_tenseal_reads_and_decrypts_ours(tmp_path: Path) -> None:
    """TenSEAL carries its own build of SEAL, 4.3 where ours is 4.4: told that version, it decrypts our score."""
    sealapi = pytest.importorskip("tenseal.sealapi")
    p, key = SETS["ckks-linear-4096"], SecretKey.generate(SETS["ckks-linear-4096"])
    given = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    given.set_poly_modulus_degree(p.ring_degree)
    given.set_coeff_modulus([sealapi.Modulus(prime) for prime in p.primes])
    context = sealapi.SEALContext(given, True, sealapi.SEC_LEVEL_TYPE.TC128)
    values = np.array([[0.5, -3.0], [1.25, 2.0]])
    answer = score(encrypt_numbers(key, ("a", "b"), values), LinearModel("linear", ("a", "b"), (1.5, -2.0), 0.25))
    (tmp_path / "answer").write_bytes(_of_their_version(answer.ciphertexts[0]))
    (tmp_path / "key").write_bytes(_of_their_version(bytes(key.save())))
    secret, ciphertext, plain = sealapi.SecretKey(), sealapi.Ciphertext(), sealapi.Plaintext()
    secret.load(context, str(tmp_path / "key"))
    ciphertext.load(context, str(tmp_path / "answer"))
    sealapi.Decryptor(context, secret).decrypt(ciphertext, plain)
    found = np.array(sealapi.CKKSEncoder(context).decode_double(plain))[:2] * answer.unit
    assert np.abs(found - (values @ [1.5, -2.0] + 0.25)).max() <= answer.error * answer.unit


def _of_their_version(stream: bytes) -> bytes:
    return stream.replace(b"\x5e\xa1\x10\x04\x04", b"\x5e\xa1\x10\x04\x03")
