"""Small ONNX models that compute: written node by node, or trained."""

from __future__ import annotations

from functools import cache

import numpy as np
from onnx import TensorProto, helper

STRING, INT64, FLOAT = TensorProto.STRING, TensorProto.INT64, TensorProto.FLOAT


def model(nodes, inputs, outputs, initializers=()):
    """A model's bytes; inputs and outputs are (name, type, shape)."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(*spec) for spec in inputs],
        [helper.make_tensor_value_info(*spec) for spec in outputs],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


def weights(name, array):
    array = np.asarray(array, dtype="f4")
    return helper.make_tensor(name, FLOAT, array.shape, array.ravel())


@cache
def linear() -> bytes:
    """y = x W + b with W 3x2, batches of any size."""
    return model(
        [helper.make_node("MatMul", ["x", "W"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])],
        [("x", FLOAT, ["n", 3])],
        [("y", FLOAT, ["n", 2])],
        [weights("W", W), weights("b", B)],
    )


W = np.array([[1, 2], [3, 4], [5, 6]], dtype="f4")
B = np.array([0.5, -0.5], dtype="f4")


@cache
def lookup() -> bytes:
    """y = d[i], for strings: fails, and says the index, where ``i`` is outside."""
    return model(
        [helper.make_node("Gather", ["d", "i"], ["y"])],
        [("d", STRING, ["n"]), ("i", INT64, ["k"])],
        [("y", STRING, ["k"])],
    )


@cache
def sum_of_two() -> bytes:
    """y = a + b, of one size."""
    return model(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [("a", FLOAT, ["n", 2]), ("b", FLOAT, ["n", 2])],
        [("y", FLOAT, ["n", 2])],
    )


@cache
def with_fixed_batch() -> bytes:
    return model([helper.make_node("Neg", ["x"], ["y"])], [("x", FLOAT, [2, 2])], [("y", FLOAT, [2, 2])])


@cache
def convolutional() -> bytes:
    """Two convolutions, a mean and a linear layer over images of any even size, random weights from a fixed seed."""
    source = np.random.default_rng(7)
    first, second, last = (source.normal(size=size) for size in ((8, 3, 3, 3), (16, 8, 3, 3), (16, 10)))
    return model(
        [
            helper.make_node("Conv", ["x", "c1"], ["h1"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["h1"], ["r1"]),
            helper.make_node("Conv", ["r1", "c2"], ["h2"], strides=[2, 2]),
            helper.make_node("GlobalAveragePool", ["h2"], ["m"]),
            helper.make_node("Flatten", ["m"], ["f"]),
            helper.make_node("MatMul", ["f", "l"], ["y"]),
        ],
        [("x", FLOAT, ["n", 3, "h", "w"])],
        [("y", FLOAT, ["n", 10])],
        [weights("c1", first), weights("c2", second), weights("l", last)],
    )


@cache
def trained():
    """A classifier of handwritten digits, trained here: (scikit-learn's model, its ONNX bytes, images to ask it)."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    images, digits = load_digits(return_X_y=True)
    images = images.astype("f4") / 16
    classifier = LogisticRegression(max_iter=200).fit(images[:1500], digits[:1500])
    converted = to_onnx(classifier, images[:1], options={"zipmap": False}, target_opset=21)
    return classifier, converted.SerializeToString(), images[1500:]
