"""Tensors of the Open Inference Protocol v2: its datatypes as NumPy arrays, in JSON and in binary.

Binary is row-major and little-endian; an element of BYTES is four bytes of length and as many bytes (the binary tensor
data extension). In NumPy, BYTES is an object array of ``bytes``. What is read is what was written: integers
outside their type, floats that overflow theirs, bytes for booleans that are neither 0 nor 1 are refused.
FP16 has no JSON form, as at Triton; BF16 is not supported, for NumPy has none.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import RequestRefused
from quatrefoil.inference.limits import MOST_RANK, Limits

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_LENGTH = struct.Struct("<I")
_HINT = "Write tensors as the Open Inference Protocol v2 says"
_BINARY_HINT = "Send or ask for this tensor as binary data"


def datatype_of(array: Array) -> str:
    """The protocol's name of an array's type, or ``TypeError``: our own arrays are at fault, not a peer's."""
    try:
        return _NAMES[array.dtype.newbyteorder("<") if array.dtype.kind in "iuf" else array.dtype]
    except KeyError:
        raise TypeError(f"no datatype of the protocol is {array.dtype}") from None


def count_of(shape: Sequence[int]) -> int:
    """Elements of a shape."""
    return math.prod(shape)


def from_binary(data: memoryview, datatype: str, shape: tuple[int, ...], limits: Limits, where: str) -> Array:
    """The array in ``data``, all of it. Fixed-size types are not copied where alignment allows; read-only then."""
    if datatype == "BYTES":
        return _object_array(_split(data, count_of(shape), limits, where), shape)
    dtype = DTYPES[datatype]
    if len(data) != count_of(shape) * dtype.itemsize:
        raise RequestRefused(f"{where} has another number of bytes than its shape and datatype say", hint=_HINT)
    if datatype == "BOOL":
        raw = np.frombuffer(data, dtype="u1")
        if raw.size and raw.max() > 1:
            raise RequestRefused(f"{where} holds a byte that is no boolean", hint="Send 0 or 1 for each element")
        return raw.view(np.bool_).reshape(shape)
    # Kernels of an engine read whole words: what is not aligned is copied once, here.
    return np.require(np.frombuffer(data, dtype=dtype), requirements=["A", "C"]).reshape(shape)


def to_binary(array: Array) -> bytes:
    """The binary form of an array."""
    datatype = datatype_of(array)
    if datatype != "BYTES":
        return np.ascontiguousarray(array, dtype=DTYPES[datatype]).tobytes()
    parts: list[bytes] = []
    for element in array.ravel():
        if not isinstance(element, bytes):
            raise TypeError("an element of an object array is not bytes")
        parts += (_LENGTH.pack(len(element)), element)
    return b"".join(parts)


def from_json(data: Any, datatype: str, shape: tuple[int, ...], limits: Limits, where: str) -> Array:
    """The array in parsed JSON: a flat list, or lists nested as the shape is."""
    if datatype == "FP16":
        raise RequestRefused(f"{where} is FP16, which has no JSON form", hint=_BINARY_HINT)
    values = _flat(data, shape, where)
    kinds = set(map(type, values))
    if datatype == "BYTES":
        return _object_array(_texts(values, kinds, limits, where), shape)
    if datatype == "BOOL":
        _require(kinds <= {bool}, where)
        return np.array(values, dtype=np.bool_).reshape(shape)
    dtype = DTYPES[datatype]
    if dtype.kind in "iu":
        _require(kinds <= {int}, where)
        limit = np.iinfo(dtype)
        _require(not values or (limit.min <= min(values) and max(values) <= limit.max), where)
        return np.array(values, dtype=dtype).reshape(shape)
    _require(kinds <= {int, float}, where)
    with np.errstate(over="ignore"):
        array = np.array(values, dtype="<f8").astype(dtype).reshape(shape)
    _require(bool(np.isfinite(array).all()), where)
    return array


def to_json(array: Array, where: str) -> list[Any]:
    """The flat list of an array, row-major. What has no JSON form is refused: it would read back as something else.

    That is FP16; NaN and infinities, in the only places where they cannot be passed on; BYTES that is not UTF-8.
    """
    datatype = datatype_of(array)
    if datatype == "FP16" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        raise RequestRefused(f"{where} has no JSON form", hint=_BINARY_HINT, status=406)
    if datatype != "BYTES":
        # Floats of 32 bits are written as the doubles that they are: every reader gets the same 32 bits back.
        return array.ravel().tolist()
    texts = _decoded(array)
    if texts is None:
        raise RequestRefused(f"{where} has no JSON form", hint=_BINARY_HINT, status=406)
    return texts


def _decoded(array: Array) -> list[str] | None:
    try:
        return [element.decode("utf-8") for element in array.ravel()]
    except UnicodeDecodeError:
        return None  # raised from here, the refusal would carry the bytes with it


def _split(data: memoryview, count: int, limits: Limits, where: str) -> list[bytes]:
    elements: list[bytes] = []
    at = 0
    # An element takes four bytes at least: a count beyond that is refused before anything is made of it.
    _require(count * _LENGTH.size <= len(data), where)
    for _ in range(count):
        _require(len(data) - at >= _LENGTH.size, where)
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        _require(size <= len(data) - at, where)
        if size > limits.element:
            raise RequestRefused(f"an element of {where} is over the limit of {limits.element} bytes", hint=_HINT)
        elements.append(bytes(data[at : at + size]))
        at += size
    _require(at == len(data), where)
    return elements


def _texts(values: list[Any], kinds: set[type], limits: Limits, where: str) -> list[bytes]:
    _require(kinds <= {str}, where)
    elements = [text.encode("utf-8") for text in values]  # the reader has refused halves of surrogate pairs
    if any(len(element) > limits.element for element in elements):
        raise RequestRefused(f"an element of {where} is over the limit of {limits.element} bytes", hint=_HINT)
    return elements


def _flat(data: Any, shape: tuple[int, ...], where: str) -> list[Any]:
    _require(isinstance(data, list), where)
    if not (len(shape) > 1 and data and isinstance(data[0], list)):
        _require(len(data) == count_of(shape), where)
        return list(data)
    level: list[Any] = [data]
    for size in shape[:MOST_RANK]:
        _require(all(isinstance(item, list) and len(item) == size for item in level), where)
        level = [inner for item in level for inner in item]
    return level


def _object_array(elements: list[bytes], shape: tuple[int, ...]) -> Array:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)


def _require(holds: bool, where: str) -> None:
    if not holds:
        raise RequestRefused(f"the data of {where} does not fit its shape and datatype", hint=_HINT)
