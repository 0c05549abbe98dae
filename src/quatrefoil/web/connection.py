"""One connection of a server: uvicorn's protocol over h11, with the limits that it lacks.

Every connection is at any time in one phase, and a phase that a peer can prolong has a deadline: the header fields of a
request, its body, the time between two requests, what waits of an answer, and the end. What uvicorn would log goes
nowhere: it quotes exceptions.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from quatrefoil.transport.ssl_context import HybridObject
from quatrefoil.web.guard import ASGI, CLOSE, Fault, Guard, OnFault
from quatrefoil.web.limits import WebLimits
from quatrefoil.web.parsing import StrictConnection

_LINGER_SECONDS = 2.0
"""In which the rest of a request that was refused is read and dropped: closing at once would reset the connection, and
its peer might never see why (RFC 9112 section 9.6)."""

_TOGETHER = 16 << 10
"""Bytes that wait for the end of a turn of the event loop: one record of TLS."""

_SILENT = logging.Logger("quatrefoil.web.uvicorn", logging.CRITICAL + 1)
_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}


class Serving(ServerState):
    """What the connections of a server share."""

    def __init__(self, app: ASGI, limits: WebLimits, on_fault: OnFault) -> None:
        self._dated = 0, b""
        super().__init__()
        self.app = app
        self.limits = limits
        self.on_fault = on_fault
        self.draining = False

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The date (RFC 9110 section 6.6.1), which is the server's to say."""
        now = int(time.time())
        if self._dated[0] != now:
            self._dated = now, formatdate(now, usegmt=True).encode()
        return [(b"date", self._dated[1])]

    @default_headers.setter
    def default_headers(self, _: list[tuple[bytes, bytes]]) -> None:
        pass  # the base class begins with none


class _Phase(enum.Enum):
    HEAD = "the header fields of a request are awaited"
    BODY = "its body is"
    ANSWER = "the application has it"
    IDLE = "the next request may come"
    ENDING = "what is written is still to be taken"


class _Flow(FlowControl):
    """Counts the seconds in which the application took nothing, and says when the reader takes nothing."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop, on_blocked: Callable[[bool], None]) -> None:
        super().__init__(transport)
        self._loop = loop
        self._on_blocked = on_blocked
        self._since = 0.0
        self._paused = 0.0

    @property
    def paused(self) -> float:
        return self._paused + (self._loop.time() - self._since if self.read_paused else 0.0)

    def pause_reading(self) -> None:
        if not self.read_paused:
            self._since = self._loop.time()
        super().pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused:
            self._paused += self._loop.time() - self._since
        super().resume_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._on_blocked(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._on_blocked(False)


class _Transport:
    """The transport as uvicorn sees it: its ``close`` is ours, and what is written in one turn of the event loop goes
    out together. A head by itself would be a record, a system call, and a turn of the reader's loop."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, close: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._close = close
        self._closed = False
        self._held: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not data:
            return
        self._held.append(data)
        self._size += len(data)
        if self._size > _TOGETHER:  # whoever writes more is told now whether the reader takes it
            self.flush()
        elif len(self._held) == 1:
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        held, self._held, self._size = self._held, [], 0
        if held:
            self._transport.write(b"".join(held))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.flush()
            self._close()

    def is_closing(self) -> bool:
        return self._closed or self._transport.is_closing()


