"""What answers a request once the gateway has opened it: an engine, or an upstream. The gateway seals what it gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import QuatrefoilError
from quatrefoil.ohttp import Request, Response, ResponseHead
from quatrefoil.serving.receipts import Computed

EVENTS = b"text/event-stream"


@dataclass(frozen=True)
class Caller:
    """Who asks, and until when.

    ``tenant``: the certified name of the other end of the channel: the client's, or that of the relay before it.
    ``cache_salt``: what was computed may be used again for requests with the same salt only; it comes from no request.
    ``deadline``: on the clock of ``time.monotonic``; the answer has begun by then, or is not waited for.
    """

    tenant: str
    cache_salt: str
    deadline: float


@dataclass(frozen=True, repr=False)
class Streamed:
    """An answer in parts. Where ``head`` says that it is ``text/event-stream``, each piece is whole events.

    Whatever ``pieces`` raises cuts the answer off: the client is told that it is not whole, and not why. It is closed
    (``aclose``) when nobody waits for more.
    """

    head: ResponseHead
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, repr=False)
class Traced(Response):
    """An answer whose receipt commits to what was computed. ``computed``: of the exchange's salt and keyset; takes
    some time."""

    computed: Callable[[bytes, Keyset], Computed] | None = None


class Handler(Protocol):
    """May be asked for several answers at once, in one event loop.

    Nothing that it raises, logs or writes holds content of a request or an answer.
    """

    @property
    def name(self) -> str:
        """What it serves, for people."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it would answer now."""
        ...

    async def answer(self, request: Request, caller: Caller) -> Response | Streamed:
        """The answer. ``RequestRefused`` and ``EngineFailed`` become answers with their status, everything else 500
        with a fixed text.

        May be cancelled, and then ends once what it started has ended: its place is given to another request then.
        """
        ...

    def refusal(self, status: int, error: QuatrefoilError) -> Response:
        """An error in the form of the protocol that is spoken here. Only errors whose text this package wrote are
        passed in, and those hold no content."""
        ...

    async def close(self) -> None:
        """Let go of what computes."""
        ...


__all__ = ["EVENTS", "Caller", "Handler", "Streamed", "Traced"]
