"""What cannot be quantised, or was not written by us, is refused by name."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from float_models import FLOAT, everything, model, node, numbers, perceptron
from quatrefoil.errors import CallerError, ModelRefused
from quatrefoil.quantised import Widths, decode, encode, measure_accuracy, quantise
from quatrefoil.quantised.onnx_reader import read

W = {"w": numbers(1, 3, 4)}
CASES = {
    "Softmax, which is not among": [node("MatMul", ["x", "w"], "h"), node("Softmax", ["h"], "y")],
    "takes 'x', which is no constant": [node("Gemm", ["x", "x"], "y")],
    "alpha, beta or transA": [node("Gemm", ["x", "w"], "y", alpha=0.5)],
    "which no layer gives": [node("Relu", ["x"], "r"), node("MatMul", ["r", "w"], "y")],
    "which is no flattening": [node("Reshape", ["x", "s"], "h"), node("MatMul", ["h", "w"], "y")],
    "which others take as well": [
        node("MatMul", ["x", "w"], "h"),
        node("Relu", ["h"], "r"),
        node("Add", ["h", "r"], "y"),
    ],
    "into which it cannot be folded": [
        node("MatMul", ["x", "w"], "h"),
        node("Relu", ["h"], "r"),
        node("Add", ["r", "four"], "y"),
    ],
    "along axis 0, not 1": [node("MatMul", ["x", "w"], "h"), node("ArgMax", ["h"], "y")],
    "along axis -2, not 1": [node("MatMul", ["x", "w"], "h"), node("ArgMax", ["h"], "y", axis=-2)],
    "a bias of 3 for 4 outputs": [node("Gemm", ["x", "w", "three"], "y")],
}
CONSTANTS = W | {"s": np.array([1, 3, 1]), "four": numbers(2, 4), "three": numbers(2, 3)}


@pytest.mark.parametrize("why", CASES)
def test_what_is_outside_of_the_operators_is_refused_by_its_node(why):
    with pytest.raises(ModelRefused, match=why) as refused:
        quantise(model(CASES[why], ("x", [3]), ("y", [4]), CONSTANTS), numbers(1, 5, 3))
    assert "node-" in str(refused.value) or "'h'" in str(refused.value)


def test_what_onnxs_checker_says_is_passed_on():
    twice = [node("MatMul", ["x", "w"], "w")]
    with pytest.raises(ModelRefused, match=r"its checker accepts: .*'w' has been used as output names multiple times"):
        read(model(twice, ("x", [3]), ("w", [4]), W))
    with pytest.raises(ModelRefused, match=r"its checker accepts: .") as refused:
        read(b"\x08" + b"garbage" * 500)
    assert len(str(refused.value)) < 400


def test_the_hint_of_a_softmax_is_that_of_answers_alone():
    for operator, told in (("Softmax", True), ("Erf", False)):
        nodes = [node("MatMul", ["x", "w"], "h"), node(operator, ["h"], "y")]
        with pytest.raises(ModelRefused, match=f"node-y is {operator}, which is not among") as refused:
            read(model(nodes, ("x", [3]), ("y", [4]), W))
        assert ("for whoever reads it" in str(refused.value)) is told


IMAGES = {
    "groups or dilations": node("Conv", ["x", "k"], "y", dilations=[2, 2]),
    "auto_pad SAME_UPPER": node("Conv", ["x", "k"], "y", auto_pad="SAME_UPPER"),
    "around windows": node("Conv", ["x", "k"], "y", pads=[2, 0, 0, 0]),
    "AveragePool with pads": node("AveragePool", ["x"], "y", kernel_shape=[2, 2], pads=[1, 0, 0, 0]),
    "pooling with dilations, ceil_mode": node("MaxPool", ["x"], "y", kernel_shape=[2, 2], ceil_mode=1),
}


@pytest.mark.parametrize("why", IMAGES)
def test_images_are_refused_in_forms_that_are_not_built(why):
    with pytest.raises(ModelRefused, match=why):
        read(model([IMAGES[why]], ("x", [2, 6, 6]), ("y", [1, 1, 1]), {"k": numbers(1, 3, 2, 2, 2)}))


def kept_elsewhere(loaded, tensor, file="weights"):
    """``tensor`` of a model, put into a file."""
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=file)
    tensor.ClearField("raw_data")
    return loaded.SerializeToString()


@pytest.mark.parametrize("there", [True, False])
def test_weights_in_another_file_are_not_read(tmp_path, monkeypatch, there):
    """Whoever made the model would have got what is in a file of whoever quantises it, as weights."""
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / "weights").write_bytes(bytes(4 * 5 * 6))
    loaded = onnx.load_from_string(perceptron())
    constant = onnx.load_from_string(perceptron())
    held = onnx.helper.make_node("Constant", [], ["k"], value=numpy_tensor(numbers(1, 5, 6)))
    constant.graph.node.insert(0, held)
    integers = onnx.load_from_string(encode(quantise(perceptron(), numbers(1, 5, 6))))
    for outside in (
        kept_elsewhere(loaded, loaded.graph.initializer[0]),
        kept_elsewhere(constant, constant.graph.node[0].attribute[0].t),
    ):
        with pytest.raises(ModelRefused, match="with its weights inside"):
            read(outside)
    with pytest.raises(ModelRefused, match="with its weights inside"):
        decode(kept_elsewhere(integers, integers.graph.initializer[0]))


def mistyped(number):
    def change(tensor):
        tensor.data_type = number

    return change


@pytest.mark.parametrize(
    "change",
    [
        mistyped(65),
        mistyped(onnx.TensorProto.STRING),
        mistyped(onnx.TensorProto.COMPLEX64),
        lambda one: one.dims.append(7),
    ],
)
def test_constants_that_hold_no_numbers_are_refused(change):
    loaded = onnx.load_from_string(perceptron())
    change(loaded.graph.initializer[0])
    with pytest.raises(ModelRefused, match=r"cannot be read as numbers|no ONNX model that its checker accepts"):
        read(loaded.SerializeToString())


def numpy_tensor(array):
    return onnx.numpy_helper.from_array(array, "k")


@pytest.mark.parametrize(
    "more",
    [
        node("Relu", ["y"], "more"),
        node("Add", ["y", "four"], "more"),
        node("BatchNormalization", ["y", "four", "four", "four", "squares"], "more"),
    ],
    ids=lambda one: one.op_type,
)
def test_nothing_is_folded_into_what_the_model_gives(more):
    """A node that nobody takes would have changed the answer, which then was not the model's."""
    constants = CONSTANTS | {"squares": numbers(2, 4) ** 2}
    taken = {name: constants[name] for name in ("w", *more.input) if name in constants}
    made = model([node("MatMul", ["x", "w"], "y"), more], ("x", [3]), ("y", [4]), taken)
    with pytest.raises(ModelRefused, match="node-more changes 'y', which others take as well"):
        quantise(made, numbers(1, 5, 3))


