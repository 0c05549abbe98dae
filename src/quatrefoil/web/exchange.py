"""One request and its answer at a client: how long it waits for what, and what errors of aiohttp are called here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator

import aiohttp

from quatrefoil.errors import CallerError, MessageRefused, PeerError, PeerUnreachable
from quatrefoil.transport import HandshakeRefused
from quatrefoil.web.limits import ClientLimits

_ONCE = "It was not sent again by itself, and whether the server has taken it is not known"


class Exchange:
    """``place``: where it goes, for messages. ``sent``: whether all of a streamed request is on its way.

    ``patience``: the time-out that runs until the answer has begun.
    """

    def __init__(self, place: str, limits: ClientLimits) -> None:
        self.place = place
        self.limits = limits
        self.sent = True
        self.patience: asyncio.Timeout | None = None
        self._failed: Exception | None = None

    async def paced(self, content: AsyncIterable[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
        """``content``, of which the server has ``idle_seconds`` for each piece; ours takes what time it takes."""
        self.sent = False
        try:
            self._wait(None)
            async for piece in content:
                self._wait(self.limits.idle_seconds)
                yield piece
                self._wait(None)
        except Exception as error:
            self._failed = error
            raise
        self.sent = True
        self._wait(self.limits.answer_seconds)

    def _wait(self, seconds: float | None) -> None:
        if self.patience is not None:
            self.patience.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)

    @contextlib.asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """``PeerUnreachable`` after so long."""
        try:
            async with asyncio.timeout(seconds) as patience:
                yield
        except TimeoutError:
            if not patience.expired():
                raise
            raise self._silent(f"took longer than {seconds:g} s") from None

    @contextlib.contextmanager
    def telling(self, silence: str) -> Iterator[None]:
        """Raise what is aiohttp's as ours. ``silence``: what the peer did where it took too long."""
        try:
            yield
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if self._failed is not None:  # what was to be sent could not be had
                raise self._failed from None
            raise self._named(error, silence) from None

    def _named(self, error: Exception, silence: str) -> PeerError | CallerError:
        if (refusal := _refusal(error)) is not None:
            return refusal
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return PeerUnreachable(
                f"no connection with {self.place} within {self.limits.connect_seconds:g} s",
                hint="Check the address, and whether the server is running",
            )
        if isinstance(error, TimeoutError):
            return self._silent(silence)
        if isinstance(error, aiohttp.ClientConnectorError):
            reason = error.os_error.strerror or "no connection"
            return PeerUnreachable(
                f"{self.place} cannot be reached ({reason})",
                hint="Check the address, and whether the server is running",
            )
        if isinstance(error, aiohttp.ClientResponseError):
            return MessageRefused(
                f"what {self.place} answers is not HTTP, or its header fields are over the limit",
                hint="Check the address and the port",
            )
        if isinstance(error, aiohttp.ClientPayloadError):
            return PeerUnreachable(f"the answer of {self.place} broke off", hint=_ONCE)
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            return CallerError("this is no HTTP request", hint="Check its method, path and header fields")
        return PeerUnreachable(f"{self.place} ended the connection before it answered", hint=_ONCE)

    def _silent(self, what: str) -> PeerUnreachable:
        return PeerUnreachable(f"{self.place} {what}", hint=_ONCE)


def _refusal(error: BaseException | None) -> PeerError | None:
    """What our TLS refused, however deep it is."""
    while error is not None:
        if isinstance(error, HandshakeRefused):
            return error.refusal
        error = error.__cause__ or error.__context__
    return None


__all__ = ["Exchange"]
