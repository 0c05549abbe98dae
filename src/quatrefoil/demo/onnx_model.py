"""The demo's models as ONNX files, the form in which they are sealed and served."""

from __future__ import annotations

from typing import Any

import numpy as np

from quatrefoil.demo.models import Arrays
from quatrefoil.errors import CallerError, DependencyMissing

INPUT, OUTPUT = "features", "probability"

IR_VERSION, OPSET = 10, 17
"""Of 2022 and 2024: what runtimes of today read."""


def encode(parameters: Arrays) -> bytes:
    """The model of ``demo.models`` with these parameters: ``features`` (n x d, float32) to ``probability`` (n).

    Weights are float32, half of what they were trained in. ``DependencyMissing`` without the package ``onnx``.
    """
    if len(parameters) < 2 or len(parameters) % 2 or np.shape(parameters[-2])[0] != 1:
        raise CallerError("these are no parameters of the demo's models", hint="Pass what demo.models.train returns")
    helper, numbers, kinds = _onnx()
    nodes, weights, value = [], [], INPUT
    last = len(parameters) // 2 - 1
    for layer in range(last + 1):
        names = [f"weight{layer}", f"bias{layer}"]
        for name, array in zip(names, parameters[2 * layer : 2 * layer + 2], strict=True):
            weights.append(numbers.from_array(np.asarray(array, dtype=np.float32), name))
        nodes.append(helper.make_node("Gemm", [value, *names], [f"sum{layer}"], transB=1))
        value = f"activation{layer}"
        nodes.append(helper.make_node("Sigmoid" if layer == last else "Tanh", [f"sum{layer}"], [value]))
    weights.append(numbers.from_array(np.array([-1], dtype=np.int64), "flat"))
    nodes.append(helper.make_node("Reshape", [value, "flat"], [OUTPUT]))
    given = helper.make_tensor_value_info(INPUT, kinds.FLOAT, ["n", int(np.shape(parameters[0])[1])])
    found = helper.make_tensor_value_info(OUTPUT, kinds.FLOAT, ["n"])
    graph = helper.make_graph(nodes, "heart", [given], [found], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


def _onnx() -> Any:
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise DependencyMissing("onnx is not installed", hint="pip install 'quatrefoil[demo]'") from None
    return helper, numpy_helper, TensorProto


__all__ = ["INPUT", "OUTPUT", "encode"]
