"""Parameters, updates, weights and shapes that the additive backend must not accept, and what it says."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from tests.aggregation.support import SETS, shape

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape
from quatrefoil.errors import ParametersRefused, UpdateRefused

BACKEND = AdditiveAggregation(SETS[0])
FORM = shape(100)


# ------------------------------------------------------------------------------------------------------ parameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delta": 14}, "noise of 256 silos up to 10752 reaches half of 2"),
        ({"delta": 16}, "2 slots of 24 bits shifted by 16 reach"),
        ({"max_silos": 512}, "noise of 512 silos up to 21504"),
        ({"slots": 3}, "3 slots of 24 bits shifted by 15 reach"),
        ({"slots": 0}, "slots 0 is not within 1 to 8"),
        ({"value_bits": 17}, "2 slots of 25 bits"),
        ({"value_bits": 33}, "value_bits 33 is not within 2 to 32"),
        ({"value_bits": 1}, "value_bits 1 is not within 2 to 32"),
        ({"max_silos": 1}, "max_silos 1 is not within 2"),
        ({"eta": 21}, "eta 21 is not within 42 to 42"),
        ({"ring_degree": 2048}, "ring_degree 2048 is not within 4096 to 4096"),
        ({"slots": 2.0}, "slots 2.0"),
        ({"name": ""}, "is no name"),
        ({"name": "ä"}, "is no name"),
    ],
)
def test_parameters_that_cannot_be_exact_or_secure(change: dict[str, object], message: str) -> None:
    with pytest.raises(ParametersRefused, match=message):
        replace(SETS[0], **change)


def test_parameters_at_the_very_edge_are_accepted_and_one_step_on_refused() -> None:
    # 2^(delta-1) > n * eta: 195 * 42 = 8190 < 8192 = 2^13, and 196 * 42 = 8232 is not.
    assert replace(SETS[0], max_silos=195, delta=14).slot_width == 24
    with pytest.raises(ParametersRefused, match="8232"):
        replace(SETS[0], max_silos=196, delta=14)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ParametersRefused, match=r"'sum-3'.*sum-256-w16, sum-2048-w32"):
        ParameterSet.named("sum-3")


def test_parameters_do_not_change_and_every_number_is_in_the_digest() -> None:
    with pytest.raises(FrozenInstanceError):
        SETS[0].delta = 3  # type: ignore[misc]
    others = [
        replace(SETS[0], name="other"),
        replace(SETS[0], value_bits=15),
        replace(SETS[0], slots=1),
        replace(SETS[0], max_silos=255),
        replace(SETS[0], slots=1, delta=16),
    ]
    assert len({p.digest() for p in (*SETS, *others)}) == len(SETS) + len(others)


def test_the_named_sets_are_as_promised() -> None:
    promised = {one.name: (one.max_silos, one.bytes_per_value, one.value_bits) for one in SETS}
    assert promised == {"sum-32-w12": (32, 8 / 3, 12), "sum-256-w16": (256, 4, 16), "sum-2048-w32": (2048, 8, 32)}


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_threads_out_of_range(threads: int) -> None:
    with pytest.raises(ParametersRefused, match=f"{threads} threads"):
        AdditiveAggregation(SETS[0], threads=threads)


@pytest.mark.parametrize("given", [b"", b"short", bytes(33)])
def test_a_source_of_randomness_of_the_wrong_length(given: bytes) -> None:
    backend = AdditiveAggregation(SETS[0], random=lambda _: given)
    with pytest.raises(ParametersRefused, match=f"gave {len(given)} bytes, not 32"):
        backend.encrypt(np.zeros(100), weight=1.0, shape=FORM)


# --------------------------------------------------------------------------------------------------------- updates


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.0000002, -1.0000002, 1e30])
@pytest.mark.parametrize("parameters", SETS, ids=lambda p: p.name)
def test_a_value_that_is_not_finite_or_beyond_the_clip_bound(kind: type, bad: float, parameters: ParameterSet) -> None:
    """In every slot, at both ends of slots and blocks, alone in the last block, and where eight values are no longer
    left for a wide register."""
    length = 2 * 4096 * parameters.slots + 4096 + 11
    ends = {4096 * n + offset for n in range(length // 4096 + 1) for offset in (-1, 0, 1)}
    for index in sorted(i for i in (*ends, length - 11, length - 1) if 0 <= i < length):
        values = np.zeros(length, dtype=kind)
        values[index] = bad
        for threads in (1, 3):
            backend = AdditiveAggregation(parameters, threads=threads)
            with pytest.raises(UpdateRefused, match=rf"value {index} is .* clip bound of 1\.0"):
                backend.encrypt(values, weight=0.001, shape=shape(length))


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 4095, 4096, 4097])
def test_the_only_bad_value_is_the_last_of_an_update_of_any_length(length: int) -> None:
    values = np.zeros(length)
    values[-1] = np.nan
    with pytest.raises(UpdateRefused, match=f"value {length - 1} is nan"):
        BACKEND.encrypt(values, weight=1.0, shape=shape(length))


def test_the_first_of_several_bad_values_is_named() -> None:
    values = np.zeros(30_000)
    values[[8190, 12_000, 29_000]] = np.nan
    with pytest.raises(UpdateRefused, match="value 8190 is nan"):
        AdditiveAggregation(SETS[0], threads=4).encrypt(values, weight=1.0, shape=shape(30_000))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(99),
        np.zeros(101),
        np.zeros((100, 1)),
        np.zeros((1, 100)),
        np.zeros(100, dtype=np.float16),
        np.zeros(100, dtype=np.int64),
        np.zeros(100, dtype=np.complex128),
        np.zeros(100, dtype=">f4"),
        np.zeros(200)[::2],
        np.zeros(100)[::-1],
        [0.0] * 100,
        np.frombuffer(bytes(801), dtype=np.uint8)[1:].view(np.float64),
    ],
    ids=lambda v: f"{getattr(v, 'dtype', 'list')}-{getattr(v, 'shape', '')}",
)
def test_updates_of_the_wrong_kind(values: object) -> None:
    with pytest.raises(UpdateRefused):
        BACKEND.encrypt(values, weight=1.0, shape=FORM)  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", [0.0, -0.5, 1.0000001, np.nan, np.inf])
def test_weights_out_of_range(weight: float) -> None:
    with pytest.raises(UpdateRefused, match="weight"):
        BACKEND.encrypt(np.zeros(100), weight=weight, shape=FORM)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (SumShape(0, 1.0, bytes(32)), "length of 0"),
        (SumShape(-5, 1.0, bytes(32)), "length of -5"),
        (SumShape(1 << 37, 1.0, bytes(32)), "length of 137438953472"),
        (SumShape(100, 0.0, bytes(32)), "clip bound of 0.0"),
        (SumShape(100, -1.0, bytes(32)), "clip bound of -1.0"),
        (SumShape(100, float("nan"), bytes(32)), "clip bound of nan"),
        (SumShape(100, float("inf"), bytes(32)), "clip bound of inf"),
        (SumShape(100, 1e-300, bytes(32)), "clip bound of 1e-300"),
        (SumShape(100, np.float32(0.1), bytes(32)), "clip bound of 0.1"),  # type: ignore[arg-type]
        (SumShape(100, 1.0, bytes(31)), "digest of 31 bytes"),
    ],
)
def test_shapes_that_are_none(form: SumShape, message: str) -> None:
    for call in (
        lambda: BACKEND.encrypt(np.zeros(100), weight=1.0, shape=form),
        lambda: BACKEND.accumulator(shape=form),
        lambda: BACKEND.decrypt(b"", b"", shape=form, count=1),
    ):
        with pytest.raises(ParametersRefused, match=message):
            call()
