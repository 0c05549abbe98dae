"""An ONNX model read into the few operations that can be quantised; what is outside of them is refused by its node."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import numpy as np

from quatrefoil.errors import DependencyMissing, ModelRefused
from quatrefoil.inference.onnx_file import require_self_contained
from quatrefoil.quantised.float_model import FloatModel, Floats, FloatStep, Kind
from quatrefoil.quantised.onnx_constants import BATCH, Array, Constants
from quatrefoil.quantised.onnx_windows import pads_of, strides_of
from quatrefoil.quantised.steps import Shape

READ = (
    "Add",
    "ArgMax",
    "AveragePool",
    "BatchNormalization",
    "Constant",
    "Conv",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "MatMul",
    "MaxPool",
    "Relu",
    "Reshape",
)
"""Operators of ONNX that are understood."""

_OF_ANSWERS = ("LogSoftmax", "Sigmoid", "Softmax")
_LONGEST = 200


def read(model: bytes) -> FloatModel:
    """The model's operations. ``ModelRefused`` names the first node that is outside of them, and why."""
    onnx = import_onnx()
    loaded, why = None, ""
    try:
        loaded = onnx.load_from_string(model)
        require_self_contained(model)  # before the checker, which looks for the files that a model names
        onnx.checker.check_model(loaded)
    except ModelRefused:
        raise
    except Exception as error:  # of the protocol buffers and of the checker, without a common base
        loaded, why = None, " ".join(str(error).split())[:_LONGEST]
    if loaded is None:
        raise ModelRefused(
            f"the bytes are no ONNX model that its checker accepts: {why or 'it says nothing more'}",
            hint="Export it again; onnx.checker.check_model says the same",
        )
    return _Reader(onnx, loaded.graph).read()


