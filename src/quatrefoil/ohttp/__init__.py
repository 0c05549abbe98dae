"""Oblivious HTTP under a hybrid key: requests and responses that nobody on the way can read. Unaudited.

From the inside out: ``binary_http`` writes and reads HTTP messages as bytes (RFC 9292), ``encapsulation`` and
``chunked`` encrypt them (RFC 9458 and its chunked form), over HPKE contexts (``hpke_context``). No part does I/O.
docs/ohttp.md is the specification.
"""

from quatrefoil.ohttp.batching import Batcher, Batching
from quatrefoil.ohttp.binary_http import (
    StreamEncoder,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from quatrefoil.ohttp.chunked import RequestOpener, RequestSealer, ResponseOpener, ResponseSealer
from quatrefoil.ohttp.decoder import Content, Limits, RequestDecoder, ResponseDecoder, Trailers
from quatrefoil.ohttp.encapsulation import (
    OpenedRequest,
    open_request,
    open_response,
    seal_request,
    seal_response,
)
from quatrefoil.ohttp.gateway_keys import GatewayKeys
from quatrefoil.ohttp.kem import HybridKey
from quatrefoil.ohttp.key_configuration import KeyConfiguration, decode_list, encode_list
from quatrefoil.ohttp.messages import Request, RequestHead, Response, ResponseHead
from quatrefoil.ohttp.padding import Buckets, NoPadding, Padding, Padme, PowerOfTwo, pad_events
from quatrefoil.ohttp.replay import MemoryReplayStore, ReplayGuard, ReplayStore, http_date
from quatrefoil.ohttp.response_keys import ResponseKeys

__all__ = [
    "Batcher",
    "Batching",
    "Buckets",
    "Content",
    "GatewayKeys",
    "HybridKey",
    "KeyConfiguration",
    "Limits",
    "MemoryReplayStore",
    "NoPadding",
    "OpenedRequest",
    "Padding",
    "Padme",
    "PowerOfTwo",
    "ReplayGuard",
    "ReplayStore",
    "Request",
    "RequestDecoder",
    "RequestHead",
    "RequestOpener",
    "RequestSealer",
    "Response",
    "ResponseDecoder",
    "ResponseHead",
    "ResponseKeys",
    "ResponseOpener",
    "ResponseSealer",
    "StreamEncoder",
    "Trailers",
    "decode_list",
    "decode_request",
    "decode_response",
    "encode_list",
    "encode_request",
    "encode_response",
    "http_date",
    "open_request",
    "open_response",
    "pad_events",
    "seal_request",
    "seal_response",
]
