"""The fast trace computes, to the bit, what the slow reference and ONNX Runtime do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from float_models import classifier, digits, everything, numbers, perceptron
from quatrefoil.errors import CallerError
from quatrefoil.quantised import IntegerGraph, Widths, encode, enter, outputs_of, quantise, trace_of
from quatrefoil.quantised import trace as trace_module
from quatrefoil.quantised.graph import EXACT_SINGLE, Input
from quatrefoil.quantised.steps import Conv, Dense, MaxPool, Requantise
from reference import integer_graph


def slow(graph, inputs):
    """(outputs, sums) of one input (integers in their shape), by the reference's own steps."""
    values, sums = [inputs], []
    for step in graph.steps:
        computed = integer_graph.COMPUTED[type(step).__name__]
        taken = [values[source] for source in step.sources]
        if isinstance(step, Dense | Conv) and step is not graph.steps[-1]:
            sums.append(computed(replace(step, requantise=None), taken).reshape(-1).tolist())
        values.append(computed(step, taken))
    return np.asarray(values[-1]).reshape(-1).tolist(), sums


def same(graph, samples):
    inputs = enter(graph, samples)
    found = trace_of(graph, inputs)
    for place, row in enumerate(inputs):
        sample = np.asarray(samples[place], np.float32).reshape(-1)
        assert row.tolist() == [integer_graph.entry(graph.input, x) for x in sample]
        outputs, sums = slow(graph, row.astype(object).reshape(graph.input.shape))
        assert found.outputs[place].tolist() == outputs
        assert [one[place].tolist() for one in found.sums] == sums
    assert found.outputs.dtype == np.int32 and all(one.dtype == np.int32 for one in found.sums)
    return found


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 9)] * 3),
    seed=st.integers(0, 1000),
    widths=st.builds(Widths, st.integers(2, 12), st.integers(2, 12)),
)
def test_perceptrons(sizes, seed, widths):
    graph = quantise(perceptron(*sizes, seed=seed), numbers(seed, 20, sizes[0]), widths)
    same(graph, 3 * numbers(seed + 9, 5, sizes[0]))


@pytest.mark.parametrize("seed", range(4))
def test_every_operator(seed):
    graph = quantise(everything(seed), numbers(seed, 30, 2, 8, 8))
    same(graph, 2 * numbers(seed + 50, 4, 2, 8, 8))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("last", [0, 1])
def test_places_and_the_sums_before_them(last, relu):
    options = {"select_last_index": last, "keepdims": last}
    graph = quantise(classifier(3, relu=relu, **options), numbers(3, 30, 16), Widths(4, 3))
    found = same(graph, 2 * numbers(9, 40, 16))
    assert found.outputs.shape == (40, 1) and [one.shape for one in found.sums] == [(40, 7), (40, 5)]


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    seed=st.integers(0, 10_000),
)
def test_convolutions_and_largest_of_windows_with_any_pads_and_strides(kernel, strides, pads, channels, seed):
    draw = np.random.default_rng(seed)
    given_channels, made = channels
    pool_pads = tuple(min(pad, size - 1) for pad, size in zip(pads, kernel * 2, strict=True))
    steps = (
        Conv(
            "c",
            (0,),
            draw.integers(-9, 10, (made, given_channels, *kernel)),
            draw.integers(-99, 99, made),
            strides,
            pads,
            Requantise(2, -60, 60),
        ),
        MaxPool("m", (0,), kernel, strides, pool_pads),
        MaxPool("n", (1,), (1, 1), (1, 2)),
    )
    graph = IntegerGraph(Input("x", (given_channels, 5, 4), 0, -128, 127), steps, (0,) * 4, "y")
    inputs = draw.integers(-128, 128, (3, 20 * given_channels))
    found = trace_of(graph, inputs)
    for place, row in enumerate(inputs):
        assert (found.outputs[place].tolist(), [one[place].tolist() for one in found.sums]) == slow(
            graph, row.astype(object).reshape(graph.input.shape)
        )


def test_many_images_are_taken_in_parts(monkeypatch):
    graph = quantise(everything(2), numbers(2, 30, 2, 8, 8))
    inputs = enter(graph, numbers(3, 7, 2, 8, 8))
    whole = trace_of(graph, inputs)
    monkeypatch.setattr(trace_module, "_WINDOWS", 3000)
    parts = trace_of(graph, inputs)
    assert np.array_equal(whole.outputs, parts.outputs)
    assert all(np.array_equal(a, b) for a, b in zip(whole.sums, parts.sums, strict=True))


def test_wide_sums_are_made_in_double_precision():
    graph = quantise(perceptron(400, 8, 2), numbers(3, 50, 400), Widths(16, 12))
    assert graph.bounds[0] > EXACT_SINGLE
    same(graph, numbers(4, 4, 400))


def test_outputs_are_what_the_served_file_answers():
    model, images, _ = digits()
    graph = quantise(model, images[:300])
    found = trace_of(graph, enter(graph, images[300:600])).outputs
    served = np.concatenate([next(iter(one.values())) for one in outputs_of(encode(graph), images[300:600])])
    assert np.array_equal(found, np.asarray(served, np.float64) * 2.0 ** graph.exponents[-1])


def test_inputs_that_are_no_numbers_have_one_reading():
    graph = quantise(perceptron(3), numbers(1, 20, 3))
    same(graph, np.array([[np.nan, np.inf, -np.inf], [1e38, -1e38, 0.0], [-0.0, 1e-40, 0.5]], "f4"))


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (np.zeros((2, 3)), "float64"),
        (np.zeros((2, 4), int), r"\(2, 4\)"),
        (np.zeros((0, 3), int), r"\(0, 3\)"),
        (np.zeros(3, int), r"\(3,\)"),
        (np.full((1, 3), 1 << 20), "outside"),
        (np.full((1, 3), -(1 << 20)), "outside"),
    ],
)
def test_other_inputs_are_refused(inputs, why):
    graph = quantise(perceptron(3), numbers(1, 20, 3))
    with pytest.raises(CallerError, match=why):
        trace_of(graph, inputs)


@pytest.mark.parametrize("samples", [np.zeros((2, 4)), np.zeros((0, 3)), np.zeros(3)])
def test_other_samples_are_refused(samples):
    graph = quantise(perceptron(3), numbers(1, 20, 3))
    with pytest.raises(CallerError, match="samples of"):
        enter(graph, samples)
