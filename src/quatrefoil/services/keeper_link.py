"""The aggregator's side of the keeper: questions over a channel that is made again when it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import HostError, MessageRefused, PeerUnreachable
from quatrefoil.federation.messages import Introduction, Member
from quatrefoil.services.rpc import FIRST_PAUSE, ask_async, jittered, longer
from quatrefoil.transport import AsyncChannel
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
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Why the keeper cannot be asked now, as far as the last question has seen; None while it can."""
        return self._problem

    async def introduce(self, security: TransportSecurity, nonce: bytes) -> Member:
        """Who the keeper is in a job: by the certificate that it signs with, which is older than that of its channel
        when its key has been renewed meanwhile. ``MessageRefused`` when it introduces anybody else."""
        statement = security.verify(await self.ask("introduce", nonce))
        peer = (await self._trying(self._connected)).peer
        if (statement.signer, statement.role) != (peer.name, "keeper"):
            raise MessageRefused(
                f"keeper {peer.name} introduces itself as {statement.role} {statement.signer}",
                hint="Ask its operator which identity it was started with",
                party=peer.name,
            )
        if Introduction.decode(statement.body).nonce != nonce:
            raise MessageRefused(
                f"keeper {peer.name} introduces itself to another", hint="Ask its operator", party=peer.name
            )
        return Member(statement.signer, statement.fingerprint, 0)

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
                found = await action()
                self._problem = None
                return found
            except PeerUnreachable as error:
                self._problem = error.problem
                await self.close()
                if time() > end:
                    raise HostError(
                        f"the keeper does not answer ({error.problem})", hint="Start it again on its own state"
                    ) from None
                if pause == FIRST_PAUSE:
                    self._report(f"the keeper does not answer ({error.problem}): trying again")
                await asyncio.sleep(jittered(pause))
                pause = longer(pause)
