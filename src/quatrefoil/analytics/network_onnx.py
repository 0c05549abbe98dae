"""Networks from ONNX files: Gemm, Mul of its result with itself, Gemm; then perhaps Sigmoid, and one output flattened.

Only what is read here is accepted: another node, another way to write the same, or data in another file is refused with
the node's name. The operators as in ONNX's operator sets 7 and later.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.analytics.network_models import LARGEST, MOST_UNITS, Network
from quatrefoil.errors import DependencyMissing, ModelRefused

FIRST_OPSET = 7
"""Before it, Gemm and Mul broadcast otherwise."""
_ORDER = ("Gemm", "Mul", "Gemm", "Sigmoid", "Reshape")
_LEAST = 3
_HINT = "Give Gemm, Mul of its result with itself, Gemm, and perhaps Sigmoid, with the weights inside the file"
Array = NDArray[Any]


def read_onnx(data: bytes) -> Network:
    """The network in a file's bytes, with inputs by position; or ``ModelRefused``."""
    graph = _graph(data)
    weights = _weights(graph)
    value = _only("input", [each.name for each in graph.input if each.name not in weights])
    steps = _expected(graph.node)
    layers: list[tuple[Array, Array]] = []
    for index, (operator, node) in enumerate(steps):
        reader = _Node(index, node)
        reader.require_chain(value, operator)
        if operator == "Gemm":
            layers.append(reader.dense(weights, None if not layers else len(layers[0][0])))
        elif operator == "Reshape":
            reader.require_flat(weights, len(layers[1][0]))
        else:
            reader.attributes({})
        value = node.output[0]
    if _only("output", [each.name for each in graph.output]) != value:
        raise ModelRefused("the model's output is not its last node's", hint=_HINT)
    (hidden, biases), (output, constants) = layers
    count = len(output)
    names = (value,) if count == 1 else tuple(f"{value}[{i}]" for i in range(count))
    activation = "sigmoid" if any(operator == "Sigmoid" for operator, _ in steps) else "identity"
    rows = [tuple(map(tuple, layer.tolist())) for layer in (hidden, output)]
    return Network((), rows[0], tuple(biases.tolist()), rows[1], tuple(constants.tolist()), names, activation)  # type: ignore[arg-type]


def _graph(data: bytes) -> Any:
    onnx = _onnx()
    if len(data) > LARGEST:
        raise ModelRefused(f"the model is over {LARGEST} bytes", hint="Train a smaller network")
    model, problem = onnx.ModelProto(), ""
    try:
        model.ParseFromString(data)
    except Exception as error:  # google.protobuf's, which is not imported here
        problem = type(error).__name__
    if problem or not model.HasField("graph"):
        raise ModelRefused(f"the model is no ONNX file{f' ({problem})' if problem else ''}", hint=_HINT)
    _require_text(model)
    if model.functions or model.training_info or model.graph.sparse_initializer:
        raise ModelRefused("the model has functions, training or sparse weights", hint=_HINT)
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    last = onnx.defs.onnx_opset_version()
    if len(versions) != 1 or not FIRST_OPSET <= versions[0] <= last:
        raise ModelRefused(
            f"the model does not name one operator set from {FIRST_OPSET} to {last}", hint="Export it for one of these"
        )
    return model.graph


