"""Several requests computed as one: each gets its own answer, and nothing of another's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

import small_models
from quatrefoil.errors import CallerError, EngineFailed, RequestRefused
from quatrefoil.inference import Bounds, InferRequest, OnnxEngine, RequestedOutput, infer_together

LINEAR = OnnxEngine(small_models.linear(), name="m", version="1", bounds=Bounds(dimension=16))


@given(st.lists(st.integers(0, 3), max_size=5), st.integers(0, 2**32))
def test_each_request_gets_the_answer_that_it_gets_alone(sizes, seed):
    source = np.random.default_rng(seed)
    requests = [
        InferRequest({"x": source.normal(size=(size, 3)).astype("f4")}, id=f"r{number}")
        for number, size in enumerate(sizes)
    ]
    for alone, request in zip(infer_together(LINEAR, requests), requests, strict=True):
        expected = LINEAR.infer(request)
        np.testing.assert_allclose(alone.outputs["y"], expected.outputs["y"], rtol=1e-5, atol=1e-6)
        assert (alone.id, alone.model_name, alone.model_version) == (request.id, "m", "1")


def test_an_answer_does_not_hold_those_of_others():
    first, _ = infer_together(LINEAR, [InferRequest({"x": np.full((1, 3), k, "f4")}) for k in (1, 2)])
    assert first.outputs["y"].base is None


def test_nan_of_one_stays_with_it():
    bad, good = (InferRequest({"x": np.full((1, 3), value, "f4")}) for value in (np.nan, 1))
    answers = infer_together(LINEAR, [bad, good, bad])
    assert [bool(np.isnan(answer.outputs["y"]).any()) for answer in answers] == [True, False, True]


def test_each_gets_the_outputs_that_it_asks_for():
    _, model, images = small_models.trained()
    engine = OnnxEngine(model, name="digits")
    wanted = [(), (RequestedOutput("label"),), (RequestedOutput("probabilities"), RequestedOutput("label"))]
    answers = infer_together(engine, [InferRequest({"X": images[:2]}, outputs=outputs) for outputs in wanted])
    assert [list(answer.outputs) for answer in answers] == [
        ["label", "probabilities"],
        ["label"],
        ["probabilities", "label"],
    ]


@pytest.mark.parametrize("inputs", [{}, {"x": np.zeros((1, 4), "f4")}, {"x": np.zeros((17, 3), "f4")}])
def test_one_that_does_not_fit_is_refused_before_anything_is_computed(inputs):
    with pytest.raises(RequestRefused):
        infer_together(LINEAR, [InferRequest({"x": np.zeros((1, 3), "f4")}), InferRequest(inputs)])


def test_more_than_the_bounds_together_is_the_callers_fault():
    with pytest.raises(CallerError, match="together"):
        infer_together(LINEAR, [InferRequest({"x": np.zeros((9, 3), "f4")})] * 2)


@pytest.mark.parametrize("model", [small_models.with_fixed_batch(), small_models.lookup()])
def test_models_without_a_common_open_first_dimension_are_refused(model):
    with pytest.raises(CallerError, match="no common first dimension"):
        infer_together(OnnxEngine(model, name="m"), [])


def test_rows_that_differ_between_inputs_are_refused():
    two_unnamed = small_models.model(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [("a", 1, [None, 2]), ("b", 1, [None, 2])],
        [("y", 1, [None, 2])],
    )
    request = InferRequest({"a": np.zeros((2, 2), "f4"), "b": np.zeros((1, 2), "f4")})
    with pytest.raises(CallerError, match="different numbers of rows"):
        infer_together(OnnxEngine(two_unnamed, name="m"), [request] * 2)


def test_a_model_that_mixes_rows_up_is_noticed():
    doubling = small_models.model(
        [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)], [("x", 1, [None, 3])], [("y", 1, [None, 3])]
    )
    with pytest.raises(EngineFailed, match="another number of rows"):
        infer_together(OnnxEngine(doubling, name="m"), [InferRequest({"x": np.ones((1, 3), "f4")})] * 2)
