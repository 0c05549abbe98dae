"""ONNX graphs of what is also computed on encrypted tables: scores, moments, counts. In the clear and in an enclave
they are served like any model. The number of rows is fixed: a served model says itself how large a table it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from quatrefoil.analytics import LinearModel
from quatrefoil.bench.runs.network import onnx
from quatrefoil.demo.onnx_model import IR_VERSION, OPSET

TABLE = "table"
SCORES, MEAN, COVARIANCE, CORRELATION, COUNTS = "scores", "mean", "covariance", "correlation", "counts"


def scores(model: LinearModel, rows: int) -> bytes:
    """``table`` (rows x columns, float32) to ``scores`` (rows): of a logistic model probabilities."""
    graph = _Graph(rows, len(model.features))
    weights = graph.weight(np.asarray(model.weights, dtype=np.float32)[:, None])
    value = graph.node(
        "Add", graph.node("MatMul", TABLE, weights), graph.weight(np.array([model.intercept], dtype=np.float32))
    )
    if model.kind == "logistic":
        value = graph.node("Sigmoid", value)
    graph.named(graph.node("Reshape", value, graph.weight(np.array([-1], dtype=np.int64))), SCORES)
    return graph.finished({SCORES: [rows]})


def moments(columns: int, rows: int) -> bytes:
    """``table`` to ``mean`` (columns), ``covariance`` and ``correlation`` (columns x columns) over rows - 1, float32
    from float64 inside: a variance is a small difference of large sums."""
    graph = _Graph(rows, columns)
    table = graph.node("Cast", TABLE, to=graph.kinds.DOUBLE)
    count, free = (graph.weight(np.array([one], dtype=np.float64)) for one in (rows, rows - 1))
    down = graph.weight(np.array([0], dtype=np.int64))
    mean = graph.node("Div", graph.node("ReduceSum", table, down, keepdims=1), count)
    centred = graph.node("Sub", table, mean)
    products = graph.node("MatMul", graph.node("Transpose", centred, perm=[1, 0]), centred)
    covariance = graph.node("Div", products, free)
    identity = graph.weight(np.eye(columns))
    variance = graph.node("ReduceSum", graph.node("Mul", covariance, identity), down, keepdims=1)
    spread = graph.node("Sqrt", variance)
    both = graph.node("Mul", graph.node("Transpose", spread, perm=[1, 0]), spread)
    flat = graph.weight(np.array([-1], dtype=np.int64))
    graph.named(graph.node("Cast", graph.node("Reshape", mean, flat), to=graph.kinds.FLOAT), MEAN)
    graph.named(graph.node("Cast", covariance, to=graph.kinds.FLOAT), COVARIANCE)
    graph.named(graph.node("Cast", graph.node("Div", covariance, both), to=graph.kinds.FLOAT), CORRELATION)
    return graph.finished({MEAN: [columns], COVARIANCE: [columns] * 2, CORRELATION: [columns] * 2})


def counts(categories: Sequence[int], rows: int) -> bytes:
    """``table`` (rows x 2, float32, numbers of categories) to ``counts``, a contingency table in float32: exact up to
    2^24 rows."""
    first, second = categories
    graph = _Graph(rows, 2)
    hot = []
    for position, known in enumerate((first, second)):
        index = graph.weight(np.array([position], dtype=np.int64))
        column = graph.node("Gather", TABLE, index, axis=1)  # rows x 1
        equal = graph.node("Equal", column, graph.weight(np.arange(known, dtype=np.float32)))
        hot.append(graph.node("Cast", equal, to=graph.kinds.FLOAT))
    across = graph.node("MatMul", graph.node("Transpose", hot[0], perm=[1, 0]), hot[1])
    graph.named(across, COUNTS)
    return graph.finished({COUNTS: [first, second]})


class _Graph:
    def __init__(self, rows: int, columns: int) -> None:
        self._helper, self._numbers, self.kinds = onnx()
        self._rows, self._columns = rows, columns
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"value{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def named(self, value: str, name: str) -> None:
        self._nodes.append(self._helper.make_node("Identity", [value], [name]))

    def weight(self, array: Any) -> str:
        name = f"weight{len(self._weights)}"
        self._weights.append(self._numbers.from_array(np.asarray(array), name))
        return name

    def finished(self, outputs: dict[str, list[int]]) -> bytes:
        helper, kind = self._helper, self.kinds.FLOAT
        given = helper.make_tensor_value_info(TABLE, kind, [self._rows, self._columns])
        found = [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()]
        graph = helper.make_graph(self._nodes, "graph", [given], found, self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return bytes(model.SerializeToString())
