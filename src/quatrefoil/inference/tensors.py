"""Lists of tensors as requests have them as inputs and answers as outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quatrefoil.errors import RequestRefused
from quatrefoil.inference import fields
from quatrefoil.inference.datatypes import (
    DTYPES,
    Array,
    count_of,
    datatype_of,
    from_binary,
    from_json,
    to_binary,
    to_json,
)
from quatrefoil.inference.limits import Limits

_TENSOR = {"name": str, "shape": list, "datatype": str, "parameters": dict, "data": list}
_HINT = "Write tensors as the Open Inference Protocol v2 and its binary tensor data extension say"


def read(items: list[Any], blobs: memoryview, what: str, limits: Limits) -> dict[str, Array]:
    """The arrays of a list of tensors by name. The binary ones use up ``blobs``, to the byte."""
    found: dict[str, Array] = {}
    elements = at = 0
    for number, item in enumerate(fields.listed(items, limits.tensors, what)):
        where = f"{what} {number}"
        tensor = fields.members(item, _TENSOR, {"name", "shape", "datatype"}, where)
        name = fields.name(tensor["name"], where)
        if name in found:
            raise RequestRefused(f"{where} has the name of another", hint=_HINT)
        datatype, shape = tensor["datatype"], fields.shape(tensor["shape"], where)
        if datatype not in DTYPES:
            raise RequestRefused(f"{where} has no datatype that is known", hint=f"Send one of {', '.join(DTYPES)}")
        # Sizes of 0 count as 1: no array can have (2^60, 0) for a shape, though it has no elements.
        elements += count_of([max(size, 1) for size in shape])
        if elements > limits.elements:
            raise RequestRefused(f"over the limit of {limits.elements} elements", hint="Send less at once", status=413)
        size = _binary_size(tensor, where)
        if size is None:
            found[name] = from_json(tensor["data"], datatype, shape, limits, where)
            continue
        if size > len(blobs) - at:
            raise RequestRefused(f"the body ends within {where}", hint=_HINT)
        found[name] = from_binary(blobs[at : at + size], datatype, shape, limits, where)
        at += size
    if at != len(blobs):
        raise RequestRefused(f"the body goes on after the last {what}", hint=_HINT)
    return found


def write(arrays: Mapping[str, Array], binary: set[str], what: str) -> tuple[list[dict[str, Any]], list[bytes] | None]:
    """A list of tensors, and the binary data of those in ``binary``, in their order; ``None`` if there are none."""
    items: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for number, (name, array) in enumerate(arrays.items()):
        item: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": datatype_of(array)}
        if name in binary:
            blobs.append(to_binary(array))
            item["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            item["data"] = to_json(array, f"{what} {number}")
        items.append(item)
    return items, blobs if binary else None


def _binary_size(tensor: dict[str, Any], where: str) -> int | None:
    """Bytes of binary data, or ``None`` where the data is in the JSON: exactly one of the two is there."""
    parameters = fields.members(
        tensor.get("parameters", {}), {"binary_data_size": int}, set(), f"parameters of {where}"
    )
    size: int | None = parameters.get("binary_data_size")
    if (size is None) != ("data" in tensor):
        raise RequestRefused(f"{where} has no data, or has it twice", hint=_HINT)
    if size is not None and size < 0:
        raise RequestRefused(f"{where} has no size", hint=_HINT)
    return size
