"""A float model becomes integers: what is computed is the same everywhere, and what it loses is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from float_models import classifier, digits, everything, model, node, numbers, perceptron
from quatrefoil.errors import CallerError, ModelRefused, PolicyInvalid
from quatrefoil.inference import InferRequest, OnnxEngine
from quatrefoil.quantised import Widths, decode, encode, measure_accuracy, quantise
from quatrefoil.quantised.graph import EXACT_SINGLE
from quatrefoil.quantised.steps import AveragePool, Conv, Dense, MaxPool, Sum
from reference import integer_graph


def computed(graph, samples):
    """What ONNX Runtime answers, as integers."""
    engine = OnnxEngine(encode(graph), name="integers")
    (found,) = engine.infer(InferRequest({graph.input.name: np.asarray(samples, np.float32)})).outputs.values()
    return np.rint(np.asarray(found, np.float64) * 2.0 ** graph.exponents[-1]).astype(np.int64)


def same(graph, samples):
    slow = np.array(integer_graph.answers(graph, samples), dtype=np.int64)
    assert np.array_equal(computed(graph, samples), slow)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 9)] * 3),
    seed=st.integers(0, 1000),
    widths=st.builds(Widths, st.integers(2, 16), st.integers(2, 15)),
)
def test_a_perceptron_computes_to_the_bit_what_the_slow_reference_does(sizes, seed, widths):
    graph = quantise(perceptron(*sizes, seed=seed), numbers(seed, 20, sizes[0]), widths)
    same(graph, 3 * numbers(seed + 9, 5, sizes[0]))


def test_weights_that_hardly_weigh_beside_the_bias_have_no_more_bits_than_a_shift():
    """Their own exponent would ask for a sum to be shortened by more than there is."""
    graph = quantise(perceptron(1, 1, 1, seed=813), numbers(813, 20, 1), Widths(10, 15))
    (first, *_) = graph.steps
    assert isinstance(first, Dense) and first.requantise is not None and first.requantise.shift == 24
    same(graph, 3 * numbers(822, 5, 1))


@pytest.mark.parametrize("seed", range(6))
def test_every_operator_computes_to_the_bit_what_the_slow_reference_does(seed):
    graph = quantise(everything(seed), numbers(seed, 30, 2, 8, 8))
    kinds = [type(step) for step in graph.steps]
    assert {Conv, MaxPool, Sum, AveragePool, Dense} <= set(kinds)
    same(graph, 2 * numbers(seed + 50, 8, 2, 8, 8))


OPTIONS = [{}, {"axis": -1}, {"keepdims": 1}, {"select_last_index": 1}, {"keepdims": 1, "select_last_index": 1}]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_places_of_the_largest_are_those_that_the_slow_reference_finds(options, relu):
    """With a ReLU before it most of what is compared is 0, and 0 again: ties."""
    float_model = classifier(3, relu=relu, **options)
    graph = quantise(float_model, numbers(3, 30, 16), Widths(4, 3))
    samples = 2 * numbers(9, 60, 16)
    same(graph, samples)
    assert computed(graph, samples).shape == ((60, 1) if "keepdims" in options else (60,))
    assert decode(encode(graph)).steps[-1] == graph.steps[-1]
    assert measure_accuracy(float_model, encode(graph), samples).agreement > 0.5


def test_of_several_largest_the_first_or_the_last_is_taken():
    first, last = (
        quantise(classifier(3, relu=True, select_last_index=last), numbers(3, 30, 16), Widths(4, 3)) for last in (0, 1)
    )
    samples = 2 * numbers(9, 60, 16)
    assert (computed(first, samples) < computed(last, samples)).any()
    assert (computed(first, samples) <= computed(last, samples)).all()


def test_wide_sums_are_exact_in_double_precision():
    """Sums beyond 2^24: in 32 bits they would be rounded, and differently on every machine."""
    graph = quantise(perceptron(400, 8, 2), numbers(3, 50, 400), Widths(16, 12))
    assert graph.bounds[0] > EXACT_SINGLE
    same(graph, numbers(4, 4, 400))


def test_inputs_that_are_no_numbers_or_out_of_range_have_one_reading():
    graph = quantise(perceptron(3), numbers(1, 20, 3))
    same(graph, [[np.nan, np.inf, -np.inf], [1e30, -1e30, 0.0], [-0.0, 1e-30, 0.5]])


def test_halves_are_rounded_to_even():
    graph = quantise(perceptron(2), np.array([[1.0, 0.0]], "f4"))
    step = 2.0**-graph.input.exponent
    same(graph, [[0.5 * step, 1.5 * step], [2.5 * step, 3.5 * step]])


def test_a_model_of_digits_keeps_its_accuracy_in_eight_bits_and_loses_it_in_two():
    digit_model, images, labels = digits()
    found = measure_accuracy(digit_model, encode(quantise(digit_model, images[:300])), images[1200:], labels[1200:])
    assert found.samples == 597 and found.drop < 0.01 and found.agreement > 0.99
    found.require(0.01)
    poor = measure_accuracy(
        digit_model, encode(quantise(digit_model, images[:300], Widths(2, 2))), images[1200:], labels[1200:]
    )
    assert poor.drop > found.drop
    with pytest.raises(PolicyInvalid, match=r"quantising loses .* over the 0\.001 allowed"):
        poor.require(0.001)


def test_without_labels_what_is_lost_is_agreement():
    digit_model, images, _ = digits()
    found = measure_accuracy(digit_model, encode(quantise(digit_model, images[:300])), images[1200:])
    assert found.accuracy is None and found.drop == 1 - found.agreement


def test_a_file_reads_back_as_its_graph():
    graph = quantise(everything(), numbers(0, 30, 2, 8, 8))
    again = decode(encode(graph))
    assert encode(again) == encode(graph)
    assert [type(step) for step in again.steps] == [type(step) for step in graph.steps]
    assert again.exponents == graph.exponents and again.values == graph.values


def test_one_model_and_its_samples_give_one_file():
    first, second = (encode(quantise(everything(), numbers(0, 30, 2, 8, 8))) for _ in range(2))
    assert first == second


def test_sums_that_no_kernel_holds_are_refused_with_the_numbers():
    from quatrefoil.quantised.graph import Input, IntegerGraph
    from quatrefoil.quantised.steps import Requantise

    weights = np.full((1, 64, 8, 8), 32767)
    step = Conv("wide", (0,), weights, np.zeros(1, np.int64), (1, 1), (0, 0, 0, 0), Requantise(8, 0, 255))
    with pytest.raises(ModelRefused, match=r"Conv 'wide' may reach \d+, and are exact below 16777216"):
        IntegerGraph(Input("x", (64, 8, 8), 0, 0, 255), (step,), (0, 0), "y")


def test_convolutions_have_as_many_bits_a_weight_as_their_sums_leave():
    kernel = np.abs(numbers(1, 4, 32, 8, 8))
    wide = model(
        [node("Conv", ["x", "k"], "r"), node("Relu", ["r"], "y")], ("x", [32, 8, 8]), ("y", [4, 1, 1]), {"k": kernel}
    )
    images = np.abs(numbers(2, 6, 32, 8, 8))
    graph = quantise(wide, images, Widths(8, 8))
    assert graph.bounds[0] < EXACT_SINGLE
    (first, *_) = graph.steps
    assert isinstance(first, Conv) and np.abs(first.weights).max() < 127
    same(graph, images[:2])


def test_a_model_of_one_batch_size_is_asked_in_that():
    import onnx

    fixed = onnx.load_from_string(perceptron())
    for one in (*fixed.graph.input, *fixed.graph.output):
        one.type.tensor_type.shape.dim[0].dim_value = 2
    file = fixed.SerializeToString()
    graph = quantise(file, numbers(1, 6, 6))
    same(graph, numbers(2, 3, 6))
    assert measure_accuracy(file, encode(graph), numbers(3, 4, 6)).samples == 4
    with pytest.raises(CallerError, match="5 samples for a model that takes 2 at once"):
        quantise(file, numbers(1, 5, 6))
