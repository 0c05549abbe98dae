"""Bytes from outside: SEAL sees none that differ from its own in anything but coefficients."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_he import evaluation_keys, key

from quatrefoil.aggregation.he import SETS, Encrypted, Evaluator, SecretKey
from quatrefoil.aggregation.he.bounds import BgvTrack, CkksTrack, Track
from quatrefoil.errors import CallerError, CiphertextRefused, ParametersRefused

each_set = pytest.mark.parametrize("name", list(SETS))
each_product_set = pytest.mark.parametrize("name", ["ckks-product-8192", "bgv-product-8192"])


def fresh(name: str) -> Track:
    p = SETS[name]
    return CkksTrack.fresh(p) if p.scheme == "ckks" else BgvTrack.fresh(p, 1)


def read(name: str, data: bytes) -> Encrypted:
    return Evaluator(SETS[name]).read(data, fresh(name))


def ones(name: str) -> bytes:
    return key(name).encrypt(np.ones(3, dtype=np.int64 if "bgv" in name else np.float64))


@each_set
def test_a_ciphertext_is_read_and_written_the_same(name: str) -> None:
    data = ones(name)
    assert len(data) == SETS[name].ciphertext_bytes
    assert Evaluator(SETS[name]).write(read(name, data)) == data


@each_set
@pytest.mark.parametrize("cut", [0, 1, 15, 16, 48, 112, 113, 114, 40_000, -1])
def test_truncated_ciphertexts_are_refused(name: str, cut: int) -> None:
    with pytest.raises(CiphertextRefused):
        read(name, ones(name)[:cut])


@each_set
def test_every_byte_of_the_head_counts(name: str) -> None:
    data = ones(name)
    for place in range(113):
        altered = bytearray(data)
        altered[place] ^= 1 << (place % 8)
        with pytest.raises(CiphertextRefused):
            read(name, bytes(altered))


@each_set
def test_what_follows_the_end_is_refused(name: str) -> None:
    with pytest.raises(CiphertextRefused, match="1 bytes after"):
        read(name, ones(name) + b"\0")


@each_set
def test_coefficients_beyond_their_prime_are_refused(name: str) -> None:
    for value in (SETS[name].primes[0], 2**64 - 1):
        altered = bytearray(ones(name))
        altered[113:121] = struct.pack("<Q", value)
        with pytest.raises(CiphertextRefused, match="beyond its prime"):
            read(name, bytes(altered))


@each_set
def test_transparent_ciphertexts_are_refused(name: str) -> None:
    data = ones(name)
    half = (len(data) - 113) // 2
    with pytest.raises(CiphertextRefused, match="transparent"):
        read(name, data[: 113 + half] + bytes(half))


@each_set
def test_ciphertexts_of_other_sets_are_refused(name: str) -> None:
    for other in set(SETS) - {name}:
        with pytest.raises(CiphertextRefused):
            read(name, ones(other))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 65_000), st.sampled_from(list(SETS)))
def test_garbage_is_refused_or_only_other_coefficients(garbage: bytes, place: int, name: str) -> None:
    data = bytearray(ones(name))
    data[place : place + len(garbage)] = garbage
    for candidate in (bytes(garbage), bytes(data)):
        try:
            found = read(name, candidate)
        except CiphertextRefused as refusal:
            assert refusal.hint
        else:
            assert Evaluator(SETS[name]).write(found) == candidate


def test_a_ciphertext_and_its_negative_do_not_add_up_to_one_that_hides_nothing() -> None:
    name = "ckks-linear-4096"
    data = ones(name)
    words = np.frombuffer(data[113:], dtype="<u8")
    negative = data[:113] + ((SETS[name].primes[0] - words) % SETS[name].primes[0]).astype("<u8").tobytes()
    with pytest.raises(CiphertextRefused, match=r"hides nothing|does not compute"):
        evaluator = Evaluator(SETS[name])
        evaluator.write(evaluator.add([read(name, data), read(name, negative)]))


@each_set
def test_secret_keys_are_kept_exactly_and_refused_when_altered(name: str) -> None:
    chosen = key(name)
    saved = chosen.save()
    again = SecretKey.load(SETS[name], chosen.key_id, saved)
    assert again.save() == saved
    for bad in (
        b"",
        saved[:50],
        saved[:-1],
        saved + b"\0",
        b"\xff" * len(saved),
        saved[:88] + b"\xff" * 8 + saved[96:],
    ):
        with pytest.raises(CiphertextRefused):
            SecretKey.load(SETS[name], chosen.key_id, bad)
    for other in set(SETS) - {name}:
        with pytest.raises(CiphertextRefused, match="no secret key of"):
            SecretKey.load(SETS[other], chosen.key_id, saved)


def test_a_wiped_key_does_nothing() -> None:
    chosen = SecretKey.generate(SETS["ckks-linear-4096"])
    data = chosen.encrypt(np.ones(1))
    chosen.wipe()
    for use in (chosen.save, chosen.evaluation_keys, lambda: chosen.encrypt(np.ones(1))):
        with pytest.raises(CallerError, match="wiped"):
            use()
    with pytest.raises(CallerError, match="wiped"):
        chosen.decrypt_rounded(data, CkksTrack.fresh(chosen.parameters))


@each_product_set
def test_evaluation_keys_are_held_to_their_form(name: str) -> None:
    keys = evaluation_keys(name)
    Evaluator(SETS[name], keys)
    for field in ("relin", "galois"):
        stream = getattr(keys, field)
        middle = len(stream) // 2
        for bad in (
            b"",
            stream[:60],
            stream[:-1],
            stream + b"\0",
            b"\x01" + stream[1:],
            stream[:48] + b"\xff" * 8 + stream[56:],
            stream[:56] + b"\x07" + stream[57:],
            stream[:-8] + b"\xff" * 8,
            stream[:middle] + b"\xff" * 64 + stream[middle + 64 :],
        ):
            with pytest.raises(CiphertextRefused):
                Evaluator(SETS[name], replace(keys, **{field: bad}))
    with pytest.raises(CiphertextRefused):
        Evaluator(SETS[name], replace(keys, relin=keys.galois))


@each_product_set
def test_evaluation_keys_of_another_set_are_refused(name: str) -> None:
    keys = evaluation_keys(name)
    for other in set(SETS) - {name}:
        with pytest.raises(CiphertextRefused):
            Evaluator(SETS[other], keys)
        with pytest.raises(CiphertextRefused):
            Evaluator(SETS[other], replace(keys, parameters=other))


def test_a_second_product_is_refused_before_it_is_computed() -> None:
    for name in ("ckks-product-8192", "bgv-product-8192"):
        evaluator = Evaluator(SETS[name], evaluation_keys(name))
        one = evaluator.read(ones(name), fresh(name))
        square = evaluator.multiply(one, one)
        with pytest.raises(ParametersRefused, match=r"2 products .* room for 1"):
            evaluator.multiply(square, one)


@pytest.mark.parametrize("name", ["ckks-linear-4096", "bgv-linear-4096"])
def test_linear_sets_have_no_products_and_no_sums_over_slots(name: str) -> None:
    evaluator = Evaluator(SETS[name])
    one = read(name, ones(name))
    with pytest.raises(ParametersRefused, match=r"1 products .* room for 0"):
        evaluator.multiply(one, one)
    with pytest.raises(ParametersRefused, match="no room"):
        evaluator.sum_slots(one, 3)


def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    p = SETS["ckks-linear-4096"]
    with pytest.raises(ParametersRefused, match=r"needs 6\d\.\d bits, and ckks-linear-4096 has 58\.0"):
        CkksTrack.fresh(p).times(1 << 30)
    with pytest.raises(ParametersRefused, match=r"2\^32 and 2\^56 cannot be added"):
        CkksTrack.fresh(p).plus(CkksTrack.fresh(p).times(1 << 24))
    q = SETS["bgv-linear-4096"]
    with pytest.raises(ParametersRefused, match="can reach 536846337, and bgv-linear-4096 counts to 536846336"):
        BgvTrack.fresh(q, 536846336).shifted(1)
    with pytest.raises(ParametersRefused, match=r"noise of 6. bits"):
        BgvTrack.fresh(q, 0).times(1 << 26)


@pytest.mark.parametrize("bad", [np.array([np.nan]), np.array([np.inf]), np.array([1.01]), np.zeros(0), np.zeros(4097)])
def test_values_that_do_not_fit_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(CallerError):
        key("ckks-linear-4096").encrypt(bad)


@pytest.mark.parametrize(
    "bad", [np.array([0.5]), np.array([536846337]), np.array([-(2**63)]), np.zeros((2, 2), dtype=np.int64)]
)
def test_integers_that_do_not_fit_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(CallerError):
        key("bgv-linear-4096").encrypt(bad)


def test_a_track_of_another_set_is_refused() -> None:
    with pytest.raises(CallerError, match="a track of"):
        Evaluator(SETS["ckks-linear-4096"]).read(ones("ckks-linear-4096"), fresh("bgv-linear-4096"))
    with pytest.raises(CallerError, match="a track of"):
        key("ckks-linear-4096").decrypt_rounded(b"", fresh("ckks-product-8192"))
    with pytest.raises(CallerError, match="a track of"):
        key("bgv-linear-4096").decrypt_exact(b"", fresh("bgv-product-8192"))
