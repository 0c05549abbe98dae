"""The kernel has a copy of its hot loops for each kind of processor. All of them must give the same bytes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from tests.aggregation.support import CONTEXT, SETS, added, seeded, seeds, shape, updates
from tests.reference import additive as reference

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.errors import CiphertextRefused, UpdateRefused

LEVELS = _core.processor_levels()


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    _core.limit_processor(request.param)
    yield request.param
    _core.limit_processor(LEVELS[0])


def test_every_processor_has_the_portable_copy() -> None:
    assert LEVELS[-1] == "portable" and set(LEVELS) <= {"avx512", "avx2", "neon", "portable"}


@pytest.mark.parametrize("name", ["", "sve", "AVX2", "portable "])
def test_unknown_levels_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no level"):
        _core.limit_processor(name)


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_each_copy_gives_the_bytes_of_the_reference(level: str, parameters: ParameterSet, kind: type) -> None:
    length = 4096 * parameters.slots + 13
    values = (updates(1, length, clip=0.37)[0] * 0.999).astype(kind)
    values[:6] = [0.0, -0.0, 0.36999, -0.36999, 1e-310, -1e-310]
    encrypted = seeded(parameters, "levels").encrypt(values, weight=0.7, shape=shape(length, 0.37))
    key_seed, noise_seed = itertools.islice(seeds("levels"), 2)
    p = reference.SETS[parameters.name]
    assert encrypted.ciphertext == reference.encrypt(p, values.tolist(), 0.7, 0.37, CONTEXT, key_seed, noise_seed)


def test_each_copy_adds_and_decrypts_alike(level: str) -> None:
    parameters, length = SETS[0], 3 * 8192 + 5
    form, backend = shape(length), seeded(SETS[0], "sums")
    contributions = [backend.encrypt(v, weight=0.5, shape=form) for v in updates(4, length)]
    here = outcome(parameters, contributions, length)
    _core.limit_processor(LEVELS[0])
    best = outcome(parameters, contributions, length)
    assert here[0] == best[0]
    np.testing.assert_array_equal(here[1], best[1])


def outcome(parameters: ParameterSet, contributions: list[object], length: int) -> tuple[bytes, np.ndarray]:
    backend, form = AdditiveAggregation(parameters), shape(length)
    total = added(backend, [c.ciphertext for c in contributions], form)  # type: ignore[attr-defined]
    key = backend.combine_keys([c.key for c in contributions])  # type: ignore[attr-defined]
    return total, backend.decrypt(total, key, shape=form, count=len(contributions)).values


def test_each_copy_draws_the_noise_of_the_reference(level: str) -> None:
    noise = _core.sampled_noise(SETS[0].layout, CONTEXT, b"n" * 32, 3)
    assert noise.tolist() == reference.noise(reference.SETS["sum-256-w16"], b"n" * 32, CONTEXT, 3)


def test_each_copy_refuses_alike(level: str) -> None:
    backend, form = AdditiveAggregation(SETS[0]), shape(5000)
    for index in (0, 4095, 4096, 4999):
        values = np.zeros(5000, dtype=np.float32)
        values[index] = np.nan
        with pytest.raises(UpdateRefused, match=f"value {index} is nan"):
            backend.encrypt(values, weight=1.0, shape=form)
    good = backend.encrypt(np.zeros(5000), weight=1.0, shape=form).ciphertext
    accumulator = backend.accumulator(shape=form)
    accumulator.add(good)
    for word in (0, 4095):
        offset = 96 + 8 * word
        bad = good[:offset] + _core.MODULUS.to_bytes(8, "little") + good[offset + 8 :]
        with pytest.raises(CiphertextRefused, match=f"at word {word}, not below"):
            accumulator.add(bad)
    assert accumulator.total() == good
