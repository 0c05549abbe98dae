"""A request's content as it came over the local connection: within a limit, uncompressed; and whether it asks for a
stream."""

from __future__ import annotations

import asyncio
import json
import re
import zlib

from quatrefoil.errors import RequestRefused
from quatrefoil.proxy import fields
from quatrefoil.web.guard import Receive

_WINDOWS = {b"gzip": 31, b"deflate": 15}
"""``zlib``'s window bits: the format with its header and checksum, and no other."""

_NUMBER = re.compile(rb"[0-9]{1,18}")


class ClientGone(Exception):
    """The local client closed its connection: nobody is left to answer."""


async def read(headers: fields.Fields, receive: Receive, *, limit: int) -> bytes:
    """The whole content, decompressed; ``RequestRefused`` with 413 over ``limit`` bytes, 415 in another coding."""
    coding = (fields.one(headers, b"content-encoding") or b"identity").lower()
    if coding != b"identity" and coding not in _WINDOWS:
        raise RequestRefused("the content is in an unknown coding", hint="Send it as it is, or gzip", status=415)
    length = fields.one(headers, b"content-length")
    if length is not None and (not _NUMBER.fullmatch(length) or int(length) > limit):
        raise _too_large(limit)
    content = await _received(receive, limit)
    if coding == b"identity":
        return content
    return await asyncio.to_thread(_decompressed, content, _WINDOWS[coding], limit)


def asks_for_stream(headers: fields.Fields, content: bytes) -> bool:
    """Whether the answer is to be passed on piece by piece: an event stream is accepted, or ``"stream": true``."""
    accepted = b",".join(value for name, value in headers if name.lower() == b"accept")
    if any(kind.partition(b";")[0].strip().lower() == b"text/event-stream" for kind in accepted.split(b",")):
        return True
    if b'"stream"' not in content and b"\\u" not in content:
        return False
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False  # for the server to refuse
    return isinstance(document, dict) and document.get("stream") is True


async def gone(receive: Receive) -> None:
    """Returns when the client closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _received(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _decompressed(content: bytes, window: int, limit: int) -> bytes:
    inflater = zlib.decompressobj(window)
    try:
        found = inflater.decompress(content, limit + 1)
    except zlib.error:
        found, broken = b"", True
    else:
        broken = not inflater.eof or bool(inflater.unused_data)
    if len(found) > limit:
        raise _too_large(limit)
    if broken:
        raise RequestRefused("the content is not what its coding says", hint="Send it uncompressed")
    return found


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(
        f"the content is over the policy's limit of {limit} bytes, or its length is no number",
        hint="Send less at once",
        status=413,
    )


__all__ = ["ClientGone", "asks_for_stream", "gone", "read"]
