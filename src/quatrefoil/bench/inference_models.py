"""The models that the bench of proofs of answers is about, with inputs: dense layers, wide ones, and a LeNet-5.

Digits are scikit-learn's 1,797 of 8 by 8 pixels, each pixel made 3 by 3 with a rim of 2: 28 by 28, as the models take
them. Models are trained here, briefly: how long a proof takes depends on shapes alone, and what quantising loses means
something only where a model is mostly right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import DependencyMissing
from quatrefoil.quantised.batches import outputs_of
from quatrefoil.quantised.float_model import Floats

Array: TypeAlias = NDArray[np.float32]
Layers: TypeAlias = "list[tuple[Array, Array]]"
"""Weights (out, in) and bias of each dense layer; ReLU between."""

PIXELS = 28
SAMPLES = 256
"""Inputs that scales are chosen on."""

_OPSET, _IR_VERSION = 17, 8
_SEED = 9


@dataclass(frozen=True, eq=False)
class Case:
    """``model``: an ONNX file that takes any batch; ``single``: the same for one input alone. ``samples``: to choose
    scales on; ``held_out`` with ``labels``: to compare answers on. ``made``: where its weights are from."""

    name: str
    model: bytes
    single: bytes
    samples: Floats
    held_out: Floats
    labels: NDArray[np.int64]
    made: str

    def batch(self, size: int) -> Floats:
        """``size`` inputs: the held-out ones, over and over."""
        return self.held_out[np.arange(size) % len(self.held_out)]


def perceptron(hidden: int = 128, epochs: int = 8) -> Case:
    """Two dense layers, trained on digits."""
    (images, labels), (others, truth) = _digits()
    images, others = images.reshape(len(images), -1), others.reshape(len(others), -1)
    layers = _trained(images, labels, (PIXELS**2, hidden, 10), epochs)
    return _case(f"{PIXELS**2}-{hidden}-10", (PIXELS**2,), [], layers, images, (others, truth), "trained on digits")


def lenet(epochs: int = 8) -> Case:
    """Two convolutions of 5 by 5, each with ReLU and a largest-of-2-by-2, and dense layers of 120, 84 and 10."""
    (images, labels), (others, truth) = _digits()
    random = np.random.default_rng(_SEED)
    filters = [_drawn(random, shape) for shape in ((6, 1, 5, 5), (16, 6, 5, 5))]
    convolutions = _onnx_file((1, PIXELS, PIXELS), filters, [], None)
    features = np.concatenate(
        [next(iter(found.values())) for found in outputs_of(convolutions, images.astype(np.float64))]
    )
    layers = _trained(features, labels, (features.shape[1], 120, 84, 10), epochs)
    made = "random convolutions, dense layers trained on digits"
    return _case("lenet-5", (1, PIXELS, PIXELS), filters, layers, images, (others, truth), made)


def wide(size: int = 2048, noise: float = 0.5) -> Case:
    """Two square layers that tell ``size`` random patterns apart in noise: a random layer, then one row a pattern, what
    the first makes of it."""
    random = np.random.default_rng(_SEED)
    patterns = random.standard_normal((size, size), dtype=np.float32)
    first = _drawn(random, (size, size))
    hidden = np.maximum(patterns @ first.T, 0)
    centred = hidden - hidden.mean(axis=0)
    second = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    layers = [(first, np.zeros(size, np.float32)), (second, -(second @ hidden.mean(axis=0)))]
    chosen = random.integers(size, size=2 * SAMPLES)
    inputs = patterns[chosen] + np.float32(noise) * random.standard_normal((len(chosen), size), dtype=np.float32)
    truth = (inputs[SAMPLES:], chosen[SAMPLES:])
    name, made = f"{size}-{size}-{size}", f"made to tell {size} random patterns apart"
    return _case(name, (size,), [], layers, inputs[:SAMPLES], truth, made)


MODELS: dict[str, Callable[[], Case]] = {"784-128-10": perceptron, "2048-2048-2048": wide, "lenet-5": lenet}


def _case(
    name: str,
    shape: tuple[int, ...],
    filters: Sequence[Array],
    layers: Layers,
    images: Array,
    held_out: tuple[Array, NDArray[np.int64]],
    made: str,
) -> Case:
    model, single = (_onnx_file(shape, filters, layers, batch) for batch in (None, 1))
    others, truth = held_out
    return Case(name, model, single, images[:SAMPLES].astype(np.float64), others.astype(np.float64), truth, made)


# --------------------------------------------------------------------------------------------------------- the weights


def _digits() -> tuple[tuple[Array, NDArray[np.int64]], tuple[Array, NDArray[np.int64]]]:
    """Images (n, 1, 28, 28) in [0, 1] with labels: to train with, and the 30 % held out."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DependencyMissing("scikit-learn is not installed", hint="pip install 'quatrefoil[bench]'") from None
    given, labels = load_digits(return_X_y=True)
    larger = np.kron(given.reshape(-1, 8, 8) / 16, np.ones((3, 3)))
    images: Array = np.pad(larger, ((0, 0), (2, 2), (2, 2))).astype(np.float32)[:, None]
    order = np.random.default_rng(_SEED).permutation(len(images))
    test, train = np.split(order, [round(0.3 * len(order))])
    return (images[train], labels[train]), (images[test], labels[test])


