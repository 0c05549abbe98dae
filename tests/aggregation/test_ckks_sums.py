"""Sums in CKKS: what is drawn and how wide, bounds that hold in the worst case, and what does not belong together."""

from __future__ import annotations

import hashlib
import struct
from math import log2, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.aggregation import AdditiveAggregation, CkksAggregation, CkksSumSet, ParameterSet
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, KEY_HEADER_BYTES
from quatrefoil.aggregation.ckks.parameters import ETA
from quatrefoil.aggregation.ckks.polynomials import OneKey, fresh_secret, reference
from quatrefoil.aggregation.he.context import context
from quatrefoil.contracts import Encrypted, SumShape
from quatrefoil.errors import CiphertextRefused, ParametersRefused

SET = CkksSumSet.named("ckks-sum-4096")
BACKEND = CkksAggregation(SET)
CONTEXT = b"r" * 32


def shape(length: int, clip: float = 1.0, name: bytes = CONTEXT) -> SumShape:
    return SumShape(length, clip, name)


def total_of(contributions: list[Encrypted], form: SumShape) -> bytes:
    accumulator = BACKEND.accumulator(shape=form)
    for one in contributions:
        accumulator.add(one.ciphertext)
    return accumulator.total()


def opened(contributions: list[Encrypted], form: SumShape) -> np.ndarray:
    key = BACKEND.combine_keys([one.key for one in contributions])
    return BACKEND.decrypt(total_of(contributions, form), key, shape=form, count=len(contributions)).values


# -------------------------------------------------------------------------------------------------- what is drawn


def test_secrets_and_errors_are_as_wide_as_the_estimate_takes_them() -> None:
    """Centred binomial with eta = 42: variance 21, at most 42. Another build of SEAL may draw otherwise."""
    secrets = np.array([np.frombuffer(fresh_secret(context(SET.seal)), np.int8) for _ in range(8)]).astype(float)
    assert np.abs(secrets).max() <= ETA
    assert np.var(secrets) == pytest.approx(21, rel=0.05) and abs(secrets.mean()) < 0.2
    # The third moment of a fair sum is 0, the fourth of this one 3 * 21^2 less 21 / 2 (cumulants of coins add up).
    assert np.mean(secrets**4) == pytest.approx(3 * 21**2 - 21 / 2, rel=0.1)
    assert np.abs(np.corrcoef(secrets) - np.eye(8)).max() < 0.1


