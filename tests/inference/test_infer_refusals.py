"""Malformed, ambiguous and oversized messages are refused, each with its status, without a word of their content."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import RequestRefused
from quatrefoil.inference import (
    InferRequest,
    InferResponse,
    Limits,
    decode_infer,
    decode_infer_response,
    encode_infer,
    encode_infer_request,
)

MARK = "Xq7zMarkerV9"
GOOD = {"name": MARK, "shape": [2], "datatype": "FP32", "data": [1, 2.5]}


def refused(body, headers=(), status=400, limits=None, decode=decode_infer) -> RequestRefused:
    """The refusal of a body; nothing in or behind it holds the marker."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestRefused) as found:
        decode(list(headers), data, limits=limits or Limits())
    error = found.value
    assert error.status == status
    assert error.__context__ is None and error.__cause__ is None
    assert MARK not in str(error) and MARK not in repr(error) and MARK not in repr(error.args)
    return error


def tensor(**changed):
    """A request with one tensor that differs from a good one; ``None`` leaves a member out."""
    item = {key: value for key, value in {**GOOD, **changed}.items() if value is not None}
    return {"inputs": [item]}


def binary(tensors, blobs):
    text = json.dumps({"inputs": tensors}).encode()
    return text + blobs, [(b"inference-header-content-length", b"%d" % len(text))]


def test_the_good_one_is_read():
    assert decode_infer([], json.dumps(tensor()).encode()).inputs[MARK].tolist() == [1, 2.5]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"' + MARK.encode() + b'"',
        b"{" + MARK.encode(),
        b'{"inputs": [], "inputs": []}',
        b'{"inputs": [{"name": "' + MARK.encode() + b'", "name": "b"}]}',
        b'{"inputs": NaN}',
        b'{"inputs": [1e999]}',
        b'{"inputs": [' + b"9" * 30 + b"]}",
        b'{"inputs": [' + b"9" * 100_000 + b"]}",
        b'{"inputs": ["\\ud800"]}',
        b"\xff\xfe",
        b'\xef\xbb\xbf{"inputs": []}',
        b"[" * 100_000,
        b'{"inputs":' * 100,
        b'{"inputs": []} {}',
        b'"' + b'\\"' * 500_000,
        b'"' + b'\\"' * 500_000 + b"\\",
    ],
    ids=range(19),
)
def test_what_is_no_strict_json_object_is_refused(body):
    refused(body)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"inputs": {}},
        {"inputs": [MARK]},
        {"inputs": [[]]},
        {**tensor(), MARK: 1},
        {**tensor(), "id": 7},
        {**tensor(), "id": MARK * 30},
        {**tensor(), "id": f"{MARK}\n"},
        {**tensor(), "parameters": []},
        {**tensor(), "parameters": {MARK: 1}},
        {**tensor(), "parameters": {"binary_data_output": 1}},
        {**tensor(), "parameters": {"sequence_id": 3}},
        {**tensor(), "outputs": {}},
        {**tensor(), "outputs": [{}]},
        {**tensor(), "outputs": [{"name": 1}]},
        {**tensor(), "outputs": [{"name": ""}]},
        {**tensor(), "outputs": [{"name": MARK}, {"name": MARK}]},
        {**tensor(), "outputs": [{"name": MARK, "parameters": {"classification": 3}}]},
        {**tensor(), "outputs": [{"name": MARK, "parameters": {"binary_data": "yes"}}]},
        {**tensor(), "outputs": [{"name": MARK, "shape": [1]}]},
        {"inputs": [GOOD, GOOD]},
        tensor(name=None),
        tensor(name=""),
        tensor(name=7),
        tensor(name=f"{MARK}\x1b[2J"),
        tensor(name=MARK * 30),
        tensor(shape=None),
        tensor(shape=2),
        tensor(shape=[2.0]),
        tensor(shape=[True, 2]),
        tensor(shape=[-2]),
        tensor(shape=["2"]),
        tensor(shape=[1] * 9, data=[1]),
        tensor(datatype=None),
        tensor(datatype=MARK),
        tensor(datatype="BF16"),
        tensor(datatype="fp32"),
        tensor(data=None),
        tensor(data={}),
        tensor(data=MARK),
        tensor(data=[1]),
        tensor(data=[1, 2, 3]),
        tensor(data=[1, None]),
        tensor(data=[1, True]),
        tensor(data=[1, MARK]),
        tensor(data=[1, [2]]),
        tensor(data=[[1, 2]]),
        tensor(data=[1, 1e39]),
        tensor(data=[1, 2], datatype="FP16"),
        tensor(data=[1, 2], datatype="BOOL"),
        tensor(data=[1, 2], datatype="BYTES"),
        tensor(data=[1, 2.0], datatype="INT32"),
        tensor(data=[1, 1 << 31], datatype="INT32"),
        tensor(data=[1, -1], datatype="UINT64"),
        tensor(data=[1, 256], datatype="UINT8"),
        tensor(data=[True, False], datatype="INT8"),
        tensor(shape=[2, 2], data=[[1, 2], [3]]),
        tensor(shape=[2, 2], data=[[1, 2], 3]),
        tensor(shape=[2, 2], data=[[1, 2], [3, [4]]]),
        tensor(shape=[2, 2], data=[[1, 2], [3, 4], [5, 6]]),
        tensor(parameters={"binary_data_size": 8}),
        tensor(parameters={MARK: 8}),
        tensor(parameters={"shared_memory_region": MARK, "shared_memory_byte_size": 8}, data=None),
        tensor(parameters={"binary_data_size": 8}, data=None),
        tensor(parameters={"binary_data_size": True}, data=None),
        tensor(parameters={"binary_data_size": -1}, data=None),
        tensor(parameters={"binary_data_size": "8"}, data=None),
    ],
    ids=range(68),
)
def test_what_is_no_request_of_the_protocol_is_refused(body):
    refused(body)


