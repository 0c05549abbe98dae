"""Flattenings and biases as exporters write them: shapes that begin with the batch, constants in other forms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from float_models import model, node, numbers
from quatrefoil.errors import ModelRefused
from quatrefoil.quantised import IntegerGraph, encode, measure_accuracy, quantise

IMAGES = numbers(5, 40, 2, 4, 4)
KERNEL, MATRIX = numbers(1, 3, 2, 3, 3), numbers(2, 12, 5)
CONSTANTS = {
    "kernel": KERNEL,
    "matrix": MATRIX,
    "sideways": MATRIX.T,
    "narrow": MATRIX[:6],
    "bias": numbers(3, 3),
    "flat": np.array([0, -1]),
    "flat_of_known": np.array([-1, 12]),
    "rest": np.array([-1]),
    "known": np.array([12]),
    "zero": np.array([0]),
    "nil": np.array(0),
    "one": np.array([1]),
    "two": np.array([2]),
    "ahead": np.array([1, 12]),
    "two_ahead": np.array([2, -1]),
    "six": np.array([-1, 6]),
    "both": np.array([-1, -1]),
    "none": np.array([-1, 0]),
    "three": np.array([0, 4, -1]),
    "sides": np.array([1, 3, 1, 1]),
    "axes": np.array([0, 2, 3]),
    "many": np.array([7, 1, 1]),
}
FLATTEN = [node("Flatten", ["p"], "f")]
BIASED = [node("Reshape", ["bias", "sides"], "wide"), node("Add", ["c", "wide"], "b")]
PRODUCT = [node("MatMul", ["f", "matrix"], "y")]


def built(flattening=FLATTEN, biased=BIASED, product=PRODUCT, batch="n"):
    """Conv and its bias, ReLU, pool, flattening, product: of all of them only the middle is written differently."""
    nodes = [
        node("Conv", ["x", "kernel"], "c", pads=[1] * 4),
        *biased,
        node("Relu", ["b"], "r"),
        node("MaxPool", ["r"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        *flattening,
        *product,
    ]
    taken = {name for one in nodes for name in one.input}
    constants = {name: array for name, array in CONSTANTS.items() if name in taken}
    return model(nodes, ("x", [2, 4, 4]), ("y", [5]), constants, batch=batch)


def reshaped(*steps, by="s"):
    """``steps``: (operator, inputs, attributes) whose last one gives the shape."""
    names = ["p", *(f"s{n}" for n in range(len(steps) - 1)), by]
    made = [
        node(operator, [before if one == "." else one for one in given], name, **how)
        for (before, name), (operator, given, how) in zip(pairwise(names), steps, strict=True)
    ]
    return [*made, node("Reshape", ["p", by], "f")]


FLATTENINGS = {
    "as PyTorch views": reshaped(
        ("Shape", ".", {}),
        ("Gather", [".", "nil"], {"axis": 0}),
        ("Unsqueeze", [".", "zero"], {}),
        ("Concat", [".", "rest"], {"axis": 0}),
    ),
    "as Paddle flattens": reshaped(
        ("Shape", ".", {}),
        ("Slice", [".", "zero", "one", "zero"], {}),
        ("Concat", [".", "rest"], {"axis": 0}),
    ),
    "by a part of the shape": reshaped(("Shape", ".", {"start": 0, "end": 1}), ("Concat", [".", "known"], {"axis": 0})),
    "by zero and what is left": [node("Reshape", ["p", "flat"], "f")],
    "by what is left and a size": [node("Reshape", ["p", "flat_of_known"], "f")],
}
BIASES = {
    "with more axes": [node("Unsqueeze", ["bias", "axes"], "wide"), node("Add", ["c", "wide"], "b")],
    "with fewer again": [
        node("Reshape", ["bias", "sides"], "w0"),
        node("Identity", ["w0"], "w1"),
        node("Squeeze", ["w1", "zero"], "wide"),
        node("Add", ["c", "wide"], "b"),
    ],
}


def same(one: IntegerGraph, other: IntegerGraph) -> bool:
    """But for the names of nodes."""
    pairs = zip(one.steps, other.steps, strict=True)
    return one.exponents == other.exponents and all(
        type(left) is type(right)
        and np.array_equal(getattr(left, "weights", 0), getattr(right, "weights", 0))
        and np.array_equal(getattr(left, "bias", 0), getattr(right, "bias", 0))
        for left, right in pairs
    )


@pytest.fixture(scope="module")
def plain() -> IntegerGraph:
    return quantise(built(), IMAGES)


@pytest.mark.parametrize("how", FLATTENINGS)
def test_a_shape_that_begins_with_the_batch_flattens(plain: IntegerGraph, how: str):
    made = built(FLATTENINGS[how])
    graph = quantise(made, IMAGES)
    assert same(graph, plain)
    assert measure_accuracy(made, encode(graph), IMAGES).agreement > 0.9


@pytest.mark.parametrize("how", BIASES)
def test_a_constant_may_be_stored_in_another_form(plain: IntegerGraph, how: str):
    assert same(quantise(built(biased=BIASES[how]), IMAGES), plain)


def test_a_matrix_may_be_stored_sideways(plain: IntegerGraph):
    product = [node("Transpose", ["sideways"], "upright"), node("MatMul", ["f", "upright"], "y")]
    assert same(quantise(built(product=product), IMAGES), plain)


def test_a_model_of_one_sample_may_say_so_in_its_shape(plain: IntegerGraph):
    one = [node("Reshape", ["p", "ahead"], "f")]
    assert same(quantise(built(one, batch=1), IMAGES), plain)
    with pytest.raises(ModelRefused, match=r"reshapes to \[1, 12\], which is no flattening"):
        quantise(built(one), IMAGES)


REFUSED = {
    r"node-f reshapes to \[2, -1\], which is no": [node("Reshape", ["p", "two_ahead"], "f")],
    r"node-f reshapes to \[-1, -1\], which is no": [node("Reshape", ["p", "both"], "f")],
    r"node-f reshapes to \[-1, 0\], which is no": [node("Reshape", ["p", "none"], "f")],
    r"node-f reshapes to \[0, 4, -1\], which is no": [node("Reshape", ["p", "three"], "f")],
    "node-s is Gather": reshaped(("Shape", ".", {}), ("Gather", [".", "one"], {})),
    "node-s1 is Slice": reshaped(
        ("Shape", ".", {}), ("Slice", [".", "zero", "two"], {}), ("Concat", [".", "rest"], {"axis": 0})
    ),
    "node-s is Concat": reshaped(("Shape", ".", {}), ("Concat", [".", "rest"], {"axis": 0})),
    "node-s0 is Shape": reshaped(("Shape", ".", {"start": 1}), ("Concat", [".", "rest"], {"axis": 0})),
    "node-t is Transpose, which is not among": [node("Transpose", ["p"], "t"), node("Flatten", ["t"], "f")],
    "node-t is Identity, which is not among": [node("Identity", ["p"], "t"), node("Flatten", ["t"], "f")],
    "node-f takes 's', which is no constant": reshaped(("Shape", ".", {})),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_no_flattening_is_refused_by_its_node(why: str):
    with pytest.raises(ModelRefused, match=why):
        quantise(built(REFUSED[why]), IMAGES)


def test_a_shape_that_makes_more_samples_of_one_is_no_flattening():
    halves = [node("Reshape", ["p", "six"], "f")]
    with pytest.raises(ModelRefused, match="node-f makes 6 of 12 features, which is no flattening"):
        quantise(built(halves, product=[node("MatMul", ["f", "narrow"], "y")]), IMAGES)


@pytest.mark.parametrize(
    "biased",
    [
        [node("Reshape", ["bias", "many"], "wide"), node("Add", ["c", "wide"], "b")],
        [node("Transpose", ["bias"], "wide", perm=[1]), node("Add", ["c", "wide"], "b")],
        [node("Squeeze", ["bias", "zero"], "wide"), node("Add", ["c", "wide"], "b")],
    ],
    ids=["Reshape", "Transpose", "Squeeze"],
)
def test_a_form_that_a_constant_cannot_have_is_refused_by_its_node(biased):
    with pytest.raises(ModelRefused, match="node-wide"):
        quantise(built(biased=biased), IMAGES)


def test_how_many_samples_there_are_is_no_bias():
    """A shape is for a Reshape alone: nothing else takes it for numbers that are known."""
    shape = [node("Shape", ["c"], "s0", start=0, end=1), node("Concat", ["s0", "rest"], "s", axis=0)]
    biased = [*shape, node("Add", ["c", "s"], "b")]
    with pytest.raises(ModelRefused, match="takes 's', which no node before it gives"):
        quantise(built(biased=biased), IMAGES)


def test_whoever_asks_for_a_shape_takes_no_value(plain: IntegerGraph):
    """So a layer can still be normalised, and have its ReLU."""
    asked = [node("Shape", ["c"], "s0", start=0, end=1), node("Concat", ["s0", "rest"], "s", axis=0), *BIASED]
    assert same(quantise(built([node("Reshape", ["p", "s"], "f")], biased=asked), IMAGES), plain)
