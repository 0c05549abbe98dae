"""Inference requests: bytes from outside to values, and back (Open Inference Protocol v2, "Inference")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from quatrefoil.errors import RequestRefused
from quatrefoil.inference import fields, framing, tensors
from quatrefoil.inference.framing import Headers
from quatrefoil.inference.limits import DEFAULT, Limits
from quatrefoil.inference.messages import InferRequest, RequestedOutput

_REQUEST = {"id": str, "parameters": dict, "inputs": list, "outputs": list}
_OUTPUT = {"name": str, "parameters": dict}


def decode_infer(headers: Iterable[tuple[bytes, bytes]], body: bytes, *, limits: Limits = DEFAULT) -> InferRequest:
    """The request in a body, or ``RequestRefused`` with a status of HTTP.

    Parameters other than those of the binary extension are refused and not ignored: each of them changes what the
    answer means. Nothing that is raised holds, or was raised from, anything that the body says.
    """
    document, blobs = framing.split(headers, body, limits)
    request = fields.members(document, _REQUEST, {"inputs"}, "the request")
    if not request["inputs"]:
        raise RequestRefused("the request has no inputs", hint="Send the model's inputs")
    return InferRequest(
        inputs=tensors.read(request["inputs"], blobs, "input", limits),
        outputs=_outputs(request.get("outputs", []), _default_binary(request), limits),
        binary=_default_binary(request),
        id=fields.identifier(request.get("id", ""), "id"),
    )


def encode_infer_request(
    request: InferRequest, *, binary: bool = True, limits: Limits = DEFAULT
) -> tuple[Headers, bytes]:
    """Headers and body of a request, its inputs in binary or in JSON."""
    inputs, blobs = tensors.write(request.inputs, set(request.inputs) if binary else set(), "input")
    document: dict[str, Any] = {"inputs": inputs}
    if request.id:
        document["id"] = request.id
    if request.binary:
        document["parameters"] = {"binary_data_output": True}
    if request.outputs:
        document["outputs"] = [
            {"name": output.name, "parameters": {"binary_data": output.binary}} for output in request.outputs
        ]
    return framing.join(document, blobs, limits)


def _default_binary(request: dict[str, Any]) -> bool:
    parameters = fields.members(
        request.get("parameters", {}), {"binary_data_output": bool}, set(), "parameters of the request"
    )
    return bool(parameters.get("binary_data_output", False))


def _outputs(items: list[Any], default: bool, limits: Limits) -> tuple[RequestedOutput, ...]:
    found: dict[str, RequestedOutput] = {}
    for number, item in enumerate(fields.listed(items, limits.tensors, "output")):
        where = f"output {number}"
        output = fields.members(item, _OUTPUT, {"name"}, where)
        parameters = fields.members(
            output.get("parameters", {}), {"binary_data": bool}, set(), f"parameters of {where}"
        )
        name = fields.name(output["name"], where)
        if name in found:
            raise RequestRefused(f"{where} is asked for twice", hint="Ask for each output once")
        found[name] = RequestedOutput(name, parameters.get("binary_data", default))
    return tuple(found.values())
