"""Small float models in ONNX to quantise."""

from __future__ import annotations

from functools import cache

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def model(nodes, given, found, constants, *, batch="n"):
    """A model's bytes; ``given`` and ``found`` are (name, sizes of a sample)."""
    graph = helper.make_graph(
        nodes,
        "float",
        [helper.make_tensor_value_info(given[0], FLOAT, [batch, *given[1]])],
        [helper.make_tensor_value_info(found[0], found[2] if len(found) > 2 else FLOAT, [batch, *found[1]])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def node(operation, given, found, **attributes):
    return helper.make_node(operation, given, [found], name=f"node-{found}", **attributes)


def perceptron(inputs=6, hidden=5, outputs=3, seed=1):
    """Gemm, Relu, MatMul, Add."""
    constants = {
        "w0": numbers(seed, hidden, inputs),
        "b0": numbers(seed + 1, hidden),
        "w1": numbers(seed + 2, hidden, outputs),
        "b1": numbers(seed + 3, outputs),
    }
    nodes = [
        node("Gemm", ["x", "w0", "b0"], "h", transB=1),
        node("Relu", ["h"], "r"),
        node("MatMul", ["r", "w1"], "p"),
        node("Add", ["p", "b1"], "y"),
    ]
    return model(nodes, ("x", [inputs]), ("y", [outputs]), constants)


def classifier(seed=1, *, inputs=16, hidden=7, classes=5, relu=False, **options):
    """Gemm, Relu, Gemm, and the place of the largest: ``options`` of the ArgMax. ``relu``: another one before it."""
    constants = {
        "w0": numbers(seed, hidden, inputs),
        "b0": numbers(seed + 1, hidden),
        "w1": numbers(seed + 2, classes, hidden),
        "b1": numbers(seed + 3, classes),
    }
    nodes = [
        node("Gemm", ["x", "w0", "b0"], "h", transB=1),
        node("Relu", ["h"], "r"),
        node("Gemm", ["r", "w1", "b1"], "l", transB=1),
        *([node("Relu", ["l"], "m")] if relu else []),
        node("ArgMax", ["m" if relu else "l"], "y", **{"axis": 1, "keepdims": 0} | options),
    ]
    shape = [1] if options.get("keepdims") else []
    return model(nodes, ("x", [inputs]), ("y", shape, TensorProto.INT64), constants)


def everything(seed=1, largest=True):
    """Every operator: Conv with pads and strides, normalised, MaxPool before Relu, two paths added, pools, ArgMax
    (``largest``)."""
    constants = {
        "c0": numbers(seed, 3, 2, 3, 3),
        "scale": 1 + 0.1 * numbers(seed + 1, 3),
        "shift": numbers(seed + 2, 3),
        "mean": numbers(seed + 3, 3),
        "variance": 1 + numbers(seed + 4, 3) ** 2,
        "c1": numbers(seed + 5, 3, 3, 1, 1),
        "b1": numbers(seed + 6, 3, 1, 1),
        "flat": np.array([0, -1], dtype=np.int64),
        "w": numbers(seed + 7, 3, 4),
    }
    nodes = [
        node("Conv", ["x", "c0"], "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], "b"),
        node("MaxPool", ["b"], "c", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0]),
        node("Relu", ["c"], "d"),
        node("Conv", ["d", "c1"], "e"),
        node("Add", ["e", "b1"], "f"),
        node("Add", ["f", "d"], "g"),
        node("Relu", ["g"], "h"),
        node("AveragePool", ["h"], "i", kernel_shape=[2, 2], strides=[1, 1]),
        node("GlobalAveragePool", ["i"], "j"),
        node("Reshape", ["j", "flat"], "k"),
        node("MatMul", ["k", "w"], "l"),
        node("ArgMax", ["l"], "y", axis=1, keepdims=0),
    ]
    if not largest:
        return model(nodes[:-1], ("x", [2, 8, 8]), ("l", [4]), constants)
    return model(nodes, ("x", [2, 8, 8]), ("y", [], TensorProto.INT64), constants)


@cache
def digits():
    """A perceptron that reads handwritten digits, trained here: (ONNX, images, their labels)."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("f4")
    trained = MLPClassifier((32,), max_iter=300, tol=1e-3, random_state=0).fit(images[:1200], labels[:1200])
    return _of(trained), images, labels


@cache
def hearts():
    """A perceptron of the demo's four hospitals, one sum out: positive says sick. As :func:`digits`."""
    from sklearn.neural_network import MLPClassifier

    from quatrefoil.demo import data

    hospitals = [*data.load_hospitals().values()]
    features = np.concatenate([one.features for one in hospitals]).astype("f4")
    labels = np.concatenate([one.labels for one in hospitals]).astype(int)
    order = np.random.default_rng(1).permutation(len(labels))
    features, labels = features[order], labels[order]
    trained = MLPClassifier((16,), max_iter=400, tol=1e-3, random_state=0).fit(features[:600], labels[:600])
    return _of(trained), features, labels


def _of(trained):
    """A network of scikit-learn with one hidden layer: its sums, before any softmax or sigmoid."""
    constants = {
        name: array.astype("f4")
        for layer in (0, 1)
        for name, array in ((f"w{layer}", trained.coefs_[layer]), (f"b{layer}", trained.intercepts_[layer]))
    }
    nodes = [
        node("Gemm", ["x", "w0", "b0"], "h"),
        node("Relu", ["h"], "r"),
        node("Gemm", ["r", "w1", "b1"], "y"),
    ]
    inputs, outputs = len(trained.coefs_[0]), len(trained.intercepts_[1])
    return model(nodes, ("x", [inputs]), ("y", [outputs]), constants)