BINARY = {"name": MARK, "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}


@pytest.mark.parametrize(
    ("changed", "blobs"),
    [
        ({}, bytes(7)),
        ({}, bytes(9)),
        ({}, b""),
        ({"shape": [3]}, bytes(8)),
        ({"datatype": "FP64"}, bytes(8)),
        ({"parameters": {"binary_data_size": 7}}, bytes(7)),
        ({"parameters": {"binary_data_size": 1 << 63}}, bytes(8)),
        ({"parameters": {"binary_data_size": 2}, "datatype": "BOOL"}, b"\x01\x02"),
        ({"datatype": "BYTES"}, struct.pack("<I", 4) + MARK.encode()[:4]),
        ({"datatype": "BYTES"}, struct.pack("<II", 0, 1)),
        ({"datatype": "BYTES"}, struct.pack("<II", 1 << 31, 0)),
        ({"datatype": "BYTES", "shape": [1]}, struct.pack("<II", 0, 0)),
        ({"datatype": "BYTES", "shape": [1 << 23]}, bytes(8)),
        ({"data": [1, 2]}, bytes(8)),
    ],
    ids=range(14),
)
def test_binary_data_that_does_not_fit_is_refused(changed, blobs):
    body, headers = binary([{**BINARY, **changed}], blobs)
    refused(body, headers)


@pytest.mark.parametrize("length", [b"", b"-1", b"+5", b"0x5", b"05", b"5.0", b" 5", b"9" * 40, b"100000", b"3"])
def test_a_length_of_the_json_that_is_none_is_refused(length):
    body, _ = binary([BINARY], bytes(8))
    refused(body, [(b"Inference-Header-Content-Length", length)])


def test_headers_are_read_once_whatever_their_case():
    body, headers = binary([BINARY], bytes(8))
    assert decode_infer([(b"INFERENCE-Header-Content-Length", headers[0][1])], body).inputs
    refused(body, headers * 2)
    refused(body, [*headers, (b"Inference-Header-Content-Length", b"1")])


@pytest.mark.parametrize(
    "header",
    [
        (b"content-type", b"text/plain"),
        (b"content-type", b"multipart/form-data"),
        (b"content-type", MARK.encode()),
        (b"content-encoding", b"gzip"),
        (b"Content-Encoding", b"identity, deflate"),
    ],
)
def test_other_types_and_compression_are_refused(header):
    refused(tensor(), [header], status=415)


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        (Limits(body=10), 413),
        (Limits(json=10), 413),
        (Limits(elements=1), 413),
    ],
)
def test_every_limit_of_size_is_held(limits, status):
    refused(tensor(), limits=limits, status=status)


def test_limits_of_counts_and_elements_are_held():
    refused({"inputs": [GOOD, {**GOOD, "name": "b"}]}, limits=Limits(tensors=1))
    refused({**tensor(), "outputs": [{"name": "a"}, {"name": "b"}]}, limits=Limits(tensors=1))
    refused(tensor(datatype="BYTES", data=["a", MARK]), limits=Limits(element=4))
    body, headers = binary([{**BINARY, "datatype": "BYTES", "shape": [1]}], struct.pack("<I", 4) + b"abcd")
    refused(body, headers, limits=Limits(element=3))
    assert decode_infer(headers, body, limits=Limits(element=4)).inputs


@pytest.mark.parametrize("shape", [[1 << 62, 0], [1 << 63], [1 << 24] * 8, [(1 << 24) + 1, 0], [1 << 60, 1 << 60]])
def test_enormous_shapes_are_refused_before_anything_is_allocated(shape):
    refused(tensor(shape=shape, data=[]), status=413)
    body, headers = binary([{**BINARY, "shape": shape, "parameters": {"binary_data_size": 0}}], b"")
    refused(body, headers, status=413)


@pytest.mark.parametrize("field", ["body", "json", "tensors", "elements", "element"])
def test_a_limit_of_nothing_is_refused(field):
    with pytest.raises(ValueError, match="at least 1"):
        Limits(**{field: 0})


@pytest.mark.parametrize("limits", [Limits(elements=1), Limits(json=10), Limits(body=10)])
def test_answers_are_held_to_limits(limits):
    with pytest.raises(RequestRefused) as found:
        encode_infer(InferRequest({}), InferResponse("m", {"y": np.zeros(8)}), limits=limits)
    assert found.value.status == 413


@pytest.mark.parametrize(
    "body",
    [
        {"outputs": []},
        {"model_name": MARK},
        {"model_name": "", "outputs": []},
        {"model_name": 1, "outputs": []},
        {"model_name": "m", "outputs": [GOOD, GOOD]},
        {"model_name": "m", "outputs": [], "model_version": 1},
        {"model_name": "m", "outputs": [], "error": MARK},
        {"model_name": "m", "outputs": [{**GOOD, "data": [1]}]},
    ],
    ids=range(8),
)
def test_what_is_no_answer_of_the_protocol_is_refused(body):
    refused(body, decode=decode_infer_response)


@given(st.data())
def test_a_truncated_or_extended_request_is_refused(data):
    headers, body = encode_infer_request(InferRequest({"a": np.arange(3.0), "b": np.array([b"xy"], dtype=object)}))
    cut = data.draw(st.integers(0, len(body) - 1))
    refused(body[:cut], headers)
    refused(body + data.draw(st.binary(min_size=1, max_size=9)), headers)
