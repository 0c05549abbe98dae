"""The sum is exact with the largest roster, worst-case noise and worst-case slots, in every parameter set.

Noise of 42 in every coefficient never happens by chance, so the ciphertexts are made by hand: a kernel ciphertext of
zeros is a * s + e, from which e is taken out and the worst e and messages put in.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.aggregation.support import CONTEXT, SETS, added, seeds, shape

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.aggregation.ciphertext import HEADER_BYTES
from quatrefoil.contracts import Encrypted
from quatrefoil.errors import CiphertextRefused

P, N, ETA = _core.MODULUS, _core.RING_DEGREE, _core.ETA


def field_sum(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sum modulo p of canonical uint64 arrays."""
    with np.errstate(over="ignore"):
        gap = np.uint64(P) - right
        return np.where(left >= gap, left - gap, left + right)


def field_element(value: np.ndarray) -> np.ndarray:
    """int64 to canonical uint64."""
    with np.errstate(over="ignore"):
        return np.where(value < 0, value.astype(np.uint64) + np.uint64(P), value.astype(np.uint64))


def crafted(parameters: ParameterSet, name: str, message: np.ndarray, error: np.ndarray) -> Encrypted:
    """One block with this noise and these slots (slot, coefficient)."""
    source = seeds(name)
    backend = AdditiveAggregation(parameters, random=lambda count: next(source))
    length = N * parameters.slots
    encrypted = backend.encrypt(np.zeros(length), weight=1.0, shape=shape(length))
    noise_seed = list(zip(range(2), seeds(name), strict=False))[1][1]
    drawn = _core.sampled_noise(parameters.layout, CONTEXT, noise_seed, 0)
    packed = sum(message[t].astype(np.int64) << (parameters.slot_width * t) for t in range(parameters.slots))
    change = (packed << parameters.delta) + error - drawn
    body = np.frombuffer(encrypted.ciphertext, dtype="<u8", offset=HEADER_BYTES)
    changed = field_sum(body, field_element(change))
    return Encrypted(encrypted.ciphertext[:HEADER_BYTES] + changed.astype("<u8").tobytes(), encrypted.key)


def worst_messages(parameters: ParameterSet, least: int) -> np.ndarray:
    """Every combination of extreme slots, over the coefficients of a block."""
    extremes = np.array([least, parameters.largest_integer])
    choice = np.arange(N)
    return np.array([extremes[(choice >> t) & 1] for t in range(parameters.slots)])


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
@pytest.mark.parametrize("sign", [-1, 1, 0])
def test_the_largest_roster_with_the_worst_noise_is_exact(parameters: ParameterSet, sign: int) -> None:
    count, length = parameters.max_silos, N * parameters.slots
    form = shape(length)
    alternating = np.where(np.arange(N) % 3 == 0, ETA, -ETA)
    error = np.full(N, sign * ETA) if sign else alternating
    message = worst_messages(parameters, -parameters.largest_integer)
    contributions = [crafted(parameters, f"silo {i}", message, error) for i in range(count)]
    backend = AdditiveAggregation(parameters)
    total = added(backend, [c.ciphertext for c in contributions], form)
    key = backend.combine_keys([c.key for c in contributions])
    decrypted = backend.decrypt(total, key, shape=form, count=count)
    unit = 1.0 / parameters.largest_integer
    np.testing.assert_array_equal(decrypted.values, (message.reshape(-1) * count) * unit)


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
@pytest.mark.parametrize("noise", [ETA + 1, -ETA - 1])
def test_noise_beyond_the_bound_is_refused(parameters: ParameterSet, noise: int) -> None:
    message = np.zeros((parameters.slots, N), dtype=np.int64)
    error = np.zeros(N, dtype=np.int64)
    error[17] = noise
    one = crafted(parameters, "loud", message, error)
    backend, form = AdditiveAggregation(parameters), shape(N * parameters.slots)
    key = backend.combine_keys([one.key])
    with pytest.raises(CiphertextRefused, match=rf"coefficient 17 leaves a residual of {noise}, .* of 42"):
        backend.decrypt(added(backend, [one.ciphertext], form), key, shape=form, count=1)


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_no_silo_may_send_is_refused(parameters: ParameterSet, sign: int) -> None:
    message = np.zeros((parameters.slots, N), dtype=np.int64)
    message[-1, 5] = sign * (parameters.largest_integer + 1)
    one = crafted(parameters, "greedy", message, np.zeros(N, dtype=np.int64))
    backend, form = AdditiveAggregation(parameters), shape(N * parameters.slots)
    key = backend.combine_keys([one.key])
    with pytest.raises(CiphertextRefused, match=f"slot of coefficient 5 holds {message[-1, 5]}"):
        backend.decrypt(added(backend, [one.ciphertext], form), key, shape=form, count=1)


def test_something_behind_the_last_value_is_refused() -> None:
    parameters = SETS[0]
    message = np.zeros((2, N), dtype=np.int64)
    message[1, 9] = 3
    one = crafted(parameters, "hidden", message, np.zeros(N, dtype=np.int64))
    form = shape(N + 9)
    backend = AdditiveAggregation(parameters)
    short = backend.encrypt(np.zeros(N + 9), weight=1.0, shape=form).ciphertext[:HEADER_BYTES]
    total = short + one.ciphertext[HEADER_BYTES:]
    with pytest.raises(CiphertextRefused, match="coefficient 9 holds 3 behind the last value"):
        backend.decrypt(total, backend.combine_keys([one.key]), shape=form, count=1)


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
def test_the_error_bound_holds_and_rounding_has_no_bias(parameters: ParameterSet) -> None:
    count, length, clip = 5, 20_000, 0.05
    form = shape(length, clip)
    backend = AdditiveAggregation(parameters)
    generator = np.random.default_rng(3)
    largest = np.nextafter(np.float32(clip), np.float32(0))
    values = [np.clip(generator.normal(0, 0.03, length), -largest, largest).astype(np.float32) for _ in range(count)]
    values[0][:4] = [largest, -largest, 0.0, 1e-30]
    contributions = [backend.encrypt(v, weight=0.2, shape=form) for v in values]
    total = added(backend, [c.ciphertext for c in contributions], form)
    key = backend.combine_keys([c.key for c in contributions])
    decrypted = backend.decrypt(total, key, shape=form, count=count)
    exact = sum(0.2 * v.astype(np.longdouble) for v in values)
    error = (decrypted.values - exact).astype(float)
    assert np.abs(error).max() <= decrypted.error_bound
    assert decrypted.error_bound < count * clip / parameters.largest_integer * 1.001
    deviation = clip / parameters.largest_integer * np.sqrt(count / 6 / length)
    assert abs(error.mean()) < 6 * deviation


def test_updates_at_the_clip_bound_come_back_as_they_are() -> None:
    for parameters in SETS:
        backend, form = AdditiveAggregation(parameters), shape(2, 0.1)
        one = backend.encrypt(np.array([0.1, -0.1]), weight=1.0, shape=form)
        decrypted = backend.decrypt(one.ciphertext, backend.combine_keys([one.key]), shape=form, count=1)
        np.testing.assert_allclose(decrypted.values, [0.1, -0.1], rtol=0, atol=1e-16)
