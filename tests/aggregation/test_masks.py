"""The public polynomials of a round are expanded once in a process, and no round is ever given another's."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from tests.aggregation.support import SETS, added, seeded, seeds, updates
from tests.reference import additive as reference

from quatrefoil import _core
from quatrefoil.aggregation import ParameterSet
from quatrefoil.contracts import SumShape

BLOCKS = 3
LENGTH = BLOCKS * 8192 - 5
ONE, OTHER = b"1" * 32, b"2" * 32


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    _core.limit_masks()
    yield
    _core.limit_masks()


def form(context: bytes) -> SumShape:
    return SumShape(LENGTH, 0.5, context)


def round_of(context: bytes, parameters: ParameterSet = SETS[0], silos: int = 4) -> np.ndarray:
    """The sum of ``silos`` updates in the round of this context, all in this process."""
    backend, shape = seeded(parameters, "masks"), form(context)
    contributions = [backend.encrypt(v * 0.4, weight=0.5, shape=shape) for v in updates(silos, LENGTH)]
    total = added(backend, [c.ciphertext for c in contributions], shape)
    key = backend.combine_keys([c.key for c in contributions])
    return backend.decrypt(total, key, shape=shape, count=silos).values


def expansions(work: object, *arguments: object) -> int:
    before = _core.masks_expanded()
    work(*arguments)  # type: ignore[operator]
    return _core.masks_expanded() - before


def test_a_round_is_expanded_once_for_all_silos_and_the_decryption() -> None:
    assert expansions(round_of, ONE) == BLOCKS
    assert expansions(round_of, ONE) == 0


def test_without_room_every_use_expands_again() -> None:
    """What the room saves."""
    _core.limit_masks(0)
    assert expansions(round_of, ONE) == 5 * BLOCKS


def test_blocks_beyond_the_room_are_expanded_whenever_they_are_needed() -> None:
    _core.limit_masks(2 * 32768)
    assert expansions(round_of, ONE) == 2 + 5 * (BLOCKS - 2)


def test_threads_that_need_the_same_block_expand_it_once() -> None:
    threads = [threading.Thread(target=round_of, args=(ONE,)) for _ in range(8)]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert expansions(run) == BLOCKS


@pytest.mark.parametrize("room", [0, 32768, 1 << 24])
def test_a_round_never_gets_the_polynomials_of_another(room: int) -> None:
    """Rounds take turns, of other contexts and other parameter sets, and every byte is the reference's."""
    _core.limit_masks(room)
    for parameters in (SETS[0], SETS[1], SETS[0]):
        for context in (ONE, OTHER, ONE, ONE):
            backend = seeded(parameters, "turns")
            backend.encrypt(np.zeros(LENGTH), weight=1.0, shape=form(context))
            values = np.linspace(-0.4, 0.4, 5000)
            encrypted = seeded(parameters, "turns").encrypt(values, weight=1.0, shape=SumShape(5000, 0.5, context))
            key, noise = itertools.islice(seeds("turns"), 2)
            p = reference.SETS[parameters.name]
            expected = reference.encrypt(p, values.tolist(), 1.0, 0.5, context, key, noise)
            assert encrypted.ciphertext == expected


def test_rounds_at_the_same_time_do_not_disturb_each_other() -> None:
    expected = {context: round_of(context) for context in (ONE, OTHER)}
    failed: list[bytes] = []

    def repeat(context: bytes) -> None:
        for _ in range(20):
            if not np.array_equal(round_of(context), expected[context]):
                failed.append(context)

    threads = [threading.Thread(target=repeat, args=(context,)) for context in (ONE, OTHER, ONE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_what_another_copy_of_the_hot_loops_expanded_is_not_used() -> None:
    for level in _core.processor_levels():
        _core.limit_processor(level)
        assert expansions(round_of, ONE) == BLOCKS
    _core.limit_processor(_core.processor_levels()[0])
