"""Encryption under a public key: its larger noise against the bounds, and bytes that are no public key."""

from __future__ import annotations

import struct
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_he import key
from tests.reference.he import phase

from quatrefoil.aggregation.he import SETS, Evaluator, PublicKey, SecretKey
from quatrefoil.aggregation.he.bounds import BgvTrack, CkksTrack
from quatrefoil.errors import CallerError, CiphertextRefused, ParametersRefused

CKKS = ("ckks-linear-4096", "ckks-product-8192", "ckks-network-8192")
BGV = ("bgv-linear-4096", "bgv-product-8192")
each_set = pytest.mark.parametrize("name", list(SETS))


@cache
def _pair(name: str, number: int) -> tuple[SecretKey, PublicKey]:
    return SecretKey.pair(SETS[name])


def pair(name: str, number: int = 0) -> tuple[SecretKey, PublicKey]:
    return _pair(name, number)


def noise(name: str, data: bytes, secret: SecretKey) -> list[int]:
    """Message and error, in exact integers and without SEAL."""
    p = SETS[name]
    return phase(data, bytes(secret.save()), p.ring_degree, p.primes, len(p.key_primes))


def slots(message: list[int]) -> np.ndarray:
    """The message at all primitive 2N-th roots of unity."""
    twist = np.exp(1j * np.pi * np.arange(len(message)) / len(message))
    return np.fft.ifft(np.array(message, dtype=float) * twist) * len(message)


# -------------------------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("name", CKKS)
def test_ckks_noise_is_inside_its_bound_with_room_and_beyond_that_of_the_secret_key(name: str) -> None:
    secret, public = pair(name)
    p = SETS[name]
    worst = max(
        max(abs(part).max() for part in (found.real, found.imag))
        for found in (slots(noise(name, public.encrypt(np.zeros(1)), secret)) for _ in range(3))
    )
    error = worst / 2.0**p.value_bits
    assert 8 * error <= CkksTrack.fresh(p, public=True).error
    assert error > CkksTrack.fresh(p).error, "the bound of the secret key's encryption would not do"


def test_the_variance_of_the_noise_is_the_one_that_the_bound_comes_from() -> None:
    name = "ckks-linear-4096"
    secret, public = pair(name)
    found = np.concatenate([noise(name, public.encrypt(np.zeros(1)), secret) for _ in range(3)])
    expected = 10.5 * (1 + 2 * 4096 * 2 / 3)  # e0 + e1 s - e u
    assert np.var(found.astype(float)) == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("name", BGV)
def test_bgv_noise_is_inside_its_worst_case(name: str) -> None:
    secret, public = pair(name)
    values = np.arange(-500, 500)
    track = BgvTrack.fresh(SETS[name], 500, public=True)
    for _ in range(3):
        data = public.encrypt(values)
        largest = max(map(abs, noise(name, data, secret)))
        assert 8 * largest <= track.noise
        assert largest > BgvTrack.fresh(SETS[name], 500).noise, "the bound of the secret key's would not do"
        assert np.array_equal(secret.decrypt_exact(data, track).values[:1000], values)


def test_the_worst_case_of_bgv_leaves_room_for_weights_and_is_refused_beyond() -> None:
    fresh = BgvTrack.fresh(SETS["bgv-linear-4096"], 1, public=True)
    fresh.times(3000)
    with pytest.raises(ParametersRefused, match=r"noise of 6. bits"):
        fresh.times(4000)


@each_set
def test_both_halves_have_one_name_which_the_key_gives(name: str) -> None:
    secret, public = pair(name)
    assert secret.key_id == public.key_id and secret.public and public.public and not key(name).public
    assert PublicKey.load(SETS[name], public.save()).key_id == public.key_id
    assert pair(name, 1)[1].key_id != public.key_id
    assert PublicKey.load(SETS[name], public.save()).save() == public.save()