def _trained(inputs: Array, labels: NDArray[np.int64], sizes: Sequence[int], epochs: int) -> Layers:
    """By gradient descent with momentum on the cross-entropy, 32 inputs at a time."""
    random = np.random.default_rng(_SEED)
    shapes = list(zip(sizes[1:], sizes, strict=False))
    layers = [(_drawn(random, shape), np.zeros(shape[0], np.float32)) for shape in shapes]
    moving = [(np.zeros_like(weights), np.zeros_like(bias)) for weights, bias in layers]
    wanted = np.eye(sizes[-1], dtype=np.float32)[labels]
    for _ in range(epochs):
        order = random.permutation(len(inputs))
        for chosen in np.array_split(order, max(1, len(order) // 32)):
            slopes = _slopes(layers, inputs[chosen], wanted[chosen])
            for layer, moves, slope in zip(layers, moving, slopes, strict=True):
                for array, move, by in zip(layer, moves, slope, strict=True):
                    move *= np.float32(0.9)
                    move -= np.float32(0.01) * by
                    array += move
    return layers


def _slopes(layers: Layers, inputs: Array, wanted: Array) -> Layers:
    """Of the mean cross-entropy, by weights and biases."""
    values = [inputs]
    for number, (weights, bias) in enumerate(layers):
        sums = values[-1] @ weights.T + bias
        values.append(sums if number + 1 == len(layers) else np.maximum(sums, 0))
    likely = np.exp(values[-1] - values[-1].max(axis=1, keepdims=True))
    error = (likely / likely.sum(axis=1, keepdims=True) - wanted) / np.float32(len(inputs))
    found: Layers = []
    for (weights, _), given in zip(reversed(layers), reversed(values[:-1]), strict=True):
        found.append((error.T @ given, error.sum(axis=0)))
        error = (error @ weights) * (given > 0)
    return found[::-1]


def _drawn(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Random weights (He et al. 2015)."""
    return random.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))


# ------------------------------------------------------------------------------------------------------------ the file


def _onnx_file(shape: tuple[int, ...], filters: Sequence[Array], layers: Layers, batch: int | None) -> bytes:
    """Convolutions, of which the first is padded by 2, each with ReLU and pooling; then dense layers with ReLU between.
    ``batch``: the only one that it takes, None for any."""
    helper, numbers, kinds = _onnx()
    nodes, weights, value, size = [], [], "input", shape
    for number, kernel in enumerate(filters):
        convolved, active, pooled = (f"{what}{number}" for what in ("convolved", "active", "pooled"))
        weights.append(numbers.from_array(kernel, f"filters{number}"))
        rim = 2 if number == 0 else 0
        nodes += [
            helper.make_node("Conv", [value, f"filters{number}"], [convolved], kernel_shape=[5, 5], pads=[rim] * 4),
            helper.make_node("Relu", [convolved], [active]),
            helper.make_node("MaxPool", [active], [pooled], kernel_shape=[2, 2], strides=[2, 2]),
        ]
        value, size = pooled, (len(kernel), *((side + 2 * rim - 4) // 2 for side in size[1:]))
    if filters:
        nodes.append(helper.make_node("Flatten", [value], ["flat"]))
        value, size = "flat", (int(np.prod(size)),)
    for number, (matrix, bias) in enumerate(layers):
        sums, active = f"sums{number}", f"dense{number}"
        weights += [numbers.from_array(matrix, f"weights{number}"), numbers.from_array(bias, f"bias{number}")]
        nodes.append(helper.make_node("Gemm", [value, f"weights{number}", f"bias{number}"], [sums], transB=1))
        value, size = sums, bias.shape
        if number + 1 < len(layers):
            nodes.append(helper.make_node("Relu", [sums], [active]))
            value = active
    given, found = (
        helper.make_tensor_value_info(name, kinds.FLOAT, [batch or "n", *sides])
        for name, sides in (("input", shape), (value, size))
    )
    graph = helper.make_graph(nodes, "network", [given], [found], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    return bytes(model.SerializeToString())


def _onnx() -> Any:
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise DependencyMissing("onnx is not installed", hint="pip install 'quatrefoil[bench]'") from None
    return helper, numpy_helper, TensorProto


__all__ = ["MODELS", "SAMPLES", "Case", "lenet", "perceptron", "wide"]
