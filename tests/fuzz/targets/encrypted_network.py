"""Models and encrypted rows: files as JSON and ONNX, rows, and answers, down to what SEAL is given to read."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.aggregation.he import SETS, SecretKey
from quatrefoil.analytics import (
    Answer,
    EncryptedRows,
    LinearModel,
    Network,
    NetworkEvaluator,
    encrypt_row,
    open_answer,
    read_onnx,
)
from quatrefoil.analytics.networks import NETWORK_SET, prepare

NETWORK = Network(("a", "b"), ((1.0, -0.5),), (0.25,), ((2.0,),), (-1.0,))


@cache
def sent() -> tuple[SecretKey, NetworkEvaluator, EncryptedRows]:
    key = SecretKey.generate(SETS[NETWORK_SET])
    return key, NetworkEvaluator(NETWORK, key.evaluation_keys()), encrypt_row(key, ("a", "b"), np.ones(2))


@cache
def seeds() -> list[bytes]:
    _, party, rows = sent()
    layers = [{"weights": w, "biases": b} for w, b in (([[1, -0.5]], [0.25]), ([[2]], [-1]))]
    written = {"kind": "network", "features": ["a", "b"], "hidden": layers[0], "output": layers[1]}
    found = [json.dumps(written | {"outputs": ["risk"], "activation": "sigmoid"}).encode()]
    linear = {"kind": "logistic", "features": ["a", "b"], "weights": [1, -0.5], "intercept": 10**400}
    found += [json.dumps(linear | {"intercept": 1}).encode(), json.dumps(linear).encode()]
    return [*found, onnx_seed(), rows.encode(), party.evaluate(rows).encode()]


def onnx_seed() -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    arrays = {"w": np.ones((2, 3)), "b": np.ones(2), "v": np.ones((1, 2))}
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
            helper.make_node("Mul", ["h", "h"], ["s"]),
            helper.make_node("Gemm", ["s", "v"], ["z"], transB=1),
            helper.make_node("Sigmoid", ["z"], ["p"]),
        ],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())


def one(data: bytes) -> None:
    key, party, rows = sent()
    for read in (Network.parse, read_onnx):
        network = refused_or(lambda read=read: read(data))  # type: ignore[misc]
        if network is not None:
            names = tuple(f"{i}" for i in range(network.inputs)) if not network.features else network.features
            refused_or(lambda n=network, c=names: prepare(n, c, (1.0,) * len(c), SETS[NETWORK_SET]))  # type: ignore[misc]
    model = refused_or(lambda: LinearModel.parse(data))
    if model is not None:
        refused_or(model.integers)
    found = refused_or_same(lambda: EncryptedRows.decode(data), EncryptedRows.encode, data)
    if found is not None:
        refused_or(lambda: party.evaluate(found))
    answer = refused_or_same(lambda: Answer.decode(data), Answer.encode, data)
    if answer is not None:
        refused_or(lambda: open_answer(key, rows.digest(), rows.rows, answer))
