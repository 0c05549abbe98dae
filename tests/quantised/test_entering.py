"""Inputs that become integers: in pieces, in 32 bits, and what the definition in 64 bits says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quatrefoil.quantised import program
from quatrefoil.quantised.program import Entrance

floats = st.floats(width=32, allow_nan=True, allow_infinity=True)
exponents = st.integers(-160, 160)


def by_definition(values: np.ndarray, low: int, high: int, exponent: int) -> np.ndarray:
    wide = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf)
    with np.errstate(over="ignore"):
        return np.clip(np.rint(np.ldexp(wide, exponent)), low, high).astype(np.int32)


@settings(deadline=None, max_examples=200)
@given(arrays(np.float32, (3, 7), elements=floats), exponents, st.integers(-(1 << 15), 0), st.integers(1, 1 << 16))
def test_integers_are_those_of_the_definition(values: np.ndarray, exponent: int, low: int, high: int) -> None:
    found = Entrance((7,), low, high).enter(values, exponent)
    assert found.dtype == np.int32 and np.array_equal(found, by_definition(values, low, high, exponent))


@settings(deadline=None, max_examples=200)
@given(st.integers(-(1 << 15), 1 << 16), st.integers(-100, 140), st.sampled_from([-1, 0, 1]))
def test_halves_and_their_neighbours(whole: int, exponent: int, step: int) -> None:
    half = np.ldexp(np.float64(whole) + 0.5, -exponent).astype(np.float32)
    value = np.nextafter(half, np.float32(step * np.inf), dtype=np.float32) if step else half
    values = np.full((1, 1), value, np.float32)
    found = Entrance((1,), -(1 << 15), 1 << 16).enter(values, exponent)
    assert np.array_equal(found, by_definition(values, -(1 << 15), 1 << 16, exponent))


@pytest.mark.parametrize("at_once", [1, 7, 20, 1 << 16])
def test_pieces_are_the_whole(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_ENTERED_AT_ONCE", at_once)
    values = np.random.default_rng(1).normal(0, 90, (23, 7)).astype(np.float32)
    values[5, 3] = np.nan
    found = Entrance((7,), -128, 255).enter(values, 1)
    assert found.shape == (23, 7) and np.array_equal(found, by_definition(values, -128, 255, 1))
