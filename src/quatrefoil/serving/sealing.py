"""The way back: padding, receipt, encryption; whole, or in chunks as the answer comes.

Every answer to a request that opened has a receipt. A whole one is signed before a byte is sent. A stream's is its
trailer; where the stream breaks there is no end to it, and the receipt that says so goes to the log only.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Protocol

from quatrefoil import ohttp
from quatrefoil.audit.inference_receipts import AnswerCommitment, commit_answer, commit_request
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import EngineFailed, HostError
from quatrefoil.exchange import ServingPolicy
from quatrefoil.exchange.protocol import RECEIPT_FIELD
from quatrefoil.ohttp import Response, ResponseHead, ResponseSealer, StreamEncoder
from quatrefoil.ohttp.messages import Fields
from quatrefoil.serving.handler import EVENTS, Streamed, Traced
from quatrefoil.serving.opening import Opened
from quatrefoil.serving.places import NoPlace, Places
from quatrefoil.serving.receipts import Computed
from quatrefoil.serving.streams import batches

IN_THREAD = 1 << 20
"""Bytes from which on encryption and hashing leave the event loop: below, a thread costs more than it gives."""
BESIDE = 128 << 10
"""Bytes of a request from which on the commitment to it is made while it is being answered."""

_IN_HAND = 2
"""Receipts at once: one that is signed, and one that waits for the thread."""
_LONGEST_TURN_S = 60.0

Send = Callable[[bytes], Awaitable[None]]


class Issuer(Protocol):
    """Signs receipts, in a chain for each keyset. May be called in two threads."""

    def issue(
        self,
        request: bytes,
        answer: bytes,
        status: int,
        complete: bool,
        *,
        keyset: Keyset,
        computed: Computed | None = None,
    ) -> bytes: ...


class StreamBroke(Exception):
    """A streamed answer is not whole. ``cause``: what it broke by."""

    def __init__(self, cause: BaseException | None) -> None:
        super().__init__("the stream broke")
        self.cause = cause


class Sealing:
    """``signing``: one thread, for receipts that find another in hand: they are signed in the order of turns."""

    def __init__(self, issuer: Issuer, policy: ServingPolicy, signing: Executor) -> None:
        self._issuer = issuer
        self._policy = policy
        self._signing = signing
        # Refusals are signed too, and whoever sends a thousand requests has a thousand of them: parties take turns.
        self._turns = Places(_IN_HAND, policy.limits.connections + _IN_HAND)
        self._signed_here = False

    def prepare(self, opened: Opened) -> None:
        """Begin to commit to a large request: beside what answers it, and not after it."""
        if len(opened.content) >= BESIDE:
            opened.commitment = asyncio.ensure_future(_beside(opened))

    async def whole(self, opened: Opened, answer: Response) -> bytes:
        """The encapsulated response, in the form of the request. ``QuatrefoilError`` where there can be no receipt:
        then there is no answer."""
        request, status = await self._request(opened), answer.head.status
        computed = None
        if isinstance(answer, Traced) and answer.computed is not None:
            computed = await asyncio.to_thread(answer.computed, opened.response.salt, opened.held.keyset)
        if len(answer.content) < IN_THREAD:
            said = commit_answer(opened.response.salt, status, answer.content)
            return self._sealed(opened, answer, await self._issued(opened, request, said, status, True, computed))
        said = await asyncio.to_thread(commit_answer, opened.response.salt, status, answer.content)
        receipt = await self._issued(opened, request, said, status, True, computed)
        return await asyncio.to_thread(self._sealed, opened, answer, receipt)

    async def stream(self, opened: Opened, answer: Streamed, send: Send, *, ends: float) -> None:
        """Send an answer in chunks as it comes. ``ends``: on the loop's clock. ``StreamBroke`` where it is not whole:
        what was sent has no end then. Cancelled where the client has left; the log says in both cases how far it came.
        """
        status = answer.head.status
        commitment = AnswerCommitment(opened.response.salt, status)
        signed = asyncio.Event()
        try:
            async with asyncio.timeout_at(ends):
                await self._stream(opened, answer, commitment, send, signed)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raise StreamBroke(error) from None
        finally:
            if not signed.is_set():
                await asyncio.shield(asyncio.ensure_future(self._broken(opened, commitment.digest(), status)))

    async def _stream(
        self, opened: Opened, answer: Streamed, commitment: AnswerCommitment, send: Send, signed: asyncio.Event
    ) -> None:
        head = ResponseHead(answer.head.status, _without_receipt(answer.head.fields))
        encoder, sealer = StreamEncoder(head), ResponseSealer(opened.response)
        content = 0
        try:
            encoded = encoder.head()
            sent = len(encoded)
            await send(sealer.seal(encoded))
            parts = batches(answer.pieces, self._policy.stream, events=_is_events(head))
            try:
                async for part in parts:
                    content += len(part)
                    if content > self._policy.limits.answer_bytes:
                        raise EngineFailed("the answer is over the limit", hint="Ask for less")
                    commitment.update(part)
                    encoded = encoder.content(part)
                    sent += len(encoded)
                    await send(sealer.seal(encoded))
            finally:
                await parts.aclose()
            signed.set()  # one receipt only, whatever becomes of its last bytes
            receipt = await self._last(opened, commitment.digest(), head.status)
            trailers = ((RECEIPT_FIELD, base64.b64encode(receipt)),)
            last = encoder.end(trailers, padding=self._policy.answer_padding, sent=sent)
            await send(sealer.finish(last))
        finally:
            sealer.wipe()

    async def _request(self, opened: Opened) -> bytes:
        """The commitment to the request."""
        return _request_commitment(opened) if opened.commitment is None else await opened.commitment

    async def _last(self, opened: Opened, answer: bytes, status: int) -> bytes:
        """The receipt of a whole stream. All of its content has gone out: a client that leaves now, or time that is
        over, does not keep it off the record."""

        async def issued() -> bytes:
            return await self._issued(opened, await self._request(opened), answer, status, True)

        issuing = asyncio.ensure_future(issued())
        try:
            return await asyncio.shield(issuing)
        except asyncio.CancelledError:
            await asyncio.wait({issuing})
            issuing.result()
            raise

    async def _broken(self, opened: Opened, answer: bytes, status: int) -> None:
        await self._issued(opened, await self._request(opened), answer, status, False)

    async def _issued(
        self,
        opened: Opened,
        request: bytes,
        answer: bytes,
        status: int,
        complete: bool,
        computed: Computed | None = None,
    ) -> bytes:
        issue = functools.partial(
            self._issuer.issue, request, answer, status, complete, keyset=opened.held.keyset, computed=computed
        )
        if self._nobody_waits():
            return issue()
        try:
            turn = await self._turns.take(opened.party, time.monotonic() + _LONGEST_TURN_S)
        except NoPlace:
            raise HostError("receipts are not signed in time", hint="Tell who runs the server") from None
        try:
            return await asyncio.get_running_loop().run_in_executor(self._signing, issue)
        finally:
            turn.give_back()

    def _nobody_waits(self) -> bool:
        """Whether to sign in the event loop: no other receipt is in hand, and none was signed in this turn of the loop.

        To the thread and back is a system call, a change of threads and four turns of the loop, for work of half a
        millisecond. But one in each turn only, so that a party with a thousand refusals delays another by one.
        """
        if self._signed_here or self._turns.taken or self._turns.waiting:
            return False
        self._signed_here = True
        asyncio.get_running_loop().call_soon(self._turn_over)
        return True

    def _turn_over(self) -> None:
        self._signed_here = False

    def _sealed(self, opened: Opened, answer: Response, receipt: bytes) -> bytes:
        fields, trailers = _without_receipt(answer.head.fields), answer.trailers
        line = ((RECEIPT_FIELD, base64.b64encode(receipt)),)
        if not opened.chunked:
            head = ResponseHead(answer.head.status, (*fields, *line))
            encoded = ohttp.encode_response(
                Response(head, answer.content, trailers), padding=self._policy.answer_padding
            )
            return ohttp.seal_response(opened.response, encoded)
        encoder = StreamEncoder(ResponseHead(answer.head.status, fields))
        encoded = encoder.head() + encoder.content(answer.content)
        encoded += encoder.end((*trailers, *line), padding=self._policy.answer_padding, sent=len(encoded))
        return ResponseSealer(opened.response).finish(encoded)


async def gathered(answer: Streamed, limit: int) -> Response:
    """A streamed answer as a whole, for a request that was not in chunks; ``EngineFailed`` over ``limit`` bytes."""
    content = bytearray()
    async for piece in answer.pieces:
        content += piece
        if len(content) > limit:
            raise EngineFailed("the answer is over the limit", hint="Ask for less")
    return Response(answer.head, bytes(content))


async def _beside(opened: Opened) -> bytes:
    await asyncio.sleep(0)  # what computes the answer begins first
    return await asyncio.to_thread(_request_commitment, opened)


def _request_commitment(opened: Opened) -> bytes:
    """To method, path and content; to all that was decrypted, where that is no message."""
    if opened.request is None:
        return commit_request(opened.response.salt, b"", b"", opened.content)
    head = opened.request.head
    return commit_request(opened.response.salt, head.method, head.path, opened.request.content)


def _without_receipt(fields: Fields) -> Fields:
    """No handler puts a receipt of its own there."""
    return tuple((name, value) for name, value in fields if name.lower() != RECEIPT_FIELD)


def _is_events(head: ResponseHead) -> bool:
    kinds = [value for name, value in head.fields if name.lower() == b"content-type"]
    return bool(kinds) and kinds[0].partition(b";")[0].strip().lower() == EVENTS


__all__ = ["Issuer", "Sealing", "StreamBroke", "gathered"]
