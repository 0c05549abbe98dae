"""A network that CKKS can evaluate as well: dense, square, dense, sigmoid; trained by gradient descent.

The square stands where others have a ReLU (Gilad-Bachrach et al., CryptoNets, 2016): it is one multiplication.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.demo.data import Labelled
from quatrefoil.demo.models import Arrays, Parameters
from quatrefoil.demo.onnx_model import INPUT, IR_VERSION, OPSET, OUTPUT
from quatrefoil.errors import DependencyMissing

HIDDEN = 16
EPOCHS, LEARNING_RATE = 10, 0.2


def initial(features: int, seed: int, *, hidden: int = HIDDEN) -> Parameters:
    """Weights (out x in) and biases of both layers, Glorot-uniform (2010)."""
    random = np.random.default_rng(seed)
    parameters: Parameters = []
    for fan_in, fan_out in ((features, hidden), (hidden, 1)):
        edge = np.sqrt(6 / (fan_in + fan_out))
        parameters += [random.uniform(-edge, edge, (fan_out, fan_in)), np.zeros(fan_out)]
    return parameters


def predict(parameters: Arrays, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of each row."""
    return _sigmoid(_score(parameters, features))


def train(parameters: Arrays, data: Labelled) -> Parameters:
    """A silo's work of one round: :data:`EPOCHS` steps over all of its records. Deterministic."""
    features, labels = data
    trained = [np.array(array, dtype=np.float64) for array in parameters]
    for _ in range(EPOCHS):
        for array, slope in zip(trained, _gradient(trained, features, labels), strict=True):
            array -= LEARNING_RATE * np.clip(slope, -1, 1)  # squares have no largest slope
    return trained


def encode(parameters: Arrays) -> bytes:
    """As an ONNX file, ``features`` (n x d, float32) to ``probability`` (n)."""
    helper, numbers, kinds = onnx()
    first, first_bias, second, second_bias = (np.asarray(array, dtype=np.float32) for array in parameters)
    weights = [
        numbers.from_array(array, name)
        for name, array in (("w0", first), ("b0", first_bias), ("w1", second), ("b1", second_bias))
    ]
    weights.append(numbers.from_array(np.array([-1], dtype=np.int64), "flat"))
    nodes = [
        helper.make_node("Gemm", [INPUT, "w0", "b0"], ["hidden"], transB=1),
        helper.make_node("Mul", ["hidden", "hidden"], ["squared"]),
        helper.make_node("Gemm", ["squared", "w1", "b1"], ["sum"], transB=1),
        helper.make_node("Sigmoid", ["sum"], ["activation"]),
        helper.make_node("Reshape", ["activation", "flat"], [OUTPUT]),
    ]
    given = helper.make_tensor_value_info(INPUT, kinds.FLOAT, ["n", int(first.shape[1])])
    found = helper.make_tensor_value_info(OUTPUT, kinds.FLOAT, ["n"])
    graph = helper.make_graph(nodes, "network", [given], [found], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


def onnx() -> Any:
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise DependencyMissing("onnx is not installed", hint="pip install 'quatrefoil[bench]'") from None
    return helper, numpy_helper, TensorProto


def _score(parameters: Arrays, features: NDArray[np.float64]) -> NDArray[np.float64]:
    first, first_bias, second, second_bias = parameters
    hidden = features @ first.T + first_bias
    return np.asarray((hidden**2 @ second.T + second_bias)[:, 0], dtype=np.float64)


def _gradient(parameters: Arrays, features: NDArray[np.float64], labels: NDArray[np.float64]) -> Parameters:
    """Of the mean cross-entropy."""
    first, first_bias, second, _ = parameters
    hidden = features @ first.T + first_bias
    error = ((_sigmoid(_score(parameters, features)) - labels) / len(labels))[:, None]
    back = (error @ second) * 2 * hidden
    return [back.T @ features, back.sum(axis=0), error.T @ hidden**2, error.sum(axis=0)]


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(value / 2)), dtype=np.float64)
