"""The other documents of the protocol: metadata, health and errors, as status, headers and body."""

from __future__ import annotations

from typing import Any

from quatrefoil.errors import EngineFailed, RequestRefused
from quatrefoil.inference import framing
from quatrefoil.inference.framing import Headers
from quatrefoil.inference.limits import DEFAULT
from quatrefoil.inference.messages import ModelMetadata, TensorSpec

Answer = tuple[int, Headers, bytes]


def encode_error(error: BaseException) -> Answer:
    """What a client is told. Texts of errors that this room did not write may hold content, and are not shown."""
    if isinstance(error, RequestRefused | EngineFailed):
        return _answer({"error": str(error)}, error.status)
    return _answer({"error": "the server failed. Try again, or tell who runs it"}, 500)


def encode_server_metadata(name: str, version: str) -> Answer:
    return _answer({"name": name, "version": version, "extensions": ["binary_tensor_data"]})


def encode_model_metadata(metadata: ModelMetadata) -> Answer:
    document: dict[str, Any] = {
        "name": metadata.name,
        "platform": metadata.platform,
        "inputs": [_spec(spec) for spec in metadata.inputs],
        "outputs": [_spec(spec) for spec in metadata.outputs],
    }
    if metadata.versions:
        document["versions"] = list(metadata.versions)
    return _answer(document)


def encode_server_live() -> Answer:
    return _answer({"live": True})


def encode_server_ready(ready: bool) -> Answer:
    """200 or 503: load balancers look at nothing else."""
    return _answer({"ready": ready}, 200 if ready else 503)


def encode_model_ready(name: str, ready: bool) -> Answer:
    return _answer({"name": name, "ready": ready}, 200 if ready else 503)


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _answer(document: dict[str, Any], status: int = 200) -> Answer:
    return status, *framing.join(document, None, DEFAULT)
