"""The client of Triton writes requests that we read, and reads answers that we write; and the other way round."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from quatrefoil.errors import RequestRefused
from quatrefoil.inference import (
    InferRequest,
    InferResponse,
    RequestedOutput,
    decode_infer,
    encode_infer,
    encode_infer_request,
)
from quatrefoil.inference.datatypes import DTYPES, datatype_of

ARRAYS = {
    **{name: np.arange(6).reshape(2, 3).astype(dtype) for name, dtype in DTYPES.items() if name != "BYTES"},
    "BYTES": np.array([[b"", b"a"], ["é".encode(), b"\0\0"]], dtype=object),
}
each_datatype = pytest.mark.parametrize("name", ARRAYS)


def same(one, other) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tolist() == other.tolist()


def written_by_the_client(arrays, *, binary=True, outputs=None, **more):
    """A body of the client's, with the header that the client sends beside it."""
    inputs = []
    for name, array in arrays.items():
        tensor = InferInput(name, list(array.shape), datatype_of(array))
        tensor.set_data_from_numpy(array, binary_data=binary)
        inputs.append(tensor)
    body, length = InferenceServerClient.generate_request_body(inputs, outputs=outputs, **more)
    return ([] if length is None else [(b"inference-header-content-length", b"%d" % length)]), body


def read_by_the_client(headers, body):
    length = dict(headers).get(b"inference-header-content-length")
    return InferenceServerClient.parse_response_body(body, header_length=None if length is None else int(length))


@each_datatype
def test_both_call_the_datatype_the_same(name):
    assert np_to_triton_dtype(ARRAYS[name].dtype) == name == datatype_of(ARRAYS[name])


def test_we_read_a_request_of_all_datatypes_in_binary():
    found = decode_infer(*written_by_the_client(ARRAYS, request_id="r-1"))
    assert found.id == "r-1" and found.binary
    assert all(same(found.inputs[name], array) for name, array in ARRAYS.items())


@each_datatype
def test_we_read_a_request_in_json_and_refuse_halves(name):
    headers, body = written_by_the_client({"x": ARRAYS[name]}, binary=False)
    if name == "FP16":
        with pytest.raises(RequestRefused, match="no JSON form"):
            decode_infer(headers, body)
    else:
        assert same(decode_infer(headers, body).inputs["x"], ARRAYS[name])


def test_we_read_what_it_asks_for():
    outputs = [InferRequestedOutput("a", binary_data=True), InferRequestedOutput("b", binary_data=False)]
    found = decode_infer(*written_by_the_client({"x": np.zeros(2)}, outputs=outputs))
    assert found.outputs == (RequestedOutput("a", True), RequestedOutput("b", False))


@pytest.mark.parametrize(
    "more",
    [
        {"outputs": [InferRequestedOutput("a", class_count=3)]},
        {"sequence_id": 5},
        {"priority": 2},
        {"timeout": 100},
        {"parameters": {"own": "value"}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_it_may_ask_and_we_do_not_do_is_refused_and_not_ignored(more):
    with pytest.raises(RequestRefused, match="not known"):
        decode_infer(*written_by_the_client({"x": np.zeros(2)}, **more))


@pytest.mark.parametrize("binary", [True, False])
@each_datatype
def test_it_reads_our_answers(name, binary):
    if name == "FP16" and not binary:
        pytest.skip("no JSON form")
    request = InferRequest({"x": np.zeros(1)}, outputs=(RequestedOutput("y", binary),))
    found = read_by_the_client(*encode_infer(request, InferResponse("m", {"y": ARRAYS[name]}, "1", "r-1")))
    expected = ARRAYS[name]
    if name == "BYTES" and not binary:
        assert [str(text).encode() for text in found.as_numpy("y").ravel()] == expected.ravel().tolist()
    else:
        assert same(found.as_numpy("y"), expected)
    assert found.get_response()["id"] == "r-1" and found.get_response()["model_name"] == "m"


def test_it_reads_an_answer_of_all_datatypes_in_binary():
    found = read_by_the_client(*encode_infer(InferRequest({}, binary=True), InferResponse("m", ARRAYS)))
    assert all(same(found.as_numpy(name), array) for name, array in ARRAYS.items())


def test_both_write_the_same_request():
    """The same JSON but for the order of members, and the same bytes after it."""
    theirs, ours = (
        written_by_the_client(ARRAYS, request_id="r"),
        encode_infer_request(InferRequest(ARRAYS, id="r", binary=True)),
    )
    parts = []
    for headers, body in (theirs, ours):
        length = int(dict(headers)[b"inference-header-content-length"])
        parts.append((json.loads(body[:length]), bytes(body[length:])))
    assert parts[0] == parts[1]


def test_it_cannot_read_an_answer_that_was_cut():
    headers, body = encode_infer(InferRequest({}, binary=True), InferResponse("m", {"y": np.arange(9.0)}))
    with pytest.raises((InferenceServerException, ValueError)):
        read_by_the_client(headers, body[:-1]).as_numpy("y")
