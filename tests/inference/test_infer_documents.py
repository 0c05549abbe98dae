"""Paths, metadata and health as the protocol has them."""

from __future__ import annotations

import json

import pytest

import small_models
from quatrefoil.errors import RequestRefused
from quatrefoil.inference import (
    OnnxEngine,
    Route,
    encode_model_metadata,
    encode_model_ready,
    encode_server_live,
    encode_server_metadata,
    encode_server_ready,
    route,
)


def told(answer):
    status, headers, body = answer
    assert dict(headers) == {b"content-type": b"application/json", b"content-length": b"%d" % len(body)}
    return status, json.loads(body)


def test_the_metadata_of_a_model():
    assert told(encode_model_metadata(OnnxEngine(small_models.linear(), name="m", version="2").metadata)) == (
        200,
        {
            "name": "m",
            "versions": ["2"],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
        },
    )
    assert "versions" not in told(encode_model_metadata(OnnxEngine(small_models.linear(), name="m").metadata))[1]


def test_metadata_and_health_of_the_server():
    expected = {"name": "q", "version": "1", "extensions": ["binary_tensor_data"]}
    assert told(encode_server_metadata("q", "1")) == (200, expected)
    assert told(encode_server_live()) == (200, {"live": True})
    assert told(encode_server_ready(True)) == (200, {"ready": True})
    assert told(encode_server_ready(False)) == (503, {"ready": False})
    assert told(encode_model_ready("m", True)) == (200, {"name": "m", "ready": True})
    assert told(encode_model_ready("m", False)) == (503, {"name": "m", "ready": False})


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v2", Route("server-metadata")),
        ("GET", "/v2/health/live", Route("server-live")),
        ("GET", "/v2/health/ready", Route("server-ready")),
        ("GET", "/v2/models/a.b_c-1", Route("model-metadata", "a.b_c-1")),
        ("GET", "/v2/models/m/versions/2", Route("model-metadata", "m", "2")),
        ("GET", "/v2/models/m/ready", Route("model-ready", "m")),
        ("GET", "/v2/models/m/versions/2/ready", Route("model-ready", "m", "2")),
        ("POST", "/v2/models/m/infer", Route("infer", "m")),
        ("POST", "/v2/models/m/versions/2/infer", Route("infer", "m", "2")),
    ],
)
def test_every_path_of_the_protocol(method, path, expected):
    assert route(method, path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v2/",
        "//v2",
        "/v2/health",
        "/v2/health/live/",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/m/",
        "/v2/models/m/infer/",
        "/v2/models/m/versions//infer",
        "/v2/models/m/versions",
        "/v2/models/m/explain",
        "/v2/models/a%2Fb/infer",
        "/v2/models/a/b/infer",
        "/v2/models/m\n/infer",
        "/v2/models/m/infer\n",
        "/v2/models/m/infer?x",
        "/v2/models/é/infer",
        "/v2/models/" + "m" * 129,
        "/V2/models/m/infer",
    ],
)
def test_other_paths_are_refused(path):
    with pytest.raises(RequestRefused) as refused:
        route("POST", path)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v2/models/m/infer"), ("POST", "/v2"), ("HEAD", "/v2"), ("post", "/v2/models/m/infer")],
)
def test_other_methods_are_refused(method, path):
    with pytest.raises(RequestRefused) as refused:
        route(method, path)
    assert refused.value.status == 405
