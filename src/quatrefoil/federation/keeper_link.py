"""The aggregator's side of the keeper: questions over a channel that is made again when it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from quatrefoil.errors import HostError, PeerUnreachable
from quatrefoil.federation.rpc import FIRST_PAUSE, ask_async, longer
from quatrefoil.transport import AsyncChannel, Party
from quatrefoil.wire import LARGEST_MESSAGE

Result = TypeVar("Result")
Dial = Callable[[], Awaitable[AsyncChannel]]


class KeeperLink:
    """Every question may be repeated, and is, for a keeper that is away: at most ``give_up`` seconds for each."""

    def __init__(self, dial: Dial, give_up: float, report: Callable[[str], None]) -> None:
        self._dial = dial
        self._give_up = give_up
        self._report = report
        self._channel: AsyncChannel | None = None

    async def peer(self) -> Party:
        """Who the keeper is, as certified."""
        return (await self._trying(self._connected)).peer

    async def ask(self, method: str, body: bytes) -> bytes:
        """The keeper's answer, or the error that it raised; ``HostError`` when it stays away."""

        async def once() -> bytes:
            answer = await ask_async(await self._connected(), method, body, limit=LARGEST_MESSAGE)
            if answer is None:
                raise PeerUnreachable("the keeper has no answer yet", hint="Ask again")
            return answer

        return await self._trying(once)

    async def close(self) -> None:
        """Say goodbye. The next question makes a new channel."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _connected(self) -> AsyncChannel:
        if self._channel is None or self._channel.due:
            fresh = await self._dial()
            await self.close()  # between two questions, so that none is lost
            self._channel = fresh
        return self._channel

    async def _trying(self, action: Callable[[], Awaitable[Result]]) -> Result:
        time = asyncio.get_running_loop().time
        end, pause = time() + self._give_up, FIRST_PAUSE
        while True:
            try:
                return await action()
            except PeerUnreachable as error:
                await self.close()
                if time() > end:
                    raise HostError(
                        f"the keeper does not answer ({error.problem})", hint="Start it again on its own state"
                    ) from None
                if pause == FIRST_PAUSE:
                    self._report(f"the keeper does not answer ({error.problem}): trying again")
                await asyncio.sleep(pause)
                pause = longer(pause)