def _require_text(message: Any) -> None:
    """That names are UTF-8: others come out as bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        for each in [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value:
            if isinstance(each, bytes):
                raise ModelRefused("the model has a name that is no UTF-8", hint=_HINT)
            if field.type == field.TYPE_MESSAGE:
                _require_text(each)


def _weights(graph: Any) -> dict[str, Array]:
    onnx = _onnx()
    allowed = {
        onnx.TensorProto.FLOAT: np.float32,
        onnx.TensorProto.DOUBLE: np.float64,
        onnx.TensorProto.INT64: np.int64,
    }
    found: dict[str, Array] = {}
    for tensor in graph.initializer:
        name = tensor.name[:60]
        if tensor.data_location != onnx.TensorProto.DEFAULT or tensor.external_data:
            raise ModelRefused(f"weights {name!r} are in another file", hint=_HINT)
        if tensor.data_type not in allowed or not name or tensor.name in found:
            raise ModelRefused(f"weights {name!r} are no float, double or int64, or twice there", hint=_HINT)
        if tensor.HasField("segment") or any(not 0 <= size <= MOST_UNITS for size in tensor.dims):
            raise ModelRefused(
                f"weights {name!r} have more than {MOST_UNITS} rows or columns, or are split", hint=_HINT
            )
        array = None
        with suppress(ValueError, TypeError, OverflowError, AttributeError, MemoryError, IndexError):
            array = onnx.numpy_helper.to_array(tensor)
        if array is None or array.dtype != allowed[tensor.data_type] or array.shape != tuple(tensor.dims):
            raise ModelRefused(f"weights {name!r} do not have the size that they say", hint=_HINT)
        found[tensor.name] = array
    return found


def _expected(nodes: Sequence[Any]) -> list[tuple[str, Any]]:
    """Each node with the operator that it must be."""
    order = list(_ORDER)
    if len(nodes) > _LEAST and nodes[_LEAST].op_type == "Reshape":
        order.remove("Sigmoid")
    if len(nodes) < _LEAST:
        raise ModelRefused(f"the model has {len(nodes)} nodes, and at least {_LEAST} are needed", hint=_HINT)
    if len(nodes) > len(order):
        raise _Node(len(order), nodes[len(order)]).refused("is one too many")
    return list(zip(order, nodes, strict=False))


class _Node:
    def __init__(self, index: int, node: Any) -> None:
        self.index, self.node = index, node

    def refused(self, problem: str) -> ModelRefused:
        node = self.node
        domain = f"{node.domain[:40]}." if node.domain else ""
        return ModelRefused(
            f"node {self.index} {node.name[:60]!r} ({(domain + node.op_type)[:60]!r}) {problem}", hint=_HINT
        )

    def require_chain(self, value: str, operator: str) -> None:
        """That it is this operator, and takes what the node before it, or the input, gives."""
        node = self.node
        if node.op_type != operator or node.domain not in ("", "ai.onnx"):
            raise self.refused(f"stands where {operator} must")
        counts = {"Gemm": (2, 3), "Mul": (2,), "Sigmoid": (1,), "Reshape": (2,)}[operator]
        if len(node.input) not in counts or len(node.output) != 1 or not node.output[0]:
            raise self.refused("has another number of inputs or outputs")
        if node.input[0] != value or (operator == "Mul" and node.input[1] != value):
            raise self.refused(f"does not take {value[:60]!r}{', twice' if operator == 'Mul' else ''}")

    def dense(self, weights: dict[str, Array], inputs: int | None) -> tuple[Array, Array]:
        """Gemm's weights, a row for each unit, and biases."""
        given = self.attributes({"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0})
        if given["transA"] != 0 or given["transB"] not in (0, 1):
            raise self.refused("transposes its input")
        if not all(isfinite(given[name]) for name in ("alpha", "beta")):
            raise self.refused("has a factor that is not finite")
        matrix = self._floats(weights, self.node.input[1])
        if matrix.ndim != 2 or 0 in matrix.shape:
            raise self.refused(f"has weights of shape {matrix.shape}")
        matrix = given["alpha"] * (matrix if given["transB"] else matrix.T)
        if inputs is not None and matrix.shape[1] != inputs:
            raise self.refused(f"takes {matrix.shape[1]} values, and has {inputs}")
        units = len(matrix)
        name = self.node.input[2] if len(self.node.input) == 3 else ""
        if not name:
            return matrix, np.zeros(units)
        biases = self._floats(weights, name)
        if biases.shape not in ((), (1,), (units,), (1, 1), (1, units)):
            raise self.refused(f"has biases of shape {biases.shape} for {units} units")
        return matrix, np.broadcast_to(given["beta"] * biases.ravel(), (units,))

    def require_flat(self, weights: dict[str, Array], outputs: int) -> None:
        """That it only takes one output out of its column."""
        shape = weights.get(self.node.input[1])
        given = self.attributes({"allowzero": 0})
        if outputs != 1 or shape is None or shape.dtype != np.int64 or shape.tolist() != [-1] or given["allowzero"]:
            raise self.refused("does more than to flatten a single output")

    def attributes(self, defaults: dict[str, float]) -> dict[str, Any]:
        """With what is given; another attribute, or another type, is refused."""
        onnx, found = _onnx(), dict(defaults)
        seen: set[str] = set()
        for attribute in self.node.attribute:
            default = defaults.get(attribute.name)
            kind = onnx.AttributeProto.FLOAT if isinstance(default, float) else onnx.AttributeProto.INT
            if default is None or attribute.type != kind or attribute.ref_attr_name or attribute.name in seen:
                raise self.refused(f"has an attribute {attribute.name[:60]!r} that is not known, or not of its type")
            seen.add(attribute.name)
            found[attribute.name] = attribute.f if isinstance(default, float) else attribute.i
        return found

    def _floats(self, weights: dict[str, Array], name: str) -> Array:
        found = weights.get(name)
        if found is None or found.dtype.kind != "f":
            raise self.refused(f"takes {name[:60]!r}, and no float weights have this name")
        return found.astype(np.float64)


def _only(what: str, names: list[str]) -> str:
    if len(names) != 1 or not names[0]:
        raise ModelRefused(f"the model has {len(names)} {what}s beside its weights, and one is needed", hint=_HINT)
    return names[0]


def _onnx() -> Any:
    try:
        import onnx
        import onnx.defs
        import onnx.numpy_helper
    except ImportError:
        raise DependencyMissing(
            "onnx is not installed", hint="Install it: pip install 'onnx>=1.23,<2', or give the model as JSON"
        ) from None
    return onnx
