"""An ONNX model's bytes looked through before the runtime parses them: all that it needs is in them.

A tensor of ONNX may name a file that holds its data (``TensorProto.data_location``): a model could so read files of the
server. This walks the protocol buffers where tensors can be (onnx.proto, IR version 13; fields by number), and refuses
such tensors wherever they are. It is no validator: the runtime's own checks come after it.
"""

from __future__ import annotations

from collections.abc import Iterator

from quatrefoil.errors import ModelRefused

MOST_DEPTH = 64
"""Messages inside each other: graphs of loops and branches inside graphs."""

_TENSOR, _EXTERNAL_DATA, _DATA_LOCATION = "tensor", 13, 14
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
}
_HINT = "Save the model as one ONNX file with its weights inside"


def require_self_contained(model: bytes) -> None:
    """``ModelRefused`` unless the bytes are a protocol buffer of an ONNX model without external data."""
    graphs = _walk(memoryview(model), "model", 0)
    if graphs != 1:
        raise ModelRefused("the model has not exactly one graph", hint=_HINT)


def _walk(data: memoryview, kind: str, depth: int) -> int:
    """Look through one message; the number of graphs directly in it."""
    if depth > MOST_DEPTH:
        raise ModelRefused(f"the model is nested deeper than {MOST_DEPTH}", hint=_HINT)
    graphs = 0
    for field, value in _fields(data):
        if kind == _TENSOR:
            # 0 is DEFAULT: the data is in the tensor.
            if field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0):
                raise ModelRefused("a tensor of the model has its data in another file", hint=_HINT)
            continue
        child = _CHILDREN[kind].get(field)
        if child is None:
            continue
        if not isinstance(value, memoryview):
            raise ModelRefused("the model is no ONNX file", hint=_HINT)
        graphs += kind == "model" and child == "graph"
        _walk(value, child, depth + 1)
    return graphs


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Fields of a message by number: numbers, and the bytes of what has a length."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield field, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ModelRefused("the model is no ONNX file", hint=_HINT)
        if field == 0 or size > len(data) - at:
            raise ModelRefused("the model is no ONNX file, or not a whole one", hint=_HINT)
        yield field, data[at : at + size] if wire == 2 else int.from_bytes(data[at : at + size], "little")
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & ((1 << 64) - 1), at
    raise ModelRefused("the model is no ONNX file, or not a whole one", hint=_HINT)
