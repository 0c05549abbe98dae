"""Statistics of what the kernel draws. Seeds are fixed, so a failure is a change, never chance.

Thresholds: |z| < 5 for means, and chi-square within 5 deviations of its degrees of freedom.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.aggregation.support import CONTEXT, SETS, seeds, shape

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, KEY_HEADER_BYTES

LAYOUT, N, ETA, P = SETS[0].layout, _core.RING_DEGREE, _core.ETA, _core.MODULUS
BLOCKS = 200


def drawn_noise() -> np.ndarray:
    seed = next(seeds("noise"))
    return np.array([_core.sampled_noise(LAYOUT, CONTEXT, seed, j) for j in range(BLOCKS)])


def drawn_secrets() -> np.ndarray:
    """A combined key of one silo is its secret, modulo p."""
    backend, rows = AdditiveAggregation(SETS[0]), []
    for _, seed in zip(range(BLOCKS), seeds("secrets"), strict=False):
        body = np.frombuffer(backend.combine_keys([seed]), dtype="<u8", offset=KEY_HEADER_BYTES)
        rows.append(np.where(body > P // 2, -(np.uint64(P) - body).astype(np.int64), body.astype(np.int64)))
    return np.array(rows)


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """(chi-square - degrees of freedom) in deviations; cells with fewer than ten expected are merged at the ends."""
    keep = expected >= 10
    counts = np.append(counts[keep], counts[~keep].sum())
    expected = np.append(expected[keep], expected[~keep].sum())
    freedom = len(counts) - 1
    statistic = float(((counts - expected) ** 2 / np.maximum(expected, 1e-9)).sum())
    return (statistic - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("draw", [drawn_noise, drawn_secrets])
def test_secrets_and_errors_are_centred_binomial(draw: object) -> None:
    values = draw()  # type: ignore[operator]
    total = values.size
    assert np.abs(values).max() <= ETA
    assert abs(values.mean()) < 5 * math.sqrt(ETA / 2 / total)
    assert abs(values.var() - ETA / 2) < 5 * (ETA / 2) * math.sqrt(2 / total)
    probabilities = np.array([math.comb(2 * ETA, ETA + x) / 4**ETA for x in range(-ETA, ETA + 1)])
    counts = np.bincount((values + ETA).reshape(-1), minlength=2 * ETA + 1)
    assert abs(chi_square(counts, probabilities * total)) < 5


@pytest.mark.parametrize("draw", [drawn_noise, drawn_secrets])
def test_coefficients_are_uncorrelated_within_and_between_blocks(draw: object) -> None:
    values = draw().astype(float)  # type: ignore[operator]
    scale = (ETA / 2) * math.sqrt(values.size)
    for left, right in (
        (values[:, 1:], values[:, :-1]),
        (values[:, 2048:], values[:, :2048]),
        (values[1:], values[:-1]),
    ):
        assert abs((left * right).sum()) < 5 * scale


def uniform_bytes_score(words: np.ndarray) -> float:
    counts = np.bincount(np.frombuffer(words.astype("<u8").tobytes(), dtype=np.uint8), minlength=256)
    return chi_square(counts, np.full(256, counts.sum() / 256))


def test_the_mask_is_uniform_and_below_the_modulus() -> None:
    blocks = np.array([_core.sampled_mask(LAYOUT, CONTEXT, j) for j in range(BLOCKS)])
    assert int(blocks.max()) < P
    assert len(np.unique(blocks)) == blocks.size
    assert abs(uniform_bytes_score(blocks)) < 5
    fractions = blocks.astype(float) / P
    assert abs(fractions.mean() - 0.5) < 5 * math.sqrt(1 / 12 / blocks.size)


def test_other_contexts_and_parameters_give_other_masks() -> None:
    first = _core.sampled_mask(LAYOUT, CONTEXT, 0)
    for other in (
        _core.sampled_mask(LAYOUT, CONTEXT, 1),
        _core.sampled_mask(LAYOUT, bytes(32), 0),
        _core.sampled_mask(SETS[1].layout, CONTEXT, 0),
    ):
        assert not np.any(first == other)


def test_noise_depends_on_seed_context_and_block() -> None:
    one, two = bytes(32), b"\1" * 32
    rows = [
        _core.sampled_noise(LAYOUT, CONTEXT, one, 0),
        _core.sampled_noise(LAYOUT, CONTEXT, two, 0),
        _core.sampled_noise(LAYOUT, two, one, 0),
        _core.sampled_noise(LAYOUT, CONTEXT, one, 1),
        _core.sampled_noise(SETS[1].layout, CONTEXT, one, 0),
    ]
    assert len({row.tobytes() for row in rows}) == len(rows)


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
def test_ciphertexts_of_one_update_differ_and_look_uniform(parameters: object) -> None:
    length = 40 * N * parameters.slots  # type: ignore[attr-defined]
    backend, form = AdditiveAggregation(parameters, random=_from("fresh")), shape(length)  # type: ignore[arg-type]
    update = np.full(length, 0.75, dtype=np.float32)
    bodies = [
        np.frombuffer(backend.encrypt(update, weight=1.0, shape=form).ciphertext, dtype="<u8", offset=HEADER_BYTES)
        for _ in range(2)
    ]
    assert not np.any(bodies[0] == bodies[1])
    for body in bodies:
        assert abs(uniform_bytes_score(body)) < 5
        assert len(np.unique(body)) == body.size
        assert abs((body.astype(float) / P).mean() - 0.5) < 5 * math.sqrt(1 / 12 / body.size)


def _from(name: str) -> object:
    source = seeds(name)
    return lambda count: next(source)[:count]
