"""Answers: values to bytes, and back for clients (Open Inference Protocol v2, "Inference")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from quatrefoil.errors import RequestRefused
from quatrefoil.inference import fields, framing, tensors
from quatrefoil.inference.framing import Headers
from quatrefoil.inference.limits import DEFAULT, Limits
from quatrefoil.inference.messages import InferRequest, InferResponse

_RESPONSE = {"model_name": str, "model_version": str, "id": str, "outputs": list}


def encode_infer(request: InferRequest, response: InferResponse, *, limits: Limits = DEFAULT) -> tuple[Headers, bytes]:
    """Headers and body of an answer, each output in the form that the request asks for.

    ``RequestRefused``: 406 where an output has no JSON form and is asked for in JSON, 413 where the answer is over a
    limit.
    """
    # Before anything is written: JSON takes more memory than the arrays.
    if sum(array.size for array in response.outputs.values()) > limits.elements:
        raise RequestRefused("the answer is over the limit of elements", hint="Ask for less at once", status=413)
    binary = {name for name in response.outputs if request.wants_binary(name)}
    outputs, blobs = tensors.write(response.outputs, binary, "output")
    document: dict[str, Any] = {"model_name": response.model_name, "outputs": outputs}
    if response.model_version:
        document["model_version"] = response.model_version
    if response.id:
        document["id"] = response.id
    return framing.join(document, blobs, limits)


def decode_infer_response(
    headers: Iterable[tuple[bytes, bytes]], body: bytes, *, limits: Limits = DEFAULT
) -> InferResponse:
    """The answer in a body, as strictly as requests are read."""
    document, blobs = framing.split(headers, body, limits)
    response = fields.members(document, _RESPONSE, {"model_name", "outputs"}, "the answer")
    return InferResponse(
        model_name=fields.name(response["model_name"], "the model"),
        model_version=fields.identifier(response.get("model_version", ""), "the version"),
        id=fields.identifier(response.get("id", ""), "id"),
        outputs=tensors.read(response["outputs"], blobs, "output", limits),
    )
