"""Models in ONNX: a float model to quantise, and an integer graph with its description, as whoever sends them likes."""

from __future__ import annotations

from functools import cache

import onnx
from tests.fuzz.held import refused_or, refused_or_same

from float_models import everything, node, numbers, perceptron
from float_models import model as float_model
from quatrefoil.quantised import decode, encode, program_of, quantise
from quatrefoil.quantised.onnx_reader import read

DESCRIBED = b"\1"
"""First byte of a description that takes the place of the one in :func:`graph`; any other: a file."""


@cache
def images() -> bytes:
    """Conv, Relu, MaxPool, Flatten, Gemm."""
    nodes = [
        node("Conv", ["x", "k"], "c", pads=[1, 1, 1, 1]),
        node("Relu", ["c"], "r"),
        node("MaxPool", ["r"], "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["m"], "f"),
        node("Gemm", ["f", "w", "b"], "y", transB=1),
    ]
    constants = {"k": numbers(1, 2, 1, 3, 3), "w": numbers(2, 2, 8), "b": numbers(3, 2)}
    return bytes(float_model(nodes, ("x", [1, 4, 4]), ("y", [2]), constants))


@cache
def graphs() -> tuple[bytes, ...]:
    return encode(quantise(perceptron(), numbers(1, 40, 6))), encode(quantise(images(), numbers(4, 40, 1, 4, 4)))


def described(content: bytes) -> bytes:
    """An integer graph of images, with another description."""
    loaded = onnx.load_from_string(graphs()[1])
    loaded.metadata_props[0].value = content.decode("utf-8", "replace")
    return bytes(loaded.SerializeToString(deterministic=True))


def seeds() -> list[bytes]:
    said = onnx.load_from_string(graphs()[1]).metadata_props[0].value.encode()
    odd = [
        (b'"strides":[1,1]', b'"strides":[0,1]'),
        (b'"sources":[0]', b'"sources":[-1]'),
        (b'"sources":[0]', b'"sources":[7]'),
    ]
    odd += [(b'"kernel":[2,2]', b'"kernel":[0,0]'), (b'"pads":[1,1,1,1]', b'"pads":[-9,1,1,1]'), (b"[1,4,4]", b"[1,4]")]
    odd += [(b"[1,4,4]", b"[1,99999999,99999999]"), (b'"kind":"Conv"', b'"kind":"Dense"'), (b"null", b"[99,0,1]")]
    written = [said, *(said.replace(before, after) for before, after in odd)]
    outside = onnx.load_from_string(perceptron())
    outside.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    outside.graph.initializer[0].external_data.add(key="location", value="w")
    return [
        perceptron(),
        images(),
        everything(),
        *graphs(),
        outside.SerializeToString(),
        *(DESCRIBED + one for one in written),
    ]


def one(data: bytes) -> None:
    """A graph that is accepted is the file that it is written as; anything else is refused."""
    file = described(data[1:]) if data[:1] == DESCRIBED else data
    found = refused_or_same(lambda: decode(file), encode, file)
    if found is not None:
        refused_or(lambda: program_of(found))
    refused_or(lambda: read(file))
