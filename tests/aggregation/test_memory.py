"""Sizes that others claim take no memory, and arrays that change while they are read do no harm."""

from __future__ import annotations

import struct
import threading
import tracemalloc

import numpy as np
import pytest
from tests.aggregation.support import SETS, shape

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation
from quatrefoil.aggregation.additive import LARGEST_LENGTH
from quatrefoil.errors import CiphertextRefused


@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
def test_a_sum_of_the_largest_size_takes_no_memory_before_the_first_ciphertext(parameters: object) -> None:
    """It is larger than the memory of most machines: an allocation would end the process."""
    backend = AdditiveAggregation(parameters)  # type: ignore[arg-type]
    form = shape(LARGEST_LENGTH)
    sums = [backend.accumulator(shape=form) for _ in range(100)]
    with pytest.raises(CiphertextRefused, match="ciphertext 0 starts with 0000"):
        sums[0].add(bytes(200))


def test_a_header_that_claims_the_largest_size_is_refused_before_anything_is_allocated() -> None:
    backend = AdditiveAggregation(SETS[0])
    form = shape(LARGEST_LENGTH)
    claim = struct.pack("<8sHHIQ32s32sd", b"QFADDSUM", 1, 0, 1, form.length, SETS[0].digest(), form.context, form.clip)
    key = backend.combine_keys([bytes(32)])
    tracemalloc.start()
    for call in (
        lambda: backend.accumulator(shape=form).add(claim),
        lambda: backend.decrypt(claim, key, shape=form, count=1),
    ):
        with pytest.raises(CiphertextRefused, match="has 96 bytes, not"):
            call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("blocks", [1 << 40, (1 << 48) - 1])
def test_the_kernel_raises_where_memory_does_not_suffice(blocks: int) -> None:
    layout = SETS[0].layout
    accumulator = _core.Accumulator(0, blocks * 32768)
    with pytest.raises(ValueError, match="are not"):
        accumulator.add(bytes(32768), 0)
    with pytest.raises(ValueError, match="nothing has been added"):
        accumulator.total(b"")
    for values in (1 << 62, (1 << 64) - 1):
        with pytest.raises(ValueError, match="do not fit in memory"):
            layout.block_bytes(values)
    for values in (-1, 1 << 64):
        with pytest.raises(OverflowError):
            layout.block_bytes(values)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_an_array_that_changes_during_encryption_gives_old_or_new_values(kind: type) -> None:
    """Every value is read once; what was read is what was checked."""
    backend, form = AdditiveAggregation(SETS[0], threads=2), shape(100_000)
    values, stop = np.full(form.length, 0.25, dtype=kind), threading.Event()

    def write() -> None:
        while not stop.is_set():
            values[:] = -0.75
            values[:] = 0.25

    writer = threading.Thread(target=write)
    writer.start()
    try:
        encrypted = [backend.encrypt(values, weight=1.0, shape=form) for _ in range(20)]
    finally:
        stop.set()
        writer.join()
    for one in encrypted:
        found = backend.decrypt(one.ciphertext, backend.combine_keys([one.key]), shape=form, count=1)
        distance = np.minimum(np.abs(found.values - 0.25), np.abs(found.values + 0.75))
        assert distance.max() <= found.error_bound


def test_a_sum_that_was_given_out_stays_as_it_was() -> None:
    """The accumulator gives out its own memory, and goes on with a copy."""
    backend, form = AdditiveAggregation(SETS[0]), shape(9_000)
    one = backend.encrypt(np.zeros(form.length), weight=1.0, shape=form).ciphertext
    accumulator = backend.accumulator(shape=form)
    accumulator.add(one)
    first, kept = accumulator.total(), bytes(bytearray(accumulator.total()))
    accumulator.add(one)
    second = accumulator.total()
    assert first == kept == one
    assert second != first and accumulator.total() == second


def test_the_kernel_puts_another_header_in_a_copy() -> None:
    accumulator = _core.Accumulator(4, 32768)
    accumulator.add(b"head" + bytes(32768), 4)
    first = accumulator.total(b"one.")
    second = accumulator.total(b"two.")
    assert (first[:4], second[:4]) == (b"one.", b"two.") and first[4:] == second[4:] == bytes(32768)
    for header in (b"", b"one", b"three"):
        with pytest.raises(ValueError, match="a header of"):
            accumulator.total(header)
