"""What a caller asks for, as a request that can be sealed: texts in ISO 8859-1, content in bytes."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from typing import Any

from quatrefoil.client.exchanges import Asked
from quatrefoil.errors import CallerError

HeaderLines = Mapping[str, str] | Sequence[tuple[bytes, bytes]]


def asked_for(
    authority: bytes, method: str, path: str, headers: HeaderLines, content: bytes | None, json: Any
) -> Asked:
    """``CallerError`` where something of it has no such form."""
    lines = (
        [(_latin(name, "a field's name"), _latin(value, "a field's value")) for name, value in headers.items()]
        if isinstance(headers, Mapping)
        else [(_bytes(name), _bytes(value)) for name, value in headers]
    )
    if json is not None:
        if content is not None:
            raise CallerError("a request has content or json, not both", hint="Leave one of them out")
        content = _encoded(json)
        if not any(name.lower() == b"content-type" for name, _ in lines):
            lines.append((b"content-type", b"application/json"))
    return Asked(_latin(method, "the method"), authority, _latin(path, "the path"), tuple(lines), content or b"")


def _latin(text: Any, what: str) -> bytes:
    if isinstance(text, str) and (text.isascii() or max(text) < "\u0100"):
        return text.encode("latin-1")
    raise CallerError(f"{what} is no text of ISO 8859-1", hint="Percent-encode what is beyond it, or leave it out")


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    raise CallerError("a list of fields is of bytes", hint="Give texts as a mapping of names to values")


def _encoded(value: Any) -> bytes:
    problem = ""
    try:
        return json_module.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        problem = type(error).__name__
    raise CallerError(f"what is to be sent has no JSON form ({problem})", hint="Pass plain lists, texts and numbers")
