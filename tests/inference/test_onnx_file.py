"""Models that need anything outside their bytes are refused, wherever in them it is."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

import small_models
from quatrefoil.errors import ModelRefused
from quatrefoil.inference import OnnxEngine
from quatrefoil.inference.onnx_file import require_self_contained

F = TensorProto.FLOAT


def outside(location="w.bin") -> TensorProto:
    tensor = TensorProto(name="W", data_type=F, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def graph(*nodes, initializers=(), name="g"):
    nodes = nodes or (helper.make_node("Add", ["x", "W"], ["y"]),)
    values = [helper.make_tensor_value_info(name, F, ["n", 4]) for name in "xy"]
    return helper.make_graph(list(nodes), name, values[:1], values[1:], initializers)


def model(of, **more):
    return helper.make_model(of, opset_imports=[helper.make_opsetid("", 21)], ir_version=10, **more)


def constant() -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["W"], value=outside())


def in_branch(depth: int):
    inner = graph(constant())
    for _ in range(depth):
        inner = graph(helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=graph()))
    return inner


def sparse():
    found = onnx.SparseTensorProto(dims=[4])
    found.values.CopyFrom(outside())
    return found


def with_sparse_initializer():
    found = model(graph())
    found.graph.sparse_initializer.append(sparse())
    return found


def in_sparse_indices():
    found = onnx.SparseTensorProto(dims=[4])
    found.indices.CopyFrom(outside())
    return model(graph(helper.make_node("Constant", [], ["W"], sparse_value=found)))


def in_function():
    function = helper.make_function("own", "f", [], ["W"], [constant()], [helper.make_opsetid("", 21)])
    return model(graph(), functions=[function])


def in_training():
    found = model(graph())
    found.training_info.add().algorithm.CopyFrom(graph(constant()))
    return found


def in_tensors():
    node = helper.make_node("Own", [], ["W"])
    node.attribute.add(name="a", type=onnx.AttributeProto.TENSORS).tensors.append(outside())
    return model(graph(node))


def in_function_default():
    found = in_function()
    function = found.functions[0]
    del function.node[:]
    default = function.attribute_proto.add(name="a", type=onnx.AttributeProto.TENSOR)
    default.t.CopyFrom(outside())
    return found


def only_marked():
    tensor = outside()
    del tensor.external_data[:]
    return model(graph(initializers=[tensor]))


def only_named():
    tensor = outside()
    tensor.ClearField("data_location")
    return model(graph(initializers=[tensor]))


PLACES = {
    "initializer": lambda: model(graph(initializers=[outside()])),
    "absolute": lambda: model(graph(initializers=[outside("/etc/passwd")])),
    "above": lambda: model(graph(initializers=[outside("../../w.bin")])),
    "attribute": lambda: model(graph(constant())),
    "branch": lambda: model(in_branch(1)),
    "deep branch": lambda: model(in_branch(5)),
    "sparse initializer": with_sparse_initializer,
    "sparse indices": in_sparse_indices,
    "function": in_function,
    "default of a function": in_function_default,
    "training": in_training,
    "list of tensors": in_tensors,
    "marked only": only_marked,
    "named only": only_named,
}


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_with_its_data_in_a_file_is_refused_wherever_it_is(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the file would be found
    np.arange(4, dtype="f4").tofile("w.bin")
    with pytest.raises(ModelRefused, match="in another file"):
        OnnxEngine(PLACES[place]().SerializeToString(), name="m")


def test_nesting_beyond_what_models_have_is_refused_and_not_followed():
    with pytest.raises(ModelRefused, match="nested deeper"):
        require_self_contained(model(in_branch(25)).SerializeToString())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x3a",
        b"\x3a\x80",
        b"\x3a" + b"\xff" * 11,
        b"\x3a\x05ab",
        b"\x38\x01",
        b"\x3d\0\0\0\0",
        b"\x3b",
        b"\x3a\0\x3a\0",
        b"\x02\0",
        b"\x3a\x02\x2a\x7f",
    ],
)
def test_what_is_no_protocol_buffer_of_a_model_is_refused(data):
    with pytest.raises(ModelRefused):
        require_self_contained(data)


@pytest.mark.parametrize("made", [small_models.linear, small_models.lookup, small_models.convolutional])
def test_whole_models_pass(made):
    require_self_contained(made())
    require_self_contained(small_models.trained()[1])


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_pass(data):
    try:
        require_self_contained(b"\x3a" + bytes([len(data)]) + data)
    except ModelRefused as refused:
        assert refused.__context__ is None
