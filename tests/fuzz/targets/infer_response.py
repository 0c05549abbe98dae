"""Bodies of inference answers, with the length of their JSON in front, as a client reads them."""

from __future__ import annotations

import numpy as np
from tests.fuzz.held import refused_or
from tests.fuzz.targets.infer_request import LIMITS

from quatrefoil.inference import InferRequest, InferResponse, decode_infer_response, encode_infer


def seeds() -> list[bytes]:
    response = InferResponse("m", {"y": np.arange(4, dtype="f8").reshape(2, 2), "z": np.array([7])}, "1", "r")
    found = []
    for binary in (True, False):
        headers, body = encode_infer(InferRequest({}, binary=binary), response)
        size = int(dict(headers).get(b"inference-header-content-length", b"0"))
        found.append(size.to_bytes(2, "big") + body)
    return found


def one(data: bytes) -> None:
    size, body = int.from_bytes(data[:2], "big"), data[2:]
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
