"""A streamed answer cut into what goes out together, and filled up, as the serving policy says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator

from quatrefoil.exchange import Stream
from quatrefoil.ohttp import Batcher, Batching, Buckets, pad_events


async def batches(pieces: AsyncIterator[bytes], policy: Stream, *, events: bool) -> AsyncGenerator[bytes]:
    """What to send, each at its time. ``events``: each piece is whole events of ``text/event-stream``, and is filled.

    With a window, what came in it goes out at its end; where nothing came a cover goes out, if events are filled.
    Raises what ``pieces`` raises; what was held back then is not sent.
    """
    filled = Buckets((policy.event_bytes,)) if events and policy.event_bytes else None
    if not policy.window_ms:
        async for piece in pieces:
            if piece:
                yield pad_events(piece, filled) if filled else piece
        return
    batcher = Batcher(Batching(policy.window_ms / 1000), now=time.monotonic())
    waited = asyncio.ensure_future(anext(pieces))
    try:
        while True:
            due = batcher.deadline or 0.0
            await asyncio.wait({waited}, timeout=max(0.0, due - time.monotonic()))
            if (now := time.monotonic()) >= due:
                batch = batcher.due(now)
                if batch or (filled and batch is not None):
                    yield pad_events(batch, filled) if filled else batch
            if waited.done():
                try:
                    batcher.add(waited.result())
                except StopAsyncIteration:
                    break
                waited = asyncio.ensure_future(anext(pieces))
        if last := batcher.flush():
            await asyncio.sleep(max(0.0, (batcher.deadline or 0.0) - time.monotonic()))
            yield pad_events(last, filled) if filled else last
    finally:
        waited.cancel()
        with contextlib.suppress(BaseException):
            await waited


__all__ = ["batches"]