def test_weights_that_are_not_finite_are_refused():
    bad = np.array([[np.nan] * 4] * 3, "f4")
    with pytest.raises(ModelRefused, match="not finite"):
        quantise(model([node("MatMul", ["x", "w"], "y")], ("x", [3]), ("y", [4]), {"w": bad}), numbers(1, 5, 3))


@pytest.mark.parametrize("samples", [numbers(1, 5, 7), numbers(1, 0, 6), np.full((2, 6), np.inf, "f4")])
def test_samples_that_do_not_fit_are_refused(samples):
    with pytest.raises(CallerError, match="for inputs of"):
        quantise(perceptron(), samples)


@pytest.mark.parametrize("samples", [numbers(1, 5, 7), numbers(1, 0, 6), np.full((2, 6), np.nan, "f4")])
def test_samples_that_do_not_fit_are_not_compared_on(samples):
    with pytest.raises(CallerError, match="for inputs of"):
        measure_accuracy(perceptron(), encode(quantise(perceptron(), numbers(1, 5, 6))), samples)


@pytest.mark.parametrize("widths", [(1, 8), (17, 8), (8, 1), (8, 16)])
def test_widths_outside_of_what_is_exact_are_refused(widths):
    with pytest.raises(ModelRefused, match="bits a weight"):
        Widths(*widths)


