"""The models that are served for measuring: two of the shapes that images are classified with, and one that is trained.

ResNet-50 (He et al. 2016, with the stride in the 3x3 convolution, as published weights have it) and MobileNetV2
(Sandler et al. 2018, width 1) have the real architecture and random weights, batch normalisation folded into the
convolutions: how long they compute depends on shapes alone. The tabular one is the demo's perceptron, trained on all
four hospitals' patients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.demo import baselines, models, onnx_model
from quatrefoil.demo.data import load_hospitals, split_all
from quatrefoil.errors import DependencyMissing

Array = NDArray[np.float32]

IMAGE, CLASSES = (1, 3, 224, 224), 1000
ROWS = 1
"""Patients in a request to the tabular model."""

_SEED = 7


@dataclass(frozen=True, repr=False)
class Served:
    """``model``: an ONNX file. ``input``: the name and value of a request's only tensor."""

    name: str
    model: bytes
    parameters: int
    input: tuple[str, Array]
    training: str


def resnet_50() -> Served:
    """25.5 million parameters, 4.1 billion multiplications an image."""
    graph = _Graph()
    value = graph.pool("MaxPool", graph.convolution("image", 3, 64, size=7, stride=2), size=3, stride=2)
    channels = 64
    for width, blocks, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            stride = first if block == 0 else 1
            inner = graph.convolution(value, channels, width, size=1)
            inner = graph.convolution(inner, width, width, size=3, stride=stride)
            inner = graph.convolution(inner, width, 4 * width, size=1, activation="")
            short = value
            if block == 0:
                short = graph.convolution(value, channels, 4 * width, size=1, stride=stride, activation="")
            value = graph.node("Relu", [graph.node("Add", [inner, short])])
            channels = 4 * width
    return graph.finished("resnet-50", graph.classified(value, channels))


def mobilenet_v2() -> Served:
    """3.5 million parameters, 0.3 billion multiplications an image."""
    graph = _Graph()
    value, channels = graph.convolution("image", 3, 32, size=3, stride=2, activation="Clip"), 32
    for expansion, width, blocks, first in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for block in range(blocks):
            stride, inner, within = first if block == 0 else 1, value, channels * expansion
            if expansion > 1:
                inner = graph.convolution(inner, channels, within, size=1, activation="Clip")
            inner = graph.convolution(inner, within, within, size=3, stride=stride, groups=within, activation="Clip")
            inner = graph.convolution(inner, within, width, size=1, activation="")
            value = graph.node("Add", [value, inner]) if stride == 1 and channels == width else inner
            channels = width
    value = graph.convolution(value, channels, 1280, size=1, activation="Clip")
    return graph.finished("mobilenet-v2", graph.classified(value, 1280))


def tabular() -> Served:
    """The demo's perceptron, trained on the pooled patients; ``DependencyMissing`` without the demo's data."""
    splits = split_all(load_hospitals(), 0)
    silos = [split.train for split in splits.values()]
    trained = baselines.pooled(models.initial("mlp", silos[0][0].shape[1], 0), silos)
    patients = np.asarray(next(iter(splits.values())).test[0][:ROWS], dtype=np.float32)
    return Served(
        name="tabular",
        model=onnx_model.encode(trained),
        parameters=sum(array.size for array in trained),
        input=(onnx_model.INPUT, patients),
        training="trained on the demo's patients",
    )


MODELS: dict[str, Callable[[], Served]] = {"resnet-50": resnet_50, "mobilenet-v2": mobilenet_v2, "tabular": tabular}


@dataclass
class _Graph:
    """Nodes and random weights (He et al. 2015), as many as are asked for."""

    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    parameters: int = 0
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(_SEED))

    def __post_init__(self) -> None:
        self._helper, self._numbers, self._kinds = _onnx()

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"value{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def convolution(
        self,
        value: str,
        channels: int,
        out: int,
        *,
        size: int,
        stride: int = 1,
        groups: int = 1,
        activation: str = "Relu",
    ) -> str:
        names = self._layer((out, channels // groups, size, size))
        attributes = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [size // 2] * 4, "group": groups}
        found = self.node("Conv", [value, *names], **attributes)
        if activation == "Clip":
            bounds = [self._weight(np.array(bound, dtype=np.float32)) for bound in (0, 6)]
            return self.node("Clip", [found, *bounds])
        return self.node(activation, [found]) if activation else found

    def pool(self, operator: str, value: str, *, size: int, stride: int) -> str:
        return self.node(operator, [value], kernel_shape=[size] * 2, strides=[stride] * 2, pads=[size // 2] * 4)

    def classified(self, value: str, channels: int) -> str:
        names = self._layer((CLASSES, channels))
        flat = self.node("Flatten", [self.node("GlobalAveragePool", [value])])
        return self.node("Gemm", [flat, *names], transB=1)

    def finished(self, name: str, output: str) -> Served:
        helper, kind = self._helper, self._kinds.FLOAT
        given = helper.make_tensor_value_info("image", kind, list(IMAGE))
        found = helper.make_tensor_value_info(output, kind, [1, CLASSES])
        graph = helper.make_graph(self.nodes, name, [given], [found], self.weights)
        versions = [helper.make_opsetid("", onnx_model.OPSET)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=onnx_model.IR_VERSION)
        image = self.random.random(IMAGE, dtype=np.float32)
        return Served(name, bytes(model.SerializeToString()), self.parameters, ("image", image), "random weights")

    def _layer(self, shape: tuple[int, ...]) -> list[str]:
        """Weights of this shape, and a bias."""
        scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
        weights = self.random.standard_normal(shape, dtype=np.float32) * scale
        self.parameters += weights.size + shape[0]
        return [self._weight(weights), self._weight(np.zeros(shape[0], dtype=np.float32))]

    def _weight(self, array: Array) -> str:
        name = f"weight{len(self.weights)}"
        self.weights.append(self._numbers.from_array(array, name))
        return name


def _onnx() -> Any:
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise DependencyMissing("onnx is not installed", hint="pip install 'quatrefoil[bench]'") from None
    return helper, numpy_helper, TensorProto


__all__ = ["MODELS", "Served"]
