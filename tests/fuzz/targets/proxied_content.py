"""What a program on this machine sends to the local proxy: bodies in every coding, and whether they want a stream."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

from tests.fuzz.held import refused_or

from quatrefoil.proxy.content import asks_for_stream, read

LIMIT = 4096
CODINGS = (b"identity", b"gzip", b"deflate")


def seeds() -> list[bytes]:
    body = b'{"model": "heart", "stream": true}'
    plain = [body, body.replace(b"stream", b"str\\u0065am"), b"[" * 9999, b'{"stream": ' + b"[" * 9999]
    packed = [
        b"\1" + gzip.compress(body, mtime=0),
        b"\2" + zlib.compress(body),
        b"\1" + gzip.compress(bytes(1 << 20), mtime=0),
    ]
    return [
        *(b"\0" + one for one in plain),
        *packed,
        b"\1" + gzip.compress(body, mtime=0) * 2,
        b"\2" + zlib.compress(body)[:-3],
    ]


def one(data: bytes) -> None:
    """By the first byte: in which coding the rest is. What is read is within the limit, and what the coding says."""
    coding, content = CODINGS[(data[0] if data else 0) % 3], data[1:]
    headers = ((b"content-encoding", coding), (b"content-length", b"%d" % len(content)))

    async def receive() -> Any:
        return {"type": "http.request", "body": content}

    found = refused_or(lambda: asyncio.run(read(headers, receive, limit=LIMIT)))
    if found is None:
        return
    assert len(found) <= LIMIT
    assert found == (content if coding == b"identity" else zlib.decompress(content, 31 if coding == b"gzip" else 15))
    assert asks_for_stream(headers, found) in (True, False)
