"""Bodies of inference answers, with the length of their JSON in front, and of metadata, as a client reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.fuzz.held import refused_or
from tests.fuzz.targets.infer_request import LIMITS

from quatrefoil.client.answers import Answer, Headers
from quatrefoil.client.tensors import signature
from quatrefoil.inference import (
    InferRequest,
    InferResponse,
    ModelMetadata,
    TensorSpec,
    decode_infer_response,
    encode_infer,
    encode_model_metadata,
)

NO_RECEIPT: Any = None
"""It is verified before."""


def seeds() -> list[bytes]:
    response = InferResponse("m", {"y": np.arange(4, dtype="f8").reshape(2, 2), "z": np.array([7])}, "1", "r")
    found = []
    for binary in (True, False):
        headers, body = encode_infer(InferRequest({}, binary=binary), response)
        size = int(dict(headers).get(b"inference-header-content-length", b"0"))
        found.append(size.to_bytes(2, "big") + body)
    spec = TensorSpec("x", "FP32", (-1, 2))
    metadata = encode_model_metadata(ModelMetadata("m", (spec,), (spec,), "onnx", ("1",)))
    odd = [b"[]", b'{"name": "m", "inputs": [[]], "outputs": 3, "platform": ""}', b"[" * 9999]
    return [*found, *(b"\0\0" + body for body in (metadata[2], *odd))]


def one(data: bytes) -> None:
    size, body = int.from_bytes(data[:2], "big"), data[2:]
    metadata = refused_or(lambda: signature(Answer(200, Headers(()), body, NO_RECEIPT)))
    if metadata is not None:
        again_said = Answer(200, Headers(()), encode_model_metadata(metadata)[2], NO_RECEIPT)
        assert signature(again_said) == metadata
    headers = [(b"inference-header-content-length", b"%d" % size)] if size else []
    response = refused_or(lambda: decode_infer_response(headers, body, limits=LIMITS))
    if response is None:
        return
    again = decode_infer_response(*encode_infer(InferRequest({}, binary=True), response))
    assert (again.model_name, again.model_version, again.id) == (
        response.model_name,
        response.model_version,
        response.id,
    )
    assert list(again.outputs) == list(response.outputs)
