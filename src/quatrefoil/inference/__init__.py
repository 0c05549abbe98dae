"""Inference requests as the Open Inference Protocol v2 writes them, and engines that answer them.

    request = decode_infer(headers, body)
    headers, body = encode_infer(request, engine.infer(request))

Whatever either raises goes through ``encode_error``. Errors have a status, and hold nothing of a request's content.
"""

from quatrefoil.inference.documents import (
    encode_error,
    encode_model_metadata,
    encode_model_ready,
    encode_server_live,
    encode_server_metadata,
    encode_server_ready,
)
from quatrefoil.inference.engine import Engine, infer_together
from quatrefoil.inference.limits import Limits
from quatrefoil.inference.messages import InferRequest, InferResponse, ModelMetadata, RequestedOutput, TensorSpec
from quatrefoil.inference.onnx_engine import OnnxEngine
from quatrefoil.inference.requests import decode_infer, encode_infer_request
from quatrefoil.inference.responses import decode_infer_response, encode_infer
from quatrefoil.inference.routes import Route, route
from quatrefoil.inference.signature import Bounds

__all__ = [
    "Bounds",
    "Engine",
    "InferRequest",
    "InferResponse",
    "Limits",
    "ModelMetadata",
    "OnnxEngine",
    "RequestedOutput",
    "Route",
    "TensorSpec",
    "decode_infer",
    "decode_infer_response",
    "encode_error",
    "encode_infer",
    "encode_infer_request",
    "encode_model_metadata",
    "encode_model_ready",
    "encode_server_live",
    "encode_server_metadata",
    "encode_server_ready",
    "infer_together",
    "route",
]
