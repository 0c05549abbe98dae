"""Random damage to ciphertexts and keys: refused by name, or a sum that decrypts; never another error, never a crash.

A change above the noise is a change of the sum, which only signatures catch: docs/additive-encryption.md says so.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.aggregation.support import SETS, added, seeded, shape, updates

from quatrefoil.aggregation import ParameterSet
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, KEY_HEADER_BYTES
from quatrefoil.errors import CiphertextRefused

LENGTH, COUNT = 300, 3
FORM = shape(LENGTH)


class Honest:
    def __init__(self, parameters: ParameterSet) -> None:
        self.backend = seeded(parameters, "honest")
        sent = [self.backend.encrypt(u, weight=0.5, shape=FORM) for u in updates(COUNT, LENGTH)]
        self.one = sent[0].ciphertext
        self.total = added(self.backend, [c.ciphertext for c in sent], FORM)
        self.key = self.backend.combine_keys([c.key for c in sent])
        self.values = self.backend.decrypt(self.total, self.key, shape=FORM, count=COUNT).values


HONEST = {parameters.name: Honest(parameters) for parameters in SETS}

edits = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 1 << 20), st.integers(0, 7)),
        st.tuples(st.just("flip in the header"), st.integers(0, 1 << 20), st.integers(0, 7)),
        st.tuples(st.just("word"), st.integers(0, 1 << 20), st.binary(min_size=8, max_size=8)),
        st.tuples(st.just("cut"), st.integers(0, 1 << 20), st.integers(1, 100)),
        st.tuples(st.just("insert"), st.integers(0, 1 << 20), st.binary(min_size=1, max_size=100)),
        st.tuples(st.just("swap"), st.integers(0, 1 << 20), st.integers(0, 1 << 20)),
    ),
    min_size=1,
    max_size=4,
)


def damaged(data: bytes, header: int, changes: list[tuple[str, int, object]]) -> bytes:
    out = bytearray(data)
    for kind, where, what in changes:
        if not out:
            break
        place = where % len(out)
        word = header + (where * 8) % max(8, len(out) - header)
        if kind == "flip":
            out[place] ^= 1 << what  # type: ignore[operator]
        elif kind == "flip in the header":
            out[where % min(header, len(out))] ^= 1 << what  # type: ignore[operator]
        elif kind == "word":
            out[word : word + 8] = what  # type: ignore[assignment]
        elif kind == "cut":
            del out[place : place + what]  # type: ignore[operator]
        elif kind == "insert":
            out[place:place] = what  # type: ignore[assignment]
        else:
            other = what % len(out)  # type: ignore[operator]
            out[place], out[other] = out[other], out[place]
    return bytes(out)


@settings(max_examples=150, deadline=None)
@given(parameters=st.sampled_from(SETS), changes=edits)
def test_a_damaged_contribution_is_refused_and_leaves_the_sum_or_is_a_ciphertext(
    parameters: ParameterSet, changes: list[tuple[str, int, object]]
) -> None:
    honest = HONEST[parameters.name]
    data = damaged(honest.one, HEADER_BYTES, changes)
    accumulator = honest.backend.accumulator(shape=FORM)
    accumulator.add(honest.one)
    before = accumulator.total()
    try:
        accumulator.add(data)
    except CiphertextRefused:
        assert (accumulator.count, accumulator.total()) == (1, before)
        return
    assert (len(data), data[:HEADER_BYTES]) == (len(honest.one), honest.one[:HEADER_BYTES])
    assert np.frombuffer(data, "<u8", offset=HEADER_BYTES).max() < 2**64 - 2**32 + 1


@settings(max_examples=150, deadline=None)
@given(parameters=st.sampled_from(SETS), changes=edits)
def test_a_damaged_sum_is_refused_or_differs_only_in_values(
    parameters: ParameterSet, changes: list[tuple[str, int, object]]
) -> None:
    honest = HONEST[parameters.name]
    data = damaged(honest.total, HEADER_BYTES, changes)
    try:
        found = honest.backend.decrypt(data, honest.key, shape=FORM, count=COUNT)
    except CiphertextRefused:
        return
    assert (len(data), data[:HEADER_BYTES]) == (len(honest.total), honest.total[:HEADER_BYTES])
    assert found.values.shape == (LENGTH,) and np.abs(found.values).max() <= COUNT


@settings(max_examples=150, deadline=None)
@given(parameters=st.sampled_from(SETS), changes=edits)
def test_a_damaged_key_is_refused_or_the_same_key(
    parameters: ParameterSet, changes: list[tuple[str, int, object]]
) -> None:
    honest = HONEST[parameters.name]
    key = damaged(honest.key, KEY_HEADER_BYTES, changes)
    try:
        found = honest.backend.decrypt(honest.total, key, shape=FORM, count=COUNT)
    except CiphertextRefused:
        return
    assert key == honest.key, "another key than the right one never decrypts"
    np.testing.assert_array_equal(found.values, honest.values)


@settings(max_examples=100, deadline=None)
@given(parameters=st.sampled_from(SETS), data=st.binary(max_size=300), key=st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(parameters: ParameterSet, data: bytes, key: bytes) -> None:
    honest = HONEST[parameters.name]
    for call in (
        lambda: honest.backend.accumulator(shape=FORM).add(data),
        lambda: honest.backend.decrypt(data, honest.key, shape=FORM, count=COUNT),
        lambda: honest.backend.decrypt(honest.total, key, shape=FORM, count=COUNT),
        lambda: honest.backend.combine_keys([bytes(32), key if len(key) != 32 else key[1:]]),
    ):
        with pytest.raises(CiphertextRefused):
            call()