class _Reader:
    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx = onnx
        self._graph = graph
        self._constants = Constants({one.name: self._array(one, one.name) for one in graph.initializer})
        # Whoever asks for a shape takes no value.
        self._taken = Counter(name for node in graph.node if node.op_type != "Shape" for name in node.input)
        self._taken.update(one.name for one in graph.output)
        self._steps: list[FloatStep] = []
        self._values: dict[str, int] = {}

    def read(self) -> FloatModel:
        given = [one for one in self._graph.input if one.name not in self._constants]
        if len(given) != 1 or len(self._graph.output) != 1:
            raise ModelRefused(
                f"the model has {len(given)} inputs and {len(self._graph.output)} outputs, not one of each",
                hint="Export the network alone",
            )
        name, output = given[0].name, self._graph.output[0].name
        self._values[name] = 0
        self._batch, *shape = self._input_sizes(given[0])
        for position, node in enumerate(self._graph.node):
            label = node.name or f"number {position}, which gives {node.output[0]!r}"
            if self._known(node):
                continue
            if node.op_type not in READ or node.domain not in ("", "ai.onnx"):
                raise ModelRefused(
                    f"node {label} is {node.op_type}, which is not among {', '.join(READ)}",
                    hint="Take it off the model: a softmax or a sigmoid of the answer is for whoever reads it"
                    if node.op_type in _OF_ANSWERS
                    else "Build the model of these alone, and export it for inference",
                )
            getattr(self, f"_{node.op_type.lower()}")(node, label)
        if self._values.get(output) != len(self._steps) or not self._steps:
            raise ModelRefused(
                f"the output {output!r} is not what the last node gives", hint="Export the network alone"
            )
        return FloatModel(name, tuple(shape), self._batch, output, tuple(self._steps))

    def _known(self, node: Any) -> bool:
        """Whether it is about constants, or how many samples there are, alone."""
        given = [name for name in node.input if name]
        return (
            len(node.output) == 1
            and node.domain in ("", "ai.onnx")
            and self._constants.follow(node.op_type, given, node.output[0], self._attributes(node), self._values)
        )

    def _input_sizes(self, given: Any) -> Shape:
        kind = given.type.tensor_type
        sizes = [one.dim_value if one.HasField("dim_value") else 0 for one in kind.shape.dim]
        if kind.elem_type != self._onnx.TensorProto.FLOAT or len(sizes) not in (2, 4) or min(sizes[1:], default=0) < 1:
            raise ModelRefused(
                f"the input {given.name!r} is not float32 of a batch and fixed sizes",
                hint="Export with fixed sizes but the first: (n, features) or (n, channels, height, width)",
            )
        return tuple(sizes)

    # --------------------------------------------------------------------------------------------- operators

    def _constant(self, node: Any, label: str) -> None:
        attributes = self._attributes(node)
        if "value" not in attributes:
            raise ModelRefused(f"node {label}: a constant without a tensor", hint="Store it as an initializer")
        self._constants.add(node.output[0], self._array(attributes["value"], node.output[0]))

    def _gemm(self, node: Any, label: str) -> None:
        options = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | self._attributes(node)
        if options["alpha"] != 1.0 or options["beta"] != 1.0 or options["transA"]:
            raise ModelRefused(
                f"node {label}: Gemm with alpha, beta or transA", hint="Fold the factors into the weights"
            )
        weights = self._weights(node, 1, label, dimensions=2)
        weights = weights if options["transB"] else weights.T
        bias = self._weights(node, 2, label) if len(node.input) > 2 else np.zeros(1)
        self._add_dense(node, label, weights, bias)

    def _matmul(self, node: Any, label: str) -> None:
        self._add_dense(node, label, self._weights(node, 1, label, dimensions=2).T, np.zeros(1))

    def _add_dense(self, node: Any, label: str, weights: Floats, bias: Floats) -> None:
        self._push(
            FloatStep(
                "dense", label, (self._source(node, 0, label),), node.output[0], weights, _spread(bias, weights, label)
            )
        )

    def _conv(self, node: Any, label: str) -> None:
        options = self._attributes(node)
        weights = self._weights(node, 1, label, dimensions=4)
        if options.get("group", 1) != 1 or any(one != 1 for one in options.get("dilations", [])):
            raise ModelRefused(f"node {label}: Conv with groups or dilations", hint="Only plain convolutions are built")
        bias = self._weights(node, 2, label) if len(node.input) > 2 else np.zeros(1)
        size = (weights.shape[2], weights.shape[3])
        step = FloatStep("conv", label, (self._source(node, 0, label),), node.output[0], weights)
        step.bias, step.kernel = _spread(bias, weights, label), size
        step.strides, step.pads = strides_of(options), pads_of(options, size, label)
        self._push(step)

    def _add(self, node: Any, label: str) -> None:
        constant = next((place for place, name in enumerate(node.input) if name in self._constants), None)
        if constant is None:
            sources = (self._source(node, 0, label), self._source(node, 1, label))
            self._push(FloatStep("sum", label, sources, node.output[0]))
            return
        step = self._open(node.input[1 - constant], label)
        added = given = self._constants[node.input[constant]]
        if step.kind == "conv":
            added = added.reshape(added.shape[-3:-2]) if added.ndim >= 3 and added.shape[-2:] == (1, 1) else added
            if added.ndim > 1 or (added.size > 1 and given.ndim < 3):
                raise ModelRefused(
                    f"node {label} adds more than a bias for each channel", hint="Use a bias of the Conv"
                )
        step.bias = step.bias + _spread(added, step.weights, label)
        self._rename(step, node)

    def _batchnormalization(self, node: Any, label: str) -> None:
        if self._attributes(node).get("training_mode", 0):
            raise ModelRefused(f"node {label}: batch normalisation that still trains", hint="Export for inference")
        step = self._open(node.input[0], label)
        scale, shift, mean, variance = (self._weights(node, place, label, dimensions=1) for place in range(1, 5))
        if not len(scale) == len(shift) == len(mean) == len(variance) == len(step.weights):
            raise ModelRefused(f"node {label} normalises other channels than {step.node} gives", hint="Export it again")
        with np.errstate(all="ignore"):  # what is none is refused
            factor = scale / np.sqrt(variance + self._attributes(node).get("epsilon", 1e-5))
        if not np.isfinite(factor).all():
            raise ModelRefused(f"node {label} divides by nothing", hint="Train it again: a variance is negative or 0")
        step.weights = step.weights * factor.reshape(-1, *[1] * (step.weights.ndim - 1))
        step.bias = (step.bias - mean) * factor + shift
        self._rename(step, node)

    def _relu(self, node: Any, label: str) -> None:
        """Into the step whose sums it rounds; behind a pooling of largest values or a flattening it commutes."""
        step = self._sole(node.input[0], label)
        last = step
        while step.kind in ("max-pool", "flatten"):
            if step.sources[0] == 0 or self._taken[self._steps[step.sources[0] - 1].tensor] != 1:
                break
            step = self._steps[step.sources[0] - 1]
        if not step.rounds:
            raise ModelRefused(f"node {label} is a Relu of what is not rounded", hint="Put it behind a layer")
        step.relu = True
        self._values[node.output[0]] = self._steps.index(last) + 1
        if last is step:
            step.tensor = node.output[0]
        self._taken[last.tensor] = self._taken[node.output[0]]

    def _maxpool(self, node: Any, label: str) -> None:
        if len(node.output) > 1:
            raise ModelRefused(f"node {label} also gives indices", hint="Export without")
        self._pool(node, label, "max-pool")

    def _averagepool(self, node: Any, label: str) -> None:
        self._pool(node, label, "average-pool")

    def _pool(self, node: Any, label: str, kind: Kind) -> None:
        options = self._attributes(node)
        kernel = tuple(options.get("kernel_shape", ()))
        plain = not options.get("ceil_mode", 0) and all(one == 1 for one in options.get("dilations", []))
        if len(kernel) != 2 or not plain:
            raise ModelRefused(f"node {label}: pooling with dilations, ceil_mode or no two sides", hint="Pool without")
        pads = pads_of(options, (kernel[0], kernel[1]), label)
        if kind == "average-pool" and any(pads):
            raise ModelRefused(f"node {label}: AveragePool with pads", hint="Pool without")
        step = FloatStep(kind, label, (self._source(node, 0, label),), node.output[0])
        step.kernel, step.strides, step.pads = (kernel[0], kernel[1]), strides_of(options), pads
        self._push(step)

    def _globalaveragepool(self, node: Any, label: str) -> None:
        # Its window is the whole image, known when shapes are: 0 stands for it.
        step = FloatStep("average-pool", label, (self._source(node, 0, label),), node.output[0])
        step.kernel = (0, 0)
        self._push(step)

    def _flatten(self, node: Any, label: str) -> None:
        if self._attributes(node).get("axis", 1) != 1:
            raise ModelRefused(f"node {label}: Flatten along another axis than 1", hint="Export with axis 1")
        self._push(FloatStep("flatten", label, (self._source(node, 0, label),), node.output[0]))

    def _reshape(self, node: Any, label: str) -> None:
        name = node.input[1]
        shape = self._constants.shape(name)
        if shape is None:
            raise ModelRefused(
                f"node {label} takes {name!r}, which is no constant of the model",
                hint="Use Flatten, or store the shape",
            )
        first, size = shape if len(shape) == 2 else (1, 1)
        if first not in (-1, BATCH, self._batch or BATCH) or (size < 1 and size != -1) or first == size == -1:
            raise ModelRefused(f"node {label} reshapes to {[*shape]}, which is no flattening", hint="Use Flatten")
        self._push(FloatStep("flatten", label, (self._source(node, 0, label),), node.output[0], features=max(0, size)))

    def _argmax(self, node: Any, label: str) -> None:
        options = {"axis": 0, "keepdims": 1, "select_last_index": 0} | self._attributes(node)
        if options["axis"] not in (1, -1):
            raise ModelRefused(f"node {label}: ArgMax along axis {options['axis']}, not 1", hint="Export it so")
        step = FloatStep("argmax", label, (self._source(node, 0, label),), node.output[0])
        step.last, step.keep_dims = bool(options["select_last_index"]), bool(options["keepdims"])
        self._push(step)

    # ------------------------------------------------------------------------------------------------ values

    def _array(self, tensor: Any, name: str) -> Array:
        """A tensor's numbers, whole ones as whole; ``ModelRefused`` where it holds none, or not as many as it says."""
        found = None
        with contextlib.suppress(Exception), np.errstate(all="ignore"):  # of ONNX and of NumPy, without a common base
            array = self._onnx.numpy_helper.to_array(tensor)
            whole = array.dtype.kind in "iu"
            found = None if np.iscomplexobj(array) else np.asarray(array, None if whole else np.float64)
        if found is None:
            raise ModelRefused(f"the constant {name!r} cannot be read as numbers", hint="Export it as float32")
        return found

    def _attributes(self, node: Any) -> dict[str, Any]:
        return {one.name: self._onnx.helper.get_attribute_value(one) for one in node.attribute}

    def _push(self, step: FloatStep) -> None:
        self._steps.append(step)
        self._values[step.tensor] = len(self._steps)

    def _rename(self, step: FloatStep, node: Any) -> None:
        step.tensor = node.output[0]
        self._values[step.tensor] = self._steps.index(step) + 1

    def _source(self, node: Any, place: int, label: str) -> int:
        name = node.input[place] if place < len(node.input) else ""
        if name not in self._values:
            raise ModelRefused(f"node {label} takes {name!r}, which no node before it gives", hint="Export it again")
        return self._values[name]

    def _sole(self, name: str, label: str) -> FloatStep:
        """The step that gives ``name``, which nothing else takes."""
        number = self._values.get(name, 0)
        if not number:
            raise ModelRefused(f"node {label} changes {name!r}, which no layer gives", hint="Put it behind a layer")
        if self._taken[name] != 1:
            raise ModelRefused(
                f"node {label} changes {name!r}, which others take as well", hint="Give it a layer of its own"
            )
        return self._steps[number - 1]

    def _open(self, name: str, label: str) -> FloatStep:
        """The same, a layer into which a factor or a bias can still be folded."""
        step = self._sole(name, label)
        if not step.learns or step.relu:
            raise ModelRefused(
                f"node {label} follows {step.node}, into which it cannot be folded", hint="Put it behind a layer"
            )
        return step

    def _weights(self, node: Any, place: int, label: str, *, dimensions: int | None = None) -> Floats:
        name = node.input[place]
        if name not in self._constants:
            raise ModelRefused(
                f"node {label} takes {name!r}, which is no constant of the model", hint="Store it as an initializer"
            )
        found = self._constants[name]
        if dimensions is not None and found.ndim != dimensions:
            raise ModelRefused(
                f"node {label}: {name!r} has {found.ndim} dimensions, not {dimensions}", hint="Export it again"
            )
        if not np.isfinite(found).all():
            raise ModelRefused(f"node {label}: {name!r} holds what is not finite", hint="Train it again")
        return found


def _spread(bias: Floats, weights: Floats, label: str) -> Floats:
    """A bias for each output."""
    flat = np.asarray(bias, np.float64).reshape(-1)
    if flat.size not in (1, len(weights)):
        raise ModelRefused(f"node {label}: a bias of {flat.size} for {len(weights)} outputs", hint="Export it again")
    return np.broadcast_to(flat, (len(weights),)).copy()


def import_onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise DependencyMissing("onnx is not installed", hint="pip install 'quatrefoil[quantise]'") from None
    return onnx


__all__ = ["READ", "import_onnx", "read"]
