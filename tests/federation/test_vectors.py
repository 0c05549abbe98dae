"""Models as vectors and bytes: exact, and refused when they are not what was agreed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quatrefoil.errors import MessageRefused, UpdateRefused
from quatrefoil.federation.vectors import (
    ArrayLayout,
    Layout,
    decode_arrays,
    encode_arrays,
    flatten,
    layout_of,
    model_digest,
    unflatten,
)

arrays = st.sampled_from([np.dtype("<f4"), np.dtype("<f8")]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
)
models = st.lists(arrays, min_size=1, max_size=4)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return [(a.shape, a.dtype, a.tobytes()) for a in one] == [(a.shape, a.dtype, a.tobytes()) for a in other]


@given(models)
def test_models_survive_the_way_to_bytes_and_back(model: list[np.ndarray]) -> None:
    layout = layout_of(model)
    assert same(decode_arrays(encode_arrays(model, layout), layout), model)
    assert Layout.decode(layout.encode()) == layout


@given(models)
def test_models_survive_the_way_to_a_vector_and_back(model: list[np.ndarray]) -> None:
    layout = layout_of(model)
    finite = [np.asarray(np.nan_to_num(array)) for array in model]
    vector = flatten(finite, layout)
    assert vector.shape == (layout.length,) and vector.flags.c_contiguous
    assert same(unflatten(vector, layout), finite)


def test_the_vector_is_single_only_if_every_array_is() -> None:
    single, double = np.ones(2, np.float32), np.ones(2)
    assert flatten([single, single], layout_of([single, single])).dtype == np.float32
    assert flatten([single, double], layout_of([single, double])).dtype == np.float64
    assert [array.dtype for array in unflatten(np.ones(4), layout_of([single, double]))] == [np.float32, np.float64]


def test_arrays_in_any_memory_order_mean_the_same() -> None:
    array = np.arange(6.0).reshape(2, 3)
    for other in (np.asfortranarray(array), array.astype(">f8"), np.repeat(array, 2, axis=1)[:, ::2]):
        layout = layout_of([other])
        assert layout == layout_of([array])
        assert encode_arrays([other], layout) == array.astype("<f8").tobytes()
        np.testing.assert_array_equal(flatten([other], layout), np.arange(6.0))


def test_what_is_read_is_the_readers_own_memory() -> None:
    layout = layout_of([np.ones(2)])
    read = decode_arrays(encode_arrays([np.ones(2)], layout), layout)
    read[0][:] = 5
    vector = np.ones(2)
    unflatten(vector, layout)[0][:] = 5
    assert vector.tolist() == [1, 1]


def test_the_digest_names_values_shapes_and_types() -> None:
    base = [np.zeros((2, 3)), np.ones(2, np.float32)]
    others = [
        [np.zeros((3, 2)), np.ones(2, np.float32)],
        [np.zeros((2, 3)), np.ones(2)],
        [np.zeros((2, 3)), np.array([1, 2], np.float32)],
        [-np.zeros((2, 3)), np.ones(2, np.float32)],
        [np.ones(2, np.float32), np.zeros((2, 3))],
    ]
    digests = {model_digest(model, layout_of(model)) for model in [base, *others]}
    assert len(digests) == 6


@pytest.mark.parametrize(
    "parameter",
    [np.ones(2, np.float16), np.ones(2, int), np.ones(2, bool), np.array(["a"]), np.array([None]), [1.0], 1.0, None],
    ids=str,
)
def test_a_parameter_of_another_type_is_refused_by_its_place(parameter: object) -> None:
    with pytest.raises(UpdateRefused, match="parameter 1 is"):
        layout_of([np.ones(1), parameter])  # type: ignore[list-item]


def test_an_empty_model_is_the_callers_fault() -> None:
    for model in ([], [np.ones(0)], [np.ones((3, 0)), np.ones(0)]):
        with pytest.raises(UpdateRefused, match=r"without arrays|0 values"):
            layout_of(model)


@pytest.mark.parametrize(
    "changed",
    [
        [np.ones(2), np.ones((2, 2))],
        [np.ones((2, 2))],
        [np.ones((2, 2)), np.ones(2), np.ones(1)],
        [np.ones(4), np.ones(2)],
        [np.ones((2, 2), np.float32), np.ones(2)],
    ],
    ids=["exchanged", "one less", "one more", "another shape", "another type"],
)
def test_arrays_of_another_layout_are_refused(changed: list[np.ndarray]) -> None:
    layout = layout_of([np.ones((2, 2)), np.ones(2)])
    with pytest.raises(UpdateRefused, match="agreed layout"):
        flatten(changed, layout)
    with pytest.raises(UpdateRefused, match="agreed layout"):
        encode_arrays(changed, layout)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_bytes_of_another_length_are_refused(size: int) -> None:
    with pytest.raises(MessageRefused, match=f"model of {size} bytes arrived where 16 were agreed"):
        decode_arrays(bytes(size), layout_of([np.ones(2)]))


@pytest.mark.parametrize(
    ("shapes", "dtype", "problem"),
    [
        ([], "<f4", "without arrays"),
        ([(2,)], "<f2", "array type '<f2' is unknown"),
        ([(2,)], ">f4", "unknown"),
        ([(2,)], "O", "unknown"),
        ([(0,)], "<f4", "0 values"),
        ([(2**34, 2)], "<f4", "too large"),
        ([(2**33,), (2**33,), (1,)], "<f4", f"{2**34 + 1} values"),
        ([(2**64 - 1,) * 30], "<f4", "too large"),
        ([(0, 2**63), (1,)], "<f4", "too large"),
        ([(0, 2**33, 2**33), (1,)], "<f4", "too large"),
        ([(1,) * 33], "<f4", "33 dimensions"),
        ([(2,) * 100_000], "<f4", "dimensions"),
    ],
    ids=[
        "no arrays", "half", "big-endian", "objects", "no values", "too many values", "too many in all",
        "an enormous number", "an enormous side", "enormous sides", "too many dimensions", "very many dimensions",
    ],
)  # fmt: skip
def test_a_layout_that_no_array_can_have_is_refused(shapes: list[tuple[int, ...]], dtype: str, problem: str) -> None:
    def layout() -> Layout:
        return Layout(tuple(ArrayLayout(shape, dtype) for shape in shapes))

    with pytest.raises(MessageRefused, match=problem):
        layout()


def test_a_sent_layout_is_checked_as_it_is_read() -> None:
    encoded = layout_of([np.ones(7)]).encode()
    assert encoded.count(b"\x07") == 1
    with pytest.raises(MessageRefused, match="0 values"):
        Layout.decode(encoded.replace(b"\x07", b"\x00"))
