"""Bodies of inference requests, with the length of their JSON in front: read and written again they say the same."""

from __future__ import annotations

import numpy as np
from tests.fuzz.held import refused_or

from quatrefoil.inference import InferRequest, Limits, RequestedOutput, decode_infer, encode_infer_request

LIMITS = Limits(body=1 << 16, json=1 << 15, tensors=8, elements=1 << 12, element=256)


def seeds() -> list[bytes]:
    words = np.empty(2, dtype=object)
    words[:] = [b"a", b"\xc3\xa9"]
    inputs = {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.array([True]), "c": words, "d": np.array([1 << 40])}
    request = InferRequest(inputs, outputs=(RequestedOutput("y", True),), binary=True, id="7")
    return [_framed(*encode_infer_request(request, binary=binary)) for binary in (True, False)]


def one(data: bytes) -> None:
    """Without a length of two bytes in front that is within the body, all of it is JSON."""
    size, body = int.from_bytes(data[:2], "big"), data[2:]
    headers = [(b"inference-header-content-length", b"%d" % size)] if size else []
    request = refused_or(lambda: decode_infer(headers, body, limits=LIMITS))
    if request is None:
        return
    again = decode_infer(*encode_infer_request(request))
    assert (again.id, again.outputs, again.binary) == (request.id, request.outputs, request.binary)
    for name, array in request.inputs.items():
        other = again.inputs[name]
        assert (other.dtype, other.shape) == (array.dtype, array.shape)
        assert other.tolist() == array.tolist() if array.dtype == object else other.tobytes() == array.tobytes()


def _framed(headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    return int(dict(headers).get(b"inference-header-content-length", b"0")).to_bytes(2, "big") + body