class Connection(H11Protocol):
    """``busy``: one connection too many. ``on_lost`` hears of its end."""

    def __init__(self, config: Config, serving: Serving, *, busy: bool, on_lost: Callable[[], None]) -> None:
        super().__init__(config, serving, {}, asyncio.get_running_loop())
        self.logger = self.access_logger = _SILENT
        self.access_log = False
        self.conn: StrictConnection = StrictConnection(serving.limits, busy=busy)
        self._serving = serving
        self._limits = serving.limits
        self._on_lost = on_lost
        self._tls: HybridObject | None = None
        self._raw: asyncio.Transport | None = None
        self._phase: tuple[_Phase, object] = (_Phase.ANSWER, None)
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._dropping = False
        self._began = 0.0

    # ---------------------------------------------------------------------------------- what the event loop calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._raw = transport
        super().connection_made(_Transport(transport, self.loop, self._finish))  # type: ignore[arg-type]
        transport.set_write_buffer_limits(high=self._limits.write_bytes)
        self.flow = _Flow(self.transport, self.loop, self._blocked)
        self._tls = transport.get_extra_info("ssl_object")
        peer = {} if self._tls is None else {"quatrefoil.peer": {"party": self._tls.peer}}
        self.app = Guard(self._serving.app, self, peer)
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._dropping:
            return
        try:
            super().data_received(data)
            self._watch()
        except Exception as error:  # a fault of ours: asyncio would log its text
            self.fault(Fault.of(error))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        for timer in (self._timer, self._stalled):
            if timer is not None:
                timer.cancel()
        self._on_lost()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()
        self._watch()

    # -------------------------------------------------------------------------------------- what the guard asks of us

    @property
    def leaving(self) -> bool:
        return self._serving.draining or (self._tls is not None and self._tls.due)

    @property
    def blocked(self) -> bool:
        return self.flow.write_paused

    @property
    def gone(self) -> bool:
        return self.transport.is_closing() or bool(self.cycle.disconnected)

    def fault(self, fault: Fault) -> None:
        self._serving.on_fault(fault)

    def cut(self) -> None:
        """HTTP/1.1 says where an answer ends: one that has not ended is seen to be cut."""
        self.transport.close()

    def abort(self) -> None:
        if self._raw is not None:
            self._raw.abort()

    # ---------------------------------------------------------------------------------------------- phases, deadlines

    def _current(self) -> _Phase:
        if self.transport.is_closing():
            return _Phase.ENDING
        if self.conn.their_state is h11.IDLE:
            fresh = self.cycle is None or self.conn.waiting
            return _Phase.HEAD if fresh else _Phase.IDLE
        return _Phase.BODY if self.conn.their_state is h11.SEND_BODY else _Phase.ANSWER

    def _watch(self) -> None:
        """Set the deadline of the phase, where it has changed."""
        phase = self._current(), self.cycle
        if phase == self._phase:
            return
        self._phase = phase
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        limits = self._limits
        if phase[0] is _Phase.HEAD:
            self._timer = self.loop.call_later(limits.header_seconds, self._refuse, 408)
        elif phase[0] is _Phase.BODY:
            self._began = self.loop.time() - self.flow.paused  # type: ignore[attr-defined]
            self._timer = self.loop.call_later(limits.header_seconds, self._pace)
        elif phase[0] is _Phase.IDLE:
            seconds = limits.drain_idle_seconds if self._serving.draining else limits.idle_seconds
            self._timer = self.loop.call_later(seconds, self.transport.close)
        elif phase[0] is _Phase.ENDING:
            self._timer = self.loop.call_later(limits.write_seconds, self.abort)

    def drain(self) -> None:
        """The server is: close soon where no request is under way."""
        if self._phase[0] is _Phase.IDLE:
            self._phase = _Phase.ANSWER, None
            self._watch()

    def close_unasked(self) -> None:
        """Close now where no request is in hand."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _pace(self) -> None:
        now = self.loop.time()
        spent = now - self.flow.paused - self._began  # type: ignore[attr-defined]
        limits = self._limits
        allowed = min(limits.body_seconds, limits.header_seconds + self.conn.received / limits.body_rate)
        waits = self.flow.read_paused or self.conn.they_are_waiting_for_100_continue  # for the application
        if self.conn.they_are_waiting_for_100_continue:
            self._began = now - self.flow.paused  # type: ignore[attr-defined]
        if waits or spent < allowed:
            again = limits.header_seconds if waits else allowed - spent
            self._timer = self.loop.call_later(max(again, 0.01), self._pace)
        else:
            self._refuse(408)

    def _blocked(self, yes: bool) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        if yes:
            self._stalled = self.loop.call_later(self._limits.write_seconds, self.abort)

    # ----------------------------------------------------------------------------------------------- refusals, the end

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # the base class's words
        self._refuse(self.conn.refusal)

    def _refuse(self, status: int) -> None:
        """Answer ``status``, where an answer has not begun; tell the application that its client left; close."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [*self._serving.default_headers, (b"content-length", b"0"), CLOSE]
            if status == 503:
                headers.append((b"retry-after", b"1"))
            reason = _REASONS.get(status, b"")
            self.transport.write(
                self.conn.send(h11.Response(status_code=status, headers=headers, reason=reason)) or b""
            )
            self.transport.write(self.conn.send(h11.EndOfMessage()) or b"")
            self.transport.close()
        else:
            self.abort()

    def _finish(self) -> None:
        """Close, once the rest of a request that nobody wants has been dropped."""
        assert self._raw is not None
        state = self.conn.their_state
        begun = state in (h11.SEND_BODY, h11.ERROR) or (state is h11.IDLE and self.conn.waiting)
        if begun and not self._raw.is_closing():
            self._dropping = True
            if self._raw.can_write_eof():
                self._raw.write_eof()
            self._raw.resume_reading()
            self.loop.call_later(_LINGER_SECONDS, self._raw.close)
        else:
            self._raw.close()
        self._watch()


__all__ = ["Connection", "Serving"]