def noise(form: SumShape) -> np.ndarray:
    """The error of an encryption of zeros, coefficient by coefficient: of no message it is all that decrypts."""
    one = BACKEND.encrypt(np.zeros(form.length), weight=1.0, shape=form)
    words = np.frombuffer(one.ciphertext, "<u8", offset=HEADER_BYTES)
    key = OneKey(context(SET.seal), np.frombuffer(one.key, np.int8), SET.scale)
    raw = key.decrypt(words, reference(SET, form.context, 0)) * SET.scale
    # Slots are at odd powers of zeta: their coefficients by the inverse transform, here of least effort.
    slots = raw[: len(raw) // 2] + 1j * raw[len(raw) // 2 :]
    n = SET.ring_degree
    spectrum = np.zeros(2 * n, dtype=complex)
    power = 1
    for slot in slots:
        spectrum[power], spectrum[2 * n - power] = slot, np.conj(slot)
        power = power * 3 % (2 * n)
    return np.fft.fft(spectrum)[:n].real / n


def test_the_error_of_a_block_is_the_sum_of_two() -> None:
    errors = np.concatenate([noise(shape(1)) for _ in range(4)])
    assert np.abs(errors - np.rint(errors)).max() < 0.01
    assert np.abs(errors).max() <= ETA and np.var(errors) == pytest.approx(21, rel=0.06)


def test_two_encryptions_of_one_update_share_nothing() -> None:
    form, update = shape(5), np.linspace(-1, 1, 5)
    one, other = (BACKEND.encrypt(update, weight=1.0, shape=form) for _ in range(2))
    assert one.key != other.key
    words = [np.frombuffer(c.ciphertext, "<u8", offset=HEADER_BYTES) for c in (one, other)]
    assert (words[0] == words[1]).sum() == 0


def test_a_ciphertext_looks_uniform() -> None:
    """No proof of anything; a constant or a small value would show."""
    form = shape(8 * SET.ring_degree)
    one = BACKEND.encrypt(np.ones(form.length), weight=1.0, shape=form)
    words = np.frombuffer(one.ciphertext, "<u8", offset=HEADER_BYTES) / SET.modulus
    counts, _ = np.histogram(words, bins=64, range=(0, 1))
    expected = len(words) / 64
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 6 * sqrt(2 * 63)
    assert len(np.unique(words)) > 0.999 * len(words)


def test_the_reference_is_uniform_its_rounds_own_and_everybodys() -> None:
    one = reference(SET, CONTEXT, 0)
    assert one.shape == (SET.ring_degree,) and one.max() < SET.modulus
    np.testing.assert_array_equal(one, reference(SET, CONTEXT, 0))
    for other in (reference(SET, CONTEXT, 1), reference(SET, b"s" * 32, 0)):
        assert (one == other).sum() == 0
    assert np.mean(one / SET.modulus) == pytest.approx(0.5, abs=0.03)


def test_words_beyond_the_modulus_are_left_out_of_the_reference() -> None:
    """A modulus just above a power of two refuses almost half of the words, so more have to be drawn."""
    small = CkksSumSet("small", 4096, (1 << 59) + 1, scale_bits=40, max_silos=2)
    found = reference(small, CONTEXT, 0)
    stream = hashlib.shake_128(b"quatrefoil/ckks-sum/v1/a" + small.digest() + CONTEXT + bytes(8)).digest(8 * 20_000)
    below = [word for (drawn,) in struct.iter_unpack("<Q", stream) if (word := drawn % 2**60) < small.modulus]
    assert found.tolist() == below[:4096]
    assert len(found) == 4096 and found.max() <= 1 << 59 and np.mean(found / 2.0**59) == pytest.approx(0.5, abs=0.03)


# ------------------------------------------------------------------------------------------------------- exactness


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 5),
    st.sampled_from([1, 2, 2047, 2048, 2049, 4096, 4097, 9000]),
    st.sampled_from([2.0**-100, 1e-3, 0.2, 1.0, 2.0**100]),
    st.integers(0, 2**32),
)
def test_sums_are_within_their_bound(count: int, length: int, clip: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    form = shape(length, clip)
    updates = [draw.choice([-clip, clip, 0.0, clip / 3, draw.uniform(-clip, clip)], length) for _ in range(count)]
    weights = draw.uniform(1e-6, 1.0, count)
    found = opened([BACKEND.encrypt(u, weight=w, shape=form) for u, w in zip(updates, weights, strict=True)], form)
    exact = sum(w * u.astype(np.longdouble) for u, w in zip(updates, weights, strict=True))
    assert np.abs(found - exact).max() <= BACKEND.error_bound(form, count) < 7e-10 * count * clip


def test_the_worst_noise_that_there_can_be_is_within_the_bound_and_near_it() -> None:
    """42 in every coefficient, with the sign of its weight in the real part of the first slot."""
    n = SET.ring_degree
    worst = ETA * np.abs(np.cos(np.pi * np.arange(n) / n)).sum() / SET.scale
    assert 0.8 * SET.error(1) < worst < SET.error(1)


def test_a_full_roster_of_the_largest_values_does_not_wrap() -> None:
    """All 256 at the bound, in both parts of all slots. One silo's ciphertext for all: only the sum is looked at."""
    form = shape(SET.ring_degree)
    update = np.where(np.arange(form.length) % 3, 1.0, -1.0)
    one = BACKEND.encrypt(update, weight=1.0, shape=form)
    total = total_of([one] * SET.max_silos, form)
    key = np.frombuffer(one.key, np.int8).astype("<i2") * SET.max_silos
    combined = BACKEND.combine_keys([one.key])[:12] + struct.pack("<I", SET.max_silos) + SET.digest() + key.tobytes()
    found = BACKEND.decrypt(total, combined, shape=form, count=SET.max_silos)
    assert np.abs(found.values - SET.max_silos * update).max() <= found.error_bound
    with pytest.raises(ParametersRefused, match="257 contributions"):
        total_of([one] * (SET.max_silos + 1), form)


def test_a_round_in_ckks_and_an_additive_one_agree_within_their_errors() -> None:
    form, draw = shape(5000, 0.25), np.random.default_rng(3)
    updates = [draw.uniform(-0.25, 0.25, form.length) for _ in range(4)]
    weights = (0.4, 0.3, 0.2, 0.1)
    other = AdditiveAggregation(ParameterSet.named("sum-2048-w32"))
    sums = []
    for backend in (BACKEND, other):
        given_ = [backend.encrypt(u, weight=w, shape=form) for u, w in zip(updates, weights, strict=True)]
        accumulator = backend.accumulator(shape=form)
        for one in given_:
            accumulator.add(one.ciphertext)
        key = backend.combine_keys([one.key for one in given_])
        sums.append(backend.decrypt(accumulator.total(), key, shape=form, count=4))
    assert np.abs(sums[0].values - sums[1].values).max() <= sums[0].error_bound + sums[1].error_bound


def test_what_is_released_is_multiples_of_the_step() -> None:
    form = shape(100, 0.5)
    found = opened([BACKEND.encrypt(np.full(100, 0.1), weight=1.0, shape=form) for _ in range(3)], form)
    multiples = found / 0.5 / SET.step(3)
    np.testing.assert_array_equal(multiples, np.rint(multiples))
    assert SET.step(3) >= 2 * SET.error(3)


# --------------------------------------------------------------------------------------- what is refused, by whom


FORM = shape(4100)


def contributions(count: int, form: SumShape = FORM) -> list[Encrypted]:
    return [BACKEND.encrypt(np.full(form.length, 0.5), weight=1.0, shape=form) for _ in range(count)]


@pytest.fixture(scope="module")
def three() -> list[Encrypted]:
    return contributions(3)


@pytest.mark.parametrize("length", [1, 4095, 4096, 4100])
def test_a_missing_key_a_foreign_one_and_one_too_many_open_nothing(length: int) -> None:
    """Also where no slot is left over whose zero would show it."""
    form = shape(length)
    three, (foreign,) = contributions(3, form), contributions(1, form)
    total, keys = total_of(three, form), [one.key for one in three]
    header = BACKEND.combine_keys(keys)[:KEY_HEADER_BYTES]
    for wrong in (keys[:2], [*keys[:2], foreign.key], [*keys, foreign.key]):
        combined = header + BACKEND.combine_keys(wrong)[KEY_HEADER_BYTES:]  # whatever it says of itself
        with pytest.raises(CiphertextRefused, match="does not belong to this sum"):
            BACKEND.decrypt(total, combined, shape=form, count=3)
    assert BACKEND.decrypt(total, BACKEND.combine_keys(keys), shape=form, count=3).values == pytest.approx(1.5)


@pytest.mark.parametrize("coefficient", [0, 1, 4095])
def test_a_key_that_is_wrong_by_one_in_one_coefficient_opens_nothing(three: list[Encrypted], coefficient: int) -> None:
    combined = bytearray(BACKEND.combine_keys([one.key for one in three]))
    at = KEY_HEADER_BYTES + 2 * coefficient
    (value,) = struct.unpack_from("<h", combined, at)
    struct.pack_into("<h", combined, at, value + 1)
    with pytest.raises(CiphertextRefused, match="does not belong to this sum"):
        BACKEND.decrypt(total_of(three, FORM), bytes(combined), shape=FORM, count=3)


def test_secrets_beyond_what_is_drawn_are_refused_by_name(three: list[Encrypted]) -> None:
    keys = [bytearray(one.key) for one in three]
    keys[1][7] = 43
    with pytest.raises(CiphertextRefused, match="key 1 has a coefficient beyond 42"):
        BACKEND.combine_keys(keys)
    keys[1][7] = 128  # -128, whose magnitude is no 8-bit integer
    with pytest.raises(CiphertextRefused, match="key 1 has a coefficient beyond 42"):
        BACKEND.combine_keys(keys)
    combined = bytearray(BACKEND.combine_keys([one.key for one in three]))
    for value in (3 * 42 + 1, -(1 << 15)):
        struct.pack_into("<h", combined, KEY_HEADER_BYTES, value)
        with pytest.raises(CiphertextRefused, match="beyond its secrets'"):
            BACKEND.decrypt(total_of(three, FORM), bytes(combined), shape=FORM, count=3)


def test_another_rounds_ciphertext_is_refused_and_does_not_decrypt_either(three: list[Encrypted]) -> None:
    (replayed,) = contributions(1, shape(FORM.length, name=b"o" * 32))
    accumulator = BACKEND.accumulator(shape=FORM)
    with pytest.raises(CiphertextRefused, match="ciphertext 0 belongs to the round context"):
        accumulator.add(replayed.ciphertext)
    # With a header of this round: the reference it was made with is another one.
    forged = three[0].ciphertext[:HEADER_BYTES] + replayed.ciphertext[HEADER_BYTES:]
    accumulator.add(forged)
    with pytest.raises(CiphertextRefused, match="does not belong to this sum"):
        BACKEND.decrypt(accumulator.total(), BACKEND.combine_keys([replayed.key]), shape=FORM, count=1)


def test_ciphertexts_and_keys_of_another_scheme_or_set_are_refused(three: list[Encrypted]) -> None:
    additive = AdditiveAggregation(ParameterSet.named("sum-2048-w32"))
    other = additive.encrypt(np.full(FORM.length, 0.5), weight=1.0, shape=FORM)
    with pytest.raises(CiphertextRefused, match="ciphertext 0 starts with"):
        BACKEND.accumulator(shape=FORM).add(other.ciphertext)
    with pytest.raises(CiphertextRefused, match="ciphertext 0 starts with"):
        additive.accumulator(shape=FORM).add(three[0].ciphertext)
    with pytest.raises(CiphertextRefused, match="key 0 has 32 bytes, not 4096"):
        BACKEND.combine_keys([other.key])
    narrower = CkksAggregation(CkksSumSet("narrower", 4096, SET.modulus, scale_bits=40, max_silos=256))
    with pytest.raises(CiphertextRefused, match="uses the parameters"):
        narrower.accumulator(shape=FORM).add(three[0].ciphertext)
    with pytest.raises(CiphertextRefused, match="uses the parameters"):
        total = narrower.encrypt(np.full(FORM.length, 0.5), weight=1.0, shape=FORM).ciphertext
        narrower.decrypt(total, BACKEND.combine_keys([three[0].key]), shape=FORM, count=1)


@pytest.mark.parametrize("word", [SET.modulus, SET.modulus + 1, (1 << 64) - 1])
@pytest.mark.parametrize("at", [0, 4095, 8191])
def test_words_that_are_not_below_the_modulus_are_named(three: list[Encrypted], word: int, at: int) -> None:
    damaged = bytearray(three[0].ciphertext)
    struct.pack_into("<Q", damaged, HEADER_BYTES + 8 * at, word)
    accumulator = BACKEND.accumulator(shape=FORM)
    with pytest.raises(CiphertextRefused, match=f"ciphertext 0 holds {word} at word {at}, not below the modulus"):
        accumulator.add(bytes(damaged))
    assert accumulator.count == 0


def test_garbage_of_the_right_form_is_added_and_the_sum_refused(three: list[Encrypted]) -> None:
    """One silo spoils the round for all, and is not named: that takes proofs."""
    words = np.random.default_rng(1).integers(0, SET.modulus, 2 * SET.ring_degree, dtype=np.uint64)
    garbage = Encrypted(three[0].ciphertext[:HEADER_BYTES] + words.tobytes(), three[0].key)
    with pytest.raises(CiphertextRefused, match="does not belong to this sum"):
        opened([garbage, three[1], three[2]], FORM)


def test_a_value_behind_the_last_one_is_refused(three: list[Encrypted]) -> None:
    longer = BACKEND.encrypt(np.full(2 * SET.ring_degree, 1e-6), weight=1.0, shape=shape(2 * SET.ring_degree))
    forged = three[0].ciphertext[:HEADER_BYTES] + longer.ciphertext[HEADER_BYTES:]
    with pytest.raises(CiphertextRefused, match="beyond all contributions"):
        BACKEND.decrypt(forged, BACKEND.combine_keys([longer.key]), shape=FORM, count=1)


def test_nothing_is_proven_of_it() -> None:
    with pytest.raises(ParametersRefused, match=r"nothing can be proven.*additive-rlwe"):
        BACKEND.encrypt_for_proof(np.zeros(5), weight=1.0, shape=shape(5))


# -------------------------------------------------------------------------------------------------- parameter sets


@pytest.mark.parametrize(
    ("scale_bits", "silos", "what"), [(51, 256, "reach"), (49, 800, "over"), (20, 781, "over 16 bits")]
)
def test_a_set_that_could_wrap_is_refused(scale_bits: int, silos: int, what: str) -> None:
    with pytest.raises(ParametersRefused, match=what):
        CkksSumSet("wide", 4096, SET.modulus, scale_bits=scale_bits, max_silos=silos)


def test_sets_are_named() -> None:
    with pytest.raises(ParametersRefused, match="ckks-sum-4096"):
        CkksSumSet.named("sum-256-w16")


def test_the_figures_of_the_page() -> None:
    inside = 2 * sqrt(2) * SET.max_silos * SET.scale / SET.modulus
    assert f"{inside:.2f}" == "0.35" and -SET.ring_degree * log2(inside) > 6000
    assert f"{(ETA + 0.5) * 4096 / sqrt(2) / SET.scale:.1e}" == "2.2e-10"
    assert all(SET.error(n) + SET.step(n) / 2 < 7e-10 * n for n in range(1, 257))
