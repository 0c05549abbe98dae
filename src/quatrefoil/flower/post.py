"""Flower's grid under asyncio: messages out, each with the reply to it, and the nodes that are there.

The grid answers questions of one thread at a time and blocks; here every question runs in a thread, in turn. One loop
pulls the replies of all messages that are under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from quatrefoil.errors import DependencyMissing, PeerUnreachable

try:
    from flwr.app import Message, RecordDict
    from flwr.serverapp import Grid
except ImportError:
    raise DependencyMissing("flwr is not installed", hint="pip install 'quatrefoil[flower]'") from None

GLANCE = 0.2
"""Seconds between two looks for replies."""

_MOST_REASON = 200

Result = TypeVar("Result")


class Post:
    """``async with``: pulls replies until it is left. ``ttl``: seconds after which Flower drops a message."""

    def __init__(self, grid: Grid, ttl: float) -> None:
        self._grid = grid
        self._ttl = ttl
        self._turn = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._pulling: asyncio.Task[None] | None = None

    @property
    def run(self) -> int:
        """The run that the messages belong to."""
        return int(self._grid.run.run_id)

    async def nodes(self) -> set[int]:
        """The nodes that the SuperLink takes for alive."""
        return set(await self._ask(self._grid.get_node_ids))

    async def exchange(self, node: int, content: RecordDict, kind: str, group: str) -> RecordDict:
        """The content of the reply, or ``PeerUnreachable`` where Flower has none."""
        message = Message(content, node, kind, ttl=self._ttl, group_id=group)
        pushed = list(await self._ask(self._grid.push_messages, [message]))
        if not pushed or pushed[0] is None:
            raise PeerUnreachable("the SuperLink did not take a message", hint="See its output")
        waiting = self._waiting[pushed[0]] = asyncio.get_running_loop().create_future()
        try:
            reply = await waiting
        finally:
            self._waiting.pop(pushed[0], None)
        if reply.has_error():
            reason = " ".join((reply.error.reason or "no reason").split())[:_MOST_REASON]
            raise PeerUnreachable(
                f"node {node} did not reply (Flower's error {reply.error.code}: {reason})",
                hint="See the output of that SuperNode",
            )
        return reply.content

    async def __aenter__(self) -> Post:
        self._pulling = asyncio.create_task(self._pull())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._pulling is not None
        self._pulling.cancel()
        await asyncio.gather(self._pulling, return_exceptions=True)

    async def _pull(self) -> None:
        while True:
            await asyncio.sleep(GLANCE)
            if not self._waiting:
                continue
            try:
                replies = await self._ask(self._grid.pull_messages, list(self._waiting))
            except PeerUnreachable:
                continue  # the SuperLink is away: the messages are still there when it is back
            for reply in replies:
                waiting = self._waiting.get(reply.metadata.reply_to_message_id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)

    async def _ask(self, method: Callable[..., Result], *arguments: Any) -> Result:
        async with self._turn:
            try:
                return await asyncio.to_thread(method, *arguments)
            except Exception as error:  # of the HTTP library below, which Flower does not name
                raise PeerUnreachable(
                    f"the SuperLink cannot be asked ({type(error).__name__}: {error})", hint="See its output"
                ) from None


__all__ = ["Post"]
