"""The bytes of a model before ONNX Runtime sees them: what the walk lets pass, ONNX's own parser finds no file in."""

from __future__ import annotations

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import _get_all_tensors, uses_external_data
from tests.fuzz.held import refused_or

from quatrefoil.inference.onnx_file import require_self_contained


def seeds() -> list[bytes]:
    def graph(tensor: onnx.TensorProto) -> onnx.GraphProto:
        node = onnx.helper.make_node("Constant", [], ["W"], value=tensor)
        return onnx.helper.make_graph([node], "g", [], [], [tensor])

    inside = onnx.helper.make_tensor("W", onnx.TensorProto.FLOAT, [2], [1, 2])
    outside = onnx.TensorProto(name="W", data_type=1, dims=[2], data_location=onnx.TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="w")
    nested = graph(inside)
    nested.node.append(onnx.helper.make_node("If", ["c"], ["y"], then_branch=graph(outside), else_branch=graph(inside)))
    graphs = (graph(inside), graph(outside), nested)
    return [onnx.helper.make_model(of, ir_version=10).SerializeToString() for of in graphs]


def one(data: bytes) -> None:
    if refused_or(lambda: require_self_contained(data) or True) is None:
        return
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        return  # the runtime refuses it as well: the walk is no validator
    assert not any(map(uses_external_data, _get_all_tensors(model)))
