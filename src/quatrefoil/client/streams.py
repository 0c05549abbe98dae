"""An answer that is read as it comes."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Self

from quatrefoil.client.answers import Headers, refused
from quatrefoil.client.exchanges import StreamExchange
from quatrefoil.client.receipts import Receipt, Verifier, without_receipt
from quatrefoil.errors import CallerError, MessageRefused, PeerUnreachable

Received = Callable[[Receipt], Awaitable[None]]


class AsyncStream:
    """The answer to one request, in parts. Each part is authentic and in its place; that they are all of the answer is
    known once ``receipt`` is there: ``whole``. An iteration that ends without raising has set it.
    """

    def __init__(
        self,
        exchange: StreamExchange,
        pieces: AsyncIterator[bytes],
        verifier: Verifier,
        received: Received,
        ends: float,
    ) -> None:
        """``ends``: on the loop's clock. Made by :meth:`begin`."""
        self._exchange = exchange
        self._pieces = pieces
        self._verifier = verifier
        self._received = received
        self._late = False
        self._waiting: asyncio.Task[object] | None = None
        # One timer for the stream: one for each part would cost as much as opening it.
        self._timer = asyncio.get_running_loop().call_at(ends, self._expire)
        self._first: list[bytes] = []
        self._over = False
        self._reading = False
        self._receipt: Receipt | None = None
        self._content: bytes | None = None
        self.status = 0
        self.headers = Headers(())

    @classmethod
    async def begin(
        cls,
        exchange: StreamExchange,
        pieces: AsyncIterator[bytes],
        verifier: Verifier,
        received: Received,
        ends: float,
    ) -> Self:
        """The stream once its head is there."""
        stream = cls(exchange, pieces, verifier, received, ends)
        while exchange.head is None and not stream._over:
            stream._first += await stream._more()
        assert exchange.head is not None  # the end of a stream without a head is refused
        stream.status = exchange.head.status
        stream.headers = Headers(without_receipt(exchange.head.fields))
        return stream

    @property
    def whole(self) -> bool:
        """Whether everything has come, and its receipt holds. Before that, what was given out is a beginning."""
        return self._receipt is not None

    @property
    def receipt(self) -> Receipt:
        """The receipt over all of it; ``CallerError`` where the stream was not read to its end."""
        if self._receipt is None:
            raise CallerError("the answer is not whole: its receipt comes at its end", hint="Read it to the end first")
        return self._receipt

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def raise_for_status(self) -> Self:
        """This stream if its status is of success; otherwise ``RequestRefused``, with the reason if it was read."""
        if not self.is_success:
            raise refused(self.status, self.headers, self._content or b"")
        return self

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Content as it comes. Raises where it breaks off, or its receipt does not hold."""
        self._start()
        first, self._first = self._first, []
        for part in first:
            yield part
        while not self._over:
            for part in await self._more():
                yield part
        if self._receipt is None:  # left, while somebody was still to read it
            raise CallerError("the answer was left before its end, and is not whole", hint="Read it within its context")

    async def iter_lines(self) -> AsyncIterator[str]:
        """Lines of UTF-8, without their ends (LF, CR LF or CR), as ``text/event-stream`` has them."""
        lines = Lines()
        async for part in self.iter_bytes():
            for line in lines.feed(part):
                yield line
        for line in lines.finish():
            yield line

    async def read(self) -> bytes:
        """All of the content, once it is whole."""
        if self._content is None:
            self._content = b"".join([part async for part in self.iter_bytes()])
        return self._content

    def abandon(self) -> None:
        """Nothing more is read: the keys are wiped."""
        self._end()
        self._exchange.wipe()

    async def _more(self) -> list[bytes]:
        """What came next; at the end the last of it, after the receipt has been verified."""
        try:
            piece = await self._pulled()
            if piece is not None:
                return self._exchange.feed(piece)
            self._end()
            found, receipt = self._exchange.finish(self._verifier)
            await self._received(receipt)
            self._receipt = receipt
            return found
        except TimeoutError:
            self.abandon()
            raise PeerUnreachable(
                "the answer had not ended in the time that the policy gives it", hint="What came before is not whole"
            ) from None
        except BaseException:
            self.abandon()
            raise

    async def _pulled(self) -> bytes | None:
        """The next piece, None at the end; ``TimeoutError`` where the time is over."""
        if self._late:
            raise TimeoutError
        self._waiting = asyncio.current_task()
        try:
            return await anext(self._pieces, None)
        except asyncio.CancelledError:
            if self._late and self._waiting is not None and self._waiting.uncancel() <= 0:
                raise TimeoutError from None
            raise  # somebody else had the task cancelled
        finally:
            self._waiting = None

    def _expire(self) -> None:
        self._late = True
        if self._waiting is not None:
            self._waiting.cancel()

    def _end(self) -> None:
        self._over = True
        self._timer.cancel()

    def _start(self) -> None:
        if self._reading:
            raise CallerError("the answer has been read, or is being read", hint="Iterate once, and keep what comes")
        self._reading = True

    def __repr__(self) -> str:
        return f"<AsyncStream {self.status}, {'whole' if self.whole else 'not whole'}>"


class Lines:
    """Lines out of pieces of UTF-8, wherever those are cut."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._held = ""

    def feed(self, data: bytes) -> Iterator[str]:
        yield from self._lines(self._decoded(data, final=False), final=False)

    def finish(self) -> Iterator[str]:
        """What is left, if it is not empty."""
        yield from self._lines(self._decoded(b"", final=True), final=True)

    def _decoded(self, data: bytes, *, final: bool) -> str:
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError:
            pass
        # Outside of the handler: that error quotes content.
        raise MessageRefused("the answer is not UTF-8", hint="Read its bytes instead")

    def _lines(self, text: str, *, final: bool) -> Iterator[str]:
        text = self._held + text
        if not final and text.endswith("\r"):
            whole, self._held = text[:-1], "\r"  # LF may follow
        else:
            whole, self._held = text, ""
        *lines, last = whole.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._held = last + self._held
        yield from lines
        if final and self._held:
            last, self._held = self._held, ""
            yield last


__all__ = ["AsyncStream", "Lines"]
