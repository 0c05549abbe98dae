"""Requests and answers as bytes: what is read is what was written, in JSON and in binary."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quatrefoil.errors import RequestRefused
from quatrefoil.inference import (
    InferRequest,
    InferResponse,
    RequestedOutput,
    decode_infer,
    decode_infer_response,
    encode_infer,
    encode_infer_request,
)
from quatrefoil.inference.datatypes import DTYPES, datatype_of

NUMERIC = [name for name in DTYPES if name != "BYTES"]
shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=20)


@st.composite
def of_bytes(draw, elements):
    shape = draw(shapes)
    array = np.empty(int(np.prod(shape)), dtype=object)
    array[:] = [draw(elements) for _ in range(array.size)]
    return array.reshape(shape)


numeric = st.sampled_from(NUMERIC).flatmap(lambda name: arrays.arrays(DTYPES[name], shapes))
in_binary = numeric | of_bytes(st.binary(max_size=9))
finite = {"allow_nan": False, "allow_infinity": False}
in_json = st.sampled_from([name for name in NUMERIC if name != "FP16"]).flatmap(
    lambda name: arrays.arrays(DTYPES[name], shapes, elements=finite if name.startswith("FP") else None)
) | of_bytes(st.text(max_size=5).map(lambda text: text.encode()))


def same(one, other) -> bool:
    """Types, shapes and bits: NaN of one pattern is itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return list(one.ravel()) == list(other.ravel()) if one.dtype == object else one.tobytes() == other.tobytes()


def require_same(found, sent) -> None:
    assert list(found) == list(sent)
    assert all(same(found[name], sent[name]) for name in sent)


@given(st.dictionaries(names, in_binary, min_size=1, max_size=4), st.booleans())
def test_a_request_in_binary_reads_back_to_the_bit(inputs, binary):
    request = InferRequest(inputs, binary=binary, id="7")
    found = decode_infer(*encode_infer_request(request))
    require_same(found.inputs, inputs)
    assert (found.id, found.binary, found.outputs) == ("7", binary, ())


@given(st.dictionaries(names, in_json, min_size=1, max_size=4))
def test_a_request_in_json_reads_back_to_the_bit(inputs):
    headers, body = encode_infer_request(InferRequest(inputs), binary=False)
    assert json.loads(body)["inputs"]
    require_same(decode_infer(headers, body).inputs, inputs)


@given(st.dictionaries(names, in_json, min_size=1, max_size=4), st.data())
def test_an_answer_with_some_outputs_in_binary_reads_back_to_the_bit(outputs, data):
    wanted = tuple(RequestedOutput(name, data.draw(st.booleans())) for name in outputs)
    request = InferRequest({"x": np.zeros(1)}, outputs=wanted)
    found = decode_infer_response(*encode_infer(request, InferResponse("m", outputs, "1", "7")))
    require_same(found.outputs, outputs)
    assert (found.model_name, found.model_version, found.id) == ("m", "1", "7")


@given(in_json)
def test_data_nested_as_its_shape_is_the_same_as_flat(array):
    document = {"name": "x", "shape": list(array.shape), "datatype": datatype_of(array)}
    texts = array if array.dtype != object else np.vectorize(bytes.decode, otypes=[object])(array)
    for data in (texts.ravel().tolist(), texts.tolist()):
        if not isinstance(data, list):
            continue  # the nesting of no dimensions
        body = json.dumps({"inputs": [{**document, "data": data}]}).encode()
        assert same(decode_infer([], body).inputs["x"], array)


@given(names, st.lists(st.tuples(names, st.booleans()), unique_by=lambda pair: pair[0], max_size=4))
def test_what_is_asked_for_reads_back(name, wanted):
    outputs = tuple(RequestedOutput(*pair) for pair in wanted)
    found = decode_infer(*encode_infer_request(InferRequest({name: np.zeros(2)}, outputs=outputs, binary=True)))
    assert found.outputs == outputs


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinities_pass_in_binary_as_they_are_and_are_no_json(value):
    response = InferResponse("m", {"y": np.array([value, 1])})
    binary = InferRequest({"x": np.zeros(1)}, binary=True)
    assert same(decode_infer_response(*encode_infer(binary, response)).outputs["y"], response.outputs["y"])
    with pytest.raises(RequestRefused, match="no JSON form") as refused:
        encode_infer(InferRequest({"x": np.zeros(1)}), response)
    assert refused.value.status == 406


@pytest.mark.parametrize("array", [np.zeros(2, dtype="f2"), np.array([b"\xff"], dtype=object)], ids=["FP16", "BYTES"])
def test_what_has_no_json_form_is_not_answered_in_json(array):
    with pytest.raises(RequestRefused, match="no JSON form") as refused:
        encode_infer(InferRequest({"x": np.zeros(1)}), InferResponse("m", {"y": array}))
    assert refused.value.status == 406 and refused.value.__context__ is None


def test_integers_of_64_bits_are_exact_in_json():
    inputs = {"u": np.array([2**64 - 1], dtype="u8"), "i": np.array([-(2**63)], dtype="i8")}
    require_same(decode_infer(*encode_infer_request(InferRequest(inputs), binary=False)).inputs, inputs)


def test_binary_data_is_not_copied_where_it_is_aligned_and_never_writable():
    sent = np.arange(64, dtype="f4")
    for name in ("x", "xx", "xxx", "xxxx"):
        found = decode_infer(*encode_infer_request(InferRequest({name: sent}))).inputs[name]
        assert found.flags.aligned and same(found, sent)


def test_big_endian_and_strided_arrays_are_written_as_the_protocol_says():
    sent = np.arange(6, dtype=">i4").reshape(2, 3).T
    found = decode_infer(*encode_infer_request(InferRequest({"x": sent}))).inputs["x"]
    assert (found == sent).all() and found.dtype == "<i4"


@pytest.mark.parametrize("array", [np.zeros(1, dtype="c16"), np.array(["text"]), np.array([1], dtype=object)])
def test_arrays_that_the_protocol_has_not_are_the_callers_fault(array):
    with pytest.raises(TypeError):
        encode_infer_request(InferRequest({"x": array}))