def test_labels_of_another_length_are_refused():
    integers = encode(quantise(perceptron(), numbers(1, 5, 6)))
    with pytest.raises(CallerError, match="labels of shape"):
        measure_accuracy(perceptron(), integers, numbers(1, 5, 6), np.zeros(4, int))


# ------------------------------------------------------------------------------------------------------ files


@pytest.fixture(scope="module")
def file() -> bytes:
    return encode(quantise(everything(), numbers(0, 30, 2, 8, 8)))


def altered(file, change):
    loaded = onnx.load_from_string(file)
    change(loaded)
    return loaded.SerializeToString(deterministic=True)


def change_weight(loaded):
    one = next(one for one in loaded.graph.initializer if one.name.endswith(".weights"))
    array = onnx.numpy_helper.to_array(one).copy()
    array.reshape(-1)[0] += 0.5
    one.CopyFrom(onnx.numpy_helper.from_array(array, one.name))


def change_description(key, value):
    def change(loaded):
        (described,) = loaded.metadata_props
        text = json.loads(described.value)
        text[key] = value
        described.value = json.dumps(text, separators=(",", ":"))

    return change


def hide_a_node(loaded):
    loaded.graph.node.append(onnx.helper.make_node("Identity", ["value0"], ["unseen"]))


def swap_floor(loaded):
    next(one for one in loaded.graph.node if one.op_type == "Floor").op_type = "Ceil"


def change_options(loaded):
    (described,) = loaded.metadata_props
    text = json.loads(described.value)
    text["steps"][-1]["last"] = True
    described.value = json.dumps(text, separators=(",", ":"))


@pytest.mark.parametrize(
    "change",
    [
        change_weight,
        change_options,
        hide_a_node,
        swap_floor,
        lambda loaded: loaded.ClearField("metadata_props"),
        change_description("format", "quatrefoil.integer-graph/2"),
        change_description("exponents", [0]),
        change_description("steps", []),
        change_description("steps", "x" * 100),
        change_description("input", ["x", [2, 8, 8], 0.5, 0, 255]),
        change_description("input", ["x", [2, 8, 9], 5, 0, 255]),
        change_description("output", 7),
    ],
)
def test_a_file_that_we_would_not_have_written_is_refused(file, change):
    with pytest.raises(ModelRefused):
        decode(altered(file, change))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_or_the_same(file, data):
    place = data.draw(st.integers(0, len(file) - 1))
    damaged = file[:place] + bytes([file[place] ^ data.draw(st.integers(1, 255))]) + file[place + 1 :]
    with pytest.raises(ModelRefused):
        if encode(decode(damaged)) == damaged:
            # Another model, as good as any: a weight or a bias that was changed to another integer.
            raise ModelRefused("another integer", hint="-")


def test_a_float_model_describes_no_graph():
    with pytest.raises(ModelRefused, match="describes no integer graph"):
        decode(perceptron())


def test_what_is_no_onnx_is_refused():
    for garbage in (b"", b"\x00" * 100, b"{}"):
        with pytest.raises(ModelRefused):
            decode(garbage)
        with pytest.raises(ModelRefused):
            quantise(garbage, numbers(1, 5, 6))


def test_two_inputs_are_refused():
    graph = onnx.load_from_string(perceptron())
    graph.graph.input.append(onnx.helper.make_tensor_value_info("z", FLOAT, ["n", 2]))
    with pytest.raises(ModelRefused, match="2 inputs and 1 outputs"):
        read(graph.SerializeToString())
