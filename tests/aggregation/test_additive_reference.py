"""The kernel against the slow reference: the same bytes, the same sums."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.aggregation.support import CONTEXT, SETS, added, seeded, seeds, shape, updates
from tests.reference import additive as reference

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet


def named(parameters: ParameterSet) -> reference.Parameters:
    return reference.SETS[parameters.name]


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
def test_parameter_digests_agree(parameters: ParameterSet) -> None:
    assert parameters.digest() == named(parameters).digest()
    assert parameters.slot_width == named(parameters).width


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_ciphertext_bytes_agree_over_two_blocks(parameters: ParameterSet, kind: type) -> None:
    length = 4096 * parameters.slots + 37
    values = updates(1, length, clip=0.37)[0].astype(kind)
    values[:3] = [0.0, -0.3699999, 0.25]
    encrypted = seeded(parameters, "bytes").encrypt(values, weight=0.3, shape=shape(length, 0.37))
    key_seed, noise_seed = itertools.islice(seeds("bytes"), 2)
    expected = reference.encrypt(named(parameters), values.tolist(), 0.3, 0.37, CONTEXT, key_seed, noise_seed)
    assert bytes(encrypted.key) == key_seed
    assert encrypted.ciphertext == expected


@settings(max_examples=8, deadline=None)
@given(
    values=st.lists(st.floats(-2.5, 2.5), min_size=1, max_size=40),
    weight=st.floats(0.001, 1.0),
    context=st.binary(min_size=32, max_size=32),
    key_seed=st.binary(min_size=32, max_size=32),
    noise_seed=st.binary(min_size=32, max_size=32),
    parameters=st.sampled_from(SETS),
)
def test_ciphertext_bytes_agree_for_any_update(
    values: list[float], weight: float, context: bytes, key_seed: bytes, noise_seed: bytes, parameters: ParameterSet
) -> None:
    form = shape(len(values), 2.5, context)
    source = iter([key_seed, noise_seed])
    backend = AdditiveAggregation(parameters, random=lambda _: next(source))
    encrypted = backend.encrypt(np.array(values), weight=weight, shape=form)
    expected = reference.encrypt(named(parameters), values, weight, 2.5, context, key_seed, noise_seed)
    assert encrypted.ciphertext == expected


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
def test_each_decrypts_the_others_sum(parameters: ParameterSet) -> None:
    length, p = 500, named(parameters)
    backend, form = seeded(parameters, "cross"), shape(length)
    contributions = [backend.encrypt(v, weight=0.5, shape=form) for v in updates(3, length)]
    total = added(backend, [c.ciphertext for c in contributions], form)
    key = backend.combine_keys([c.key for c in contributions])
    assert key == reference.combine_keys(p, [bytes(c.key) for c in contributions])
    integers = reference.decrypt(p, total, key, length, CONTEXT)
    decrypted = backend.decrypt(total, key, shape=form, count=3)
    np.testing.assert_array_equal(decrypted.values, np.array(integers, dtype=float) * (1.0 / p.largest))


def test_the_reference_multiplies_as_the_definition_says() -> None:
    p = reference.SETS["sum-256-w16"]
    a = reference.uniform(p, CONTEXT, 0)
    s = reference.secret(p, bytes(32))
    product = reference.multiply(a, s)
    coefficients = reference.interpolate(a)
    for index in (0, 1, 2047, 4095):
        assert product[index] == reference.schoolbook(coefficients, s, index)


def test_samplers_agree() -> None:
    parameters = SETS[0]
    p = named(parameters)
    for block in (0, 1, 2**40):
        mask = _core.sampled_mask(parameters.layout, CONTEXT, block)
        assert mask.tolist() == reference.uniform(p, CONTEXT, block)
        noise = _core.sampled_noise(parameters.layout, CONTEXT, b"n" * 32, block)
        assert noise.tolist() == reference.noise(p, b"n" * 32, CONTEXT, block)


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_do_not_change_a_byte(threads: int) -> None:
    parameters, length = SETS[0], 5 * 8192 + 11
    form, values = shape(length), updates(3, length)
    one, many = seeded(parameters, "threads"), seeded(parameters, "threads", threads=threads)
    left = [one.encrypt(v, weight=1.0, shape=form) for v in values]
    right = [many.encrypt(v, weight=1.0, shape=form) for v in values]
    assert [c.ciphertext for c in left] == [c.ciphertext for c in right]
    total = added(one, [c.ciphertext for c in left], form)
    assert total == added(many, [c.ciphertext for c in left], form)
    key = one.combine_keys([c.key for c in left])
    np.testing.assert_array_equal(
        one.decrypt(total, key, shape=form, count=3).values, many.decrypt(total, key, shape=form, count=3).values
    )