@each_set
def test_nobody_but_the_holder_reads(name: str) -> None:
    """Neither with another pair nor with the ciphertext as it is."""
    secret, public = pair(name)
    p = SETS[name]
    ones = np.ones(p.slots, dtype=np.int64 if p.scheme == "bgv" else np.float64)
    data = public.encrypt(ones)
    other = pair(name, 1)[0]
    if p.scheme == "ckks":
        track = CkksTrack.fresh(p, public=True)
        assert np.abs(secret.decrypt_rounded(data, track).values - 1).max() <= track.released()
        assert np.abs(other.decrypt_rounded(data, track).values - 1).min() > track.released()
    else:
        exact = BgvTrack.fresh(p, 1, public=True)
        assert (secret.decrypt_exact(data, exact).values == 1).all()
        assert (other.decrypt_exact(data, exact).values == 1).mean() < 0.01
    assert public.encrypt(ones) != data
    assert not any("decrypt" in name for name in dir(public))


# --------------------------------------------------------------------------------------------------------- rejecting


@each_set
@pytest.mark.parametrize("cut", [0, 1, 15, 48, 112, 113, 114, 40_000, -8, -1])
def test_truncated_keys_are_refused(name: str, cut: int) -> None:
    with pytest.raises(CiphertextRefused):
        PublicKey.load(SETS[name], pair(name)[1].save()[:cut])


@each_set
def test_every_byte_of_the_head_of_a_key_counts(name: str) -> None:
    data = pair(name)[1].save()
    for place in range(113):
        altered = bytearray(data)
        altered[place] ^= 1 << (place % 8)
        with pytest.raises(CiphertextRefused):
            PublicKey.load(SETS[name], bytes(altered))


@each_set
def test_keys_with_more_or_with_wrong_coefficients_are_refused(name: str) -> None:
    data = pair(name)[1].save()
    half = (len(data) - 113) // 2
    for bad, problem in (
        (data + b"\0", "1 bytes after"),
        (data[:113] + struct.pack("<Q", SETS[name].key_primes[0]) + data[121:], "beyond its prime"),
        (data[:-8] + b"\xff" * 8, "beyond its prime"),
        (data[: 113 + half] + bytes(half), "transparent"),
    ):
        with pytest.raises(CiphertextRefused, match=problem):
            PublicKey.load(SETS[name], bad)


@each_set
def test_what_is_no_public_key_of_this_set_is_refused(name: str) -> None:
    secret, public = pair(name)
    others = [pair(other)[1].save() for other in SETS if other != name]
    ciphertexts = [] if name == "bgv-linear-4096" else [public.encrypt(np.ones(1, dtype=np.int64))]
    for bad in (*others, *ciphertexts, bytes(secret.save())):
        with pytest.raises(CiphertextRefused):
            PublicKey.load(SETS[name], bad)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 65_000), st.sampled_from(list(SETS)))
def test_garbage_is_refused_or_is_another_key(garbage: bytes, place: int, name: str) -> None:
    data = bytearray(pair(name)[1].save())
    data[place : place + len(garbage)] = garbage
    for candidate in (bytes(garbage), bytes(data)):
        try:
            found = PublicKey.load(SETS[name], candidate)
        except CiphertextRefused as refusal:
            assert refusal.hint
        else:
            assert found.save() == candidate
            assert (found.key_id == pair(name)[1].key_id) == (candidate == pair(name)[1].save())


@pytest.mark.parametrize("bad", [np.array([np.nan]), np.array([1.01]), np.zeros(0), np.zeros(4097)])
def test_values_that_do_not_fit_are_refused_under_a_public_key(bad: np.ndarray) -> None:
    with pytest.raises(CallerError):
        pair("ckks-linear-4096")[1].encrypt(bad)


def test_a_ciphertext_under_a_public_key_has_the_form_of_any_other() -> None:
    for name in SETS:
        data = pair(name)[1].encrypt(np.ones(3, dtype=np.int64 if "bgv" in name else np.float64))
        p = SETS[name]
        track = CkksTrack.fresh(p, public=True) if p.scheme == "ckks" else BgvTrack.fresh(p, 1, public=True)
        assert len(data) == p.ciphertext_bytes and Evaluator(p).write(Evaluator(p).read(data, track)) == data
