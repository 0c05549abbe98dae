"""What stands between an application and its connection: an exception becomes a 500 with a fixed text, and of it only
class and place are told, since texts of exceptions quote what was computed with. Long answers are handed on in pieces,
so that a slow reader holds the application back and not the memory.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
ASGI: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An application after the ASGI specification, version 3."""

PIECE = 64 << 10
_FRAMES = 8
CLOSE = (b"connection", b"close")


@dataclass(frozen=True)
class Fault:
    """An exception that should not have been, or an answer that was not given or not ended. ``kind``: the exception's
    class, or ``NoAnswer`` or ``HalfAnswer``. ``place``: lines of code, the innermost first."""

    kind: str
    place: str

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        return cls(type(error).__name__, " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames[::-1]))

    def __str__(self) -> str:
        return f"{self.kind} at {self.place or 'an unknown place'}"


OnFault: TypeAlias = Callable[[Fault], None]


class CutOff(Exception):
    """Raised by an application that cannot go on with its answer: the reader is to know that it is not whole."""


def log_fault(fault: Fault) -> None:
    """To the logger ``quatrefoil.web``, as an error."""
    logging.getLogger("quatrefoil.web").error("%s", fault)


class Outlet(Protocol):
    """What a guard needs of a connection."""

    @property
    def leaving(self) -> bool:
        """Whether this answer is to be the last on its connection."""

    @property
    def blocked(self) -> bool:
        """Whether the reader has to take something before more can be written."""

    @property
    def gone(self) -> bool:
        """Whether the client has left, or its request was refused."""

    def fault(self, fault: Fault) -> None: ...

    def cut(self) -> None:
        """End the connection after what has been written: no answer that has begun is whole."""

    def abort(self) -> None:
        """End it at once."""


class Guard:
    """``app``, for the requests of one connection. ``extensions`` are added to the scope of each."""

    def __init__(self, app: ASGI, outlet: Outlet, extensions: dict[str, Any]) -> None:
        self._app = app
        self._outlet = outlet
        self._extensions = extensions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send, self._outlet)
        scope["extensions"] = scope.get("extensions", {}) | self._extensions
        try:
            await self._app(scope, receive, answer.send)
        except asyncio.CancelledError:  # the server's time is over
            if self._outlet.blocked:
                self._outlet.abort()
            elif answer.begun:
                self._outlet.cut()
            else:
                await answer.instead(503, b"the server is going away\n")
        except CutOff:
            await self._break_off(answer)
        except Exception as error:
            self._outlet.fault(Fault.of(error))
            await self._break_off(answer)
        else:
            if not answer.ended and not self._outlet.gone:
                self._outlet.fault(Fault("HalfAnswer" if answer.begun else "NoAnswer", ""))
                await self._break_off(answer)

    async def _break_off(self, answer: _Answer) -> None:
        if answer.begun:
            self._outlet.cut()
        else:
            await answer.instead(500, b"internal error\n")


class _Answer:
    def __init__(self, send: Send, outlet: Outlet) -> None:
        self._send = send
        self._outlet = outlet
        self.begun = False
        self.ended = False

    async def send(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            headers = list(event.get("headers", ()))
            if self._outlet.leaving and CLOSE not in headers:
                headers.append(CLOSE)
            self.begun = True
            await self._send({**event, "headers": headers})
            return
        body, more = event.get("body", b""), event.get("more_body", False)
        last = max(0, len(body) - 1) // PIECE * PIECE
        for start in range(0, last, PIECE):
            await self._send({"type": event["type"], "body": body[start : start + PIECE], "more_body": True})
        await self._send({"type": event["type"], "body": body[last:] if last else body, "more_body": more})
        self.ended = not more

    async def instead(self, status: int, text: bytes) -> None:
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text)), CLOSE]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": text})


__all__ = ["ASGI", "CLOSE", "CutOff", "Event", "Fault", "Guard", "OnFault", "Receive", "Scope", "Send", "log_fault"]
