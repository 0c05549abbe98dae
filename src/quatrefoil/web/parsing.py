"""h11, held to more than RFC 9112 asks: what two parsers could read differently is refused, not interpreted."""

from __future__ import annotations

import re
from typing import Any

import h11

from quatrefoil.web.limits import WebLimits

_TWO_READINGS = re.compile(rb"(?<!\r)\n|\n[ \t]")
"""Lines that end with LF alone, and folded ones (RFC 9112 sections 2.2 and 5.2): h11 takes both."""
_RAW = 2
"""Times the limit of header fields that they may have as bytes, with the spaces that h11 takes away."""
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([^\r]*?)[ \t]*\r", re.I)


class StrictConnection(h11.Connection):
    """A server's end. ``refusal``: the status for what was refused, set before ``RemoteProtocolError`` is raised."""

    def __init__(self, limits: WebLimits, *, busy: bool) -> None:
        """``busy``: there are too many connections, and every request of this one is told so."""
        # As much as may be in the end, so that pieces are not refused where the same bytes at once are not.
        super().__init__(h11.SERVER, _RAW * limits.header_bytes)
        self._limits = limits
        self._busy = busy
        self._body = 0
        self.refusal = 400

    @property
    def received(self) -> int:
        """Bytes of the present request's body."""
        return self._body

    @property
    def waiting(self) -> int:
        """Bytes that have come and are of no event yet."""
        return len(self._receive_buffer)

    def next_event(self) -> Any:
        idle, size = self.their_state is h11.IDLE, self.waiting
        # Not all that has come: with a large body that is most of it.
        before = bytes(self._receive_buffer._data[: _RAW * self._limits.header_bytes]) if idle else b""
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                self._body = 0
                head = size - self.waiting
                if head > len(before):
                    raise _refused("header fields over the limit", 431)
                self._check_bytes(before[:head])
                self._check(event)
            elif isinstance(event, h11.Data):
                self._body += len(event.data)
                if self._body > self._limits.body_bytes:
                    raise _refused("a body over the limit", 413)
            elif isinstance(event, h11.EndOfMessage) and _size(event.headers) > self._limits.header_bytes:
                raise _refused("trailers over the limit", 431)
        except h11.RemoteProtocolError as error:
            self.refusal = error.error_status_hint
            raise
        return event

    def _check_bytes(self, head: bytes) -> None:
        """What h11 has made one reading of."""
        if _TWO_READINGS.search(head):
            raise _refused("lines that can be read in two ways", 400)
        lengths = _LENGTH.findall(head)
        if len(lengths) > 1 or not all(map(bytes.isdigit, lengths)):
            raise _refused("more than one length", 400)

    def _check(self, request: h11.Request) -> None:
        if self._busy:
            raise _refused("too many connections", 503)
        if request.http_version != b"1.1":
            raise _refused("only HTTP/1.1 is spoken: it says where an answer ends", 505)
        if request.method == b"CONNECT":
            raise _refused("no tunnels", 501)
        # h11 looks at the whole only while a part of it is missing.
        if len(request.method) + len(request.target) + _size(request.headers) > self._limits.header_bytes:
            raise _refused("header fields over the limit", 431)
        names = {name for name, _ in request.headers}
        if {b"transfer-encoding", b"content-length"} <= names:  # RFC 9112 section 6.3: ought to be an error
            raise _refused("two lengths of one body", 400)
        lengths = [value for name, value in request.headers if name == b"content-length"]
        if lengths and int(lengths[0]) > self._limits.body_bytes:
            raise _refused("a body over the limit", 413)


def _size(headers: Any) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _refused(text: str, status: int) -> h11.RemoteProtocolError:
    return h11.RemoteProtocolError(text, error_status_hint=status)


__all__ = ["StrictConnection"]
