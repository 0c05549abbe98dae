"""Networks from ONNX files, against ONNX Runtime; and every way in which one is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.analytics.network_onnx import read_onnx
from quatrefoil.errors import DependencyMissing, ModelRefused

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

SOURCE = np.random.default_rng(21)
ARRAYS = {
    "w": SOURCE.standard_normal((4, 3)).astype(np.float32),
    "b": SOURCE.standard_normal(4).astype(np.float32),
    "v": SOURCE.standard_normal((1, 4)).astype(np.float32),
    "c": SOURCE.standard_normal((1, 1)).astype(np.float32),
    "flat": np.array([-1], dtype=np.int64),
}


def nodes() -> list[Any]:
    return [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], name="first", transB=1),
        helper.make_node("Mul", ["h", "h"], ["s"], name="square"),
        helper.make_node("Gemm", ["s", "v", "c"], ["z"], name="second", transB=1),
        helper.make_node("Sigmoid", ["z"], ["p"], name="link"),
        helper.make_node("Reshape", ["p", "flat"], ["risk"], name="flatten"),
    ]


def model(
    chain: list[Any] | None = None, arrays: dict[str, Any] | None = None, output: str = "risk", inputs: int = 3
) -> Any:
    weights = [numpy_helper.from_array(array, name) for name, array in (arrays or ARRAYS).items()]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", inputs])
    found = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes() if chain is None else chain, "network", [given], [found], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def outputs(data: bytes, rows: np.ndarray) -> np.ndarray:
    found = read_onnx(data)
    first, biases, second, constants = found.arrays()
    values = (rows @ first.T + biases) ** 2 @ second.T + constants
    return values if found.activation == "identity" else 1 / (1 + np.exp(-values))


def run(data: bytes, rows: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": rows.astype(np.float32)})[0])


ROWS = np.random.default_rng(22).standard_normal((5, 3))


def test_the_same_as_onnx_runtime_with_and_without_the_last_nodes() -> None:
    for count, output in ((5, "risk"), (4, "p"), (3, "z")):
        data = model(nodes()[:count], output=output).SerializeToString()
        found = read_onnx(data)
        assert found.outputs == (output,) and found.features == () and found.inputs == 3
        assert found.activation == ("identity" if count == 3 else "sigmoid")
        assert np.allclose(outputs(data, ROWS).ravel(), run(data, ROWS).ravel(), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
    st.booleans(),
)
def test_every_way_to_write_gemm(
    inputs: int, hidden: int, count: int, transposed: bool, doubles: bool, bias: int, factors: bool
) -> None:
    source, kind = np.random.default_rng(inputs + 8 * hidden), np.float64 if doubles else np.float32
    w, v = (source.standard_normal(shape).astype(kind) for shape in ((hidden, inputs), (count, hidden)))
    b, c = (source.standard_normal(size).astype(kind) for size in (hidden, count))
    arrays = {"w": w if transposed else w.T.copy(), "v": v if transposed else v.T.copy(), "b": b, "c": c[None, :]}
    arrays["c"] = [arrays["c"], c[:1], c[0], c][bias]
    settings: dict[str, Any] = {"transB": int(transposed)} | ({"alpha": 0.5, "beta": -2.0} if factors else {})
    last = ["s", "v", "c"] if bias != 3 else ["s", "v"]
    chain = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], **settings),
        helper.make_node("Mul", ["h", "h"], ["s"]),
        helper.make_node("Gemm", last, ["z"], **settings),
    ]
    data = model(chain, arrays, "z", inputs).SerializeToString()
    found = read_onnx(data)
    assert len(found.outputs) == count
    if not doubles:
        rows = source.standard_normal((3, inputs))
        assert np.allclose(outputs(data, rows), run(data, rows), atol=1e-4)


def node(at: int, **changes: Any) -> Callable[[Any], None]:
    def change(made: Any) -> None:
        chosen = made.graph.node[at]
        for name, value in changes.items():
            if name in ("input", "output"):
                del getattr(chosen, name)[:]
                getattr(chosen, name).extend(value)
            elif name == "attribute":
                chosen.attribute.append(value)
            else:
                setattr(chosen, name, value)

    return change


def weights(which: str, **changes: Any) -> Callable[[Any], None]:
    def change(made: Any) -> None:
        tensor = next(each for each in made.graph.initializer if each.name == which)
        for field, value in changes.items():
            if field == "dims":
                del tensor.dims[:]
                tensor.dims.extend(value)
            elif field == "external_data":
                tensor.external_data.add(key="location", value=value)
            else:
                setattr(tensor, field, value)

    return change


def replaced(name: str, array: Any) -> Callable[[Any], None]:
    def change(made: Any) -> None:
        tensor = next(each for each in made.graph.initializer if each.name == name)
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(array), name))

    return change


def extra(made: Any) -> None:
    made.graph.node.append(helper.make_node("Relu", ["risk"], ["more"], name="surplus"))


def relu(made: Any) -> None:
    made.graph.node[1].CopyFrom(helper.make_node("Relu", ["h"], ["s"], name="bend"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (relu, r"node 1 'bend' \('Relu'\) stands where Mul must"),
        (node(0, op_type="MatMul"), r"node 0 'first' \('MatMul'\) stands where Gemm must"),
        (node(0, domain="com.microsoft"), r"node 0 'first' \('com.microsoft.Gemm'\) stands"),
        (node(1, input=["h", "x"]), r"node 1 'square' \('Mul'\) does not take 'h', twice"),
        (node(1, input=["x", "x"]), "node 1 'square'.* does not take 'h', twice"),
        (node(1, input=["h"]), "node 1 'square'.* number of inputs"),
        (node(2, input=["h", "v", "c"]), "node 2 'second'.* does not take 's'"),
        (node(2, input=["s", "none", "c"]), "node 2 'second'.* takes 'none'"),
        (node(2, input=["s", "flat", "c"]), "node 2 'second'.* takes 'flat'"),
        (node(2, input=["s", "w", "c"]), "node 2 'second'.* takes 3 values, and has 4"),
        (node(0, input=["x", "b", "b"]), r"node 0 'first'.* weights of shape \(4,\)"),
        (node(0, input=["x", "w", "w"]), r"node 0 'first'.* biases of shape \(4, 3\)"),
        (node(0, attribute=helper.make_attribute("transA", 1)), "node 0 'first'.* transposes its input"),
        (node(0, attribute=helper.make_attribute("alpha", float("inf"))), "node 0 'first'.* not finite"),
        (node(0, attribute=helper.make_attribute("alpha", 1)), "node 0 'first'.* attribute 'alpha'"),
        (node(0, attribute=helper.make_attribute("transB", 1)), "node 0 'first'.* attribute 'transB'"),
        (node(1, attribute=helper.make_attribute("axis", 1)), "node 1 'square'.* attribute 'axis'"),
        (node(3, op_type="Tanh"), "node 3 'link'"),
        (node(4, op_type="Softmax"), "node 4 'flatten'"),
        (node(4, input=["p", "none"]), "node 4 'flatten'.* more than to flatten"),
        (replaced("flat", np.array([1, -1])), "node 4 'flatten'.* more than to flatten"),
        (extra, r"node 5 'surplus' \('Relu'\) is one too many"),
        (replaced("w", np.full((4, 3), np.nan, np.float32)), "not finite"),
        (replaced("w", np.zeros((0, 3), np.float32)), "shape"),
        (replaced("w", np.zeros((4, 3), np.float16)), "weights 'w' are no float"),
        (replaced("w", np.zeros((4, 3), np.int64)), "no float weights have this name"),
        (weights("w", data_location=1), "weights 'w' are in another file"),
        (weights("w", external_data="/etc/passwd"), "weights 'w' are in another file"),
        (weights("w", dims=[4, 300]), "weights 'w' do not have the size"),
        (weights("w", dims=[-4, 3]), "weights 'w' have more than"),
        (weights("w", dims=[1 << 40, 1 << 40]), "weights 'w' have more than"),
        (weights("w", raw_data=b"\0" * 7), "weights 'w' do not have the size"),
        (weights("w", name="b"), "twice there"),
        (weights("w", name=""), "no float, double"),
        (lambda made: made.graph.input.add(name="y"), "2 inputs beside its weights"),
        (lambda made: made.graph.output.add(name="h"), "2 outputs"),
        (lambda made: setattr(made.graph.output[0], "name", "p"), "not its last node's"),
        (lambda made: made.graph.sparse_initializer.add(), "sparse"),
        (lambda made: made.functions.add(name="f"), "functions"),
        (lambda made: setattr(made.opset_import[0], "version", 6), "operator set"),
        (lambda made: setattr(made.opset_import[0], "version", 1000), "operator set"),
        (lambda made: setattr(made.opset_import[0], "domain", "other"), "operator set"),
        (lambda made: made.opset_import.add(version=17), "operator set"),
        (lambda made: made.graph.node.pop(), "output is not"),
        (lambda made: [made.graph.node.pop() for _ in range(3)], "2 nodes"),
        (lambda made: made.ClearField("graph"), "no ONNX file"),
    ],
)
def test_models_that_are_refused(change: Callable[[Any], object], problem: str) -> None:
    made = model()
    change(made)
    with pytest.raises(ModelRefused, match=problem):
        read_onnx(made.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, b"{}", b"\x0a", bytes((8 << 20) + 1)])
def test_bytes_that_are_no_model(data: bytes) -> None:
    with pytest.raises(ModelRefused):
        read_onnx(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 600), st.booleans())
def test_altered_files_are_refused_or_read(garbage: bytes, place: int, cut: bool) -> None:
    data = bytearray(model().SerializeToString())
    data[place : place + len(garbage)] = garbage
    try:
        found = read_onnx(bytes(data[: place + len(garbage)] if cut else data))
    except ModelRefused as refusal:
        assert refusal.hint
    else:
        assert found.inputs >= 1


def test_without_onnx_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(DependencyMissing, match="or give the model as JSON"):
        read_onnx(b"")
