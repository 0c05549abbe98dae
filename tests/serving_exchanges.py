"""One request to a gateway on its way: in the clear, as everybody sees it, and sealed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from quatrefoil import ohttp
from quatrefoil.audit import inference_receipts
from quatrefoil.audit.inference_receipts import InferenceReceipt
from quatrefoil.enclave.binding import Keyset
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.ohttp import Request, Response
from quatrefoil.ohttp.chunked import REQUEST_TYPE as CHUNKED
from quatrefoil.ohttp.encapsulation import REQUEST_TYPE as WHOLE
from quatrefoil.web.guard import CutOff


@dataclass
class Outer:
    """What everybody on the way sees of an answer. ``pieces``: as they were sent."""

    status: int
    headers: dict[bytes, bytes]
    pieces: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers[b"content-type"] == b"application/problem+json"
        return dict(json.loads(self.content))


@dataclass(frozen=True)
class _Named:
    name: str


class Asked:
    """One outer request on its way: a test may let its client leave, or read slowly."""

    def __init__(
        self,
        app: Any,
        method: str,
        path: str,
        content: bytes | list[bytes],
        headers: list[tuple[bytes, bytes]],
        party: str,
    ) -> None:
        self.outer: Outer | None = None
        self.reads: asyncio.Event = asyncio.Event()
        self.reads.set()
        self.arrived = asyncio.Event()
        self._left = asyncio.Event()
        self._resumed = asyncio.Event()
        self._more = False
        """Whether more would come, after all that there is."""
        self._parts = [content] if isinstance(content, bytes) else list(content)
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "extensions": {"quatrefoil.peer": {"party": _Named(party)}} if party else {},
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    def leave(self) -> None:
        self._left.set()

    def resume(self) -> None:
        """There are more parts, of a body that was on its way."""
        self._resumed.set()

    async def answer(self) -> Outer:
        """What there is of an answer, whole or cut off."""
        with contextlib.suppress(CutOff):
            await self.task
        assert self.outer is not None
        return self.outer

    async def _receive(self) -> dict[str, Any]:
        if self._parts and not self._left.is_set():
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts) or self._more}
        ends = [asyncio.ensure_future(one.wait()) for one in (self._left, self._resumed)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for one in ends:
            one.cancel()
        if not self._left.is_set():
            self._resumed.clear()
            return await self._receive()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.outer = Outer(message["status"], dict(message["headers"]))
        elif message.get("body"):
            assert self.outer is not None
            self.outer.pieces.append(message["body"])
            self.arrived.set()


@dataclass
class Opened:
    response: Response
    receipt: InferenceReceipt

    @property
    def status(self) -> int:
        return self.response.head.status

    @property
    def content(self) -> bytes:
        return self.response.content

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def field(self, name: bytes) -> bytes:
        (value,) = (value for one, value in self.response.head.fields if one == name)
        return value


@dataclass
class Sealed:
    """An encapsulated request, and what opens its response."""

    content: bytes
    kind: str
    keyset: Keyset
    request: Request | bytes
    response: ohttp.ResponseKeys
    chunked: bool

    @classmethod
    def of(cls, request: Request | bytes, keyset: Keyset, policy: ServingPolicy, *, chunked: bool) -> Sealed:
        padding = policy.request_padding
        encoded = request if isinstance(request, bytes) else ohttp.encode_request(request, padding=padding)
        configuration = protocol.configuration(keyset)
        if not chunked:
            content, response = ohttp.seal_request(configuration, encoded)
            return cls(content, WHOLE, keyset, request, response, chunked)
        sealer = ohttp.RequestSealer(configuration)
        return cls(sealer.finish(encoded), CHUNKED, keyset, request, sealer.response, chunked)

    def plain(self, outer: Outer) -> bytes:
        """The binary HTTP message of the answer; ``MessageRefused`` where it was cut off."""
        if not self.chunked:
            assert outer.headers[b"content-type"] == b"message/ohttp-res"
            return ohttp.open_response(self.response, outer.content)
        assert outer.headers[b"content-type"] == b"message/ohttp-chunked-res"
        opener = ohttp.ResponseOpener(self.response, limit=64 << 20)
        return b"".join([*opener.feed(outer.content), opener.finish()])

    def open(self, outer: Outer) -> Opened:
        salt = self.response.salt
        response = ohttp.decode_response(self.plain(outer))
        fields = response.trailers if self.chunked else response.head.fields
        (encoded,) = (value for name, value in fields if name == protocol.RECEIPT_FIELD)
        receipt = inference_receipts.verify(base64.b64decode(encoded), self.keyset)
        if isinstance(self.request, Request):
            head = self.request.head
            said = inference_receipts.commit_request(salt, head.method, head.path, self.request.content)
        else:
            said = inference_receipts.commit_request(salt, b"", b"", self.request)
        answered = inference_receipts.commit_answer(salt, response.head.status, response.content)
        assert (receipt.request, receipt.answer, receipt.status) == (said, answered, response.head.status)
        assert receipt.complete
        return Opened(response, receipt)
