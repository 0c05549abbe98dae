"""A message of the protocol as HTTP headers and a body: JSON, and after it the binary tensors in order.

``Inference-Header-Content-Length`` says where the JSON ends; without it all of the body is JSON. Headers are pairs of
bytes, as ASGI has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from quatrefoil import strict_json
from quatrefoil.errors import EvidenceRejected, RequestRefused
from quatrefoil.inference.limits import Limits

Headers = list[tuple[bytes, bytes]]

JSON_LENGTH = b"inference-header-content-length"
_TYPES = (b"application/json", b"application/octet-stream")
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,15}")
_HINT = "Write messages as the Open Inference Protocol v2 and its binary tensor data extension say"


def split(headers: Iterable[tuple[bytes, bytes]], body: bytes, limits: Limits) -> tuple[Any, memoryview]:
    """The parsed JSON, and the bytes after it."""
    if len(body) > limits.body:
        raise RequestRefused(f"the body is over the limit of {limits.body} bytes", hint="Send less at once", status=413)
    found = _headers(headers)
    kind = found.get(b"content-type", _TYPES[0]).partition(b";")[0].strip().lower()
    if kind not in _TYPES:
        raise RequestRefused("the content type is not of this protocol", hint="Send application/json", status=415)
    if found.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        raise RequestRefused("the body is compressed", hint="Send it as it is", status=415)
    length = _json_length(found, len(body))
    if length > limits.json:
        raise RequestRefused(f"the JSON is over the limit of {limits.json} bytes", hint="Send binary data", status=413)
    return _parsed(body[:length], limits), memoryview(body)[length:]


def join(document: Any, blobs: list[bytes] | None, limits: Limits) -> tuple[Headers, bytes]:
    """Headers and body; ``None`` for ``blobs`` is a message of JSON alone."""
    text = strict_json.canonical(document)
    size = len(text) + sum(map(len, blobs or ()))
    if len(text) > limits.json or size > limits.body:
        raise RequestRefused("the answer is over a limit of size", hint="Ask for less at once", status=413)
    headers = [(b"content-type", _TYPES[0] if blobs is None else _TYPES[1]), (b"content-length", b"%d" % size)]
    if blobs is not None:
        headers.append((JSON_LENGTH, b"%d" % len(text)))
    return headers, b"".join((text, *(blobs or ())))


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        name = name.lower()
        if name not in (b"content-type", b"content-encoding", JSON_LENGTH):
            continue
        if name in found:
            raise RequestRefused("a header is there twice", hint=_HINT)
        found[name] = value
    return found


def _json_length(found: dict[bytes, bytes], size: int) -> int:
    text = found.get(JSON_LENGTH)
    if text is None:
        return size
    if not _NUMBER.fullmatch(text) or int(text) > size:
        raise RequestRefused("Inference-Header-Content-Length is no length within the body", hint=_HINT)
    return int(text)


def _parsed(data: bytes, limits: Limits) -> Any:
    try:
        return strict_json.parse(data, "the JSON", limit=limits.json, integer=_integer)
    except EvidenceRejected as error:
        # Its texts are fixed, and hold nothing of what was read; what it was raised from does.
        problem = error.problem
    # Outside of the handler: this error has no context.
    raise RequestRefused(problem, hint="Send JSON in UTF-8, each name once, numbers finite")


def _integer(text: str) -> int:
    """Integers up to 64 bits: tensors have them."""
    if len(text) > 20 or not -(1 << 63) <= (value := int(text)) < 1 << 64:
        raise ValueError
    return value
