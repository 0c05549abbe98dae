"""Code that keeps a key as long as a broker lets it: renews in time, and is without it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from quatrefoil import attested
from quatrefoil.audit.leases import Lease
from quatrefoil.broker.holder import Holder
from quatrefoil.errors import ChannelRefused, HostError, PeerUnreachable, QuatrefoilError
from quatrefoil.services.broker_link import BrokerLink, Dial
from quatrefoil.services.rpc import FIRST_PAUSE, longer
from quatrefoil.transport import AsyncChannel

LONGEST_SLEEP = 5.0
"""Seconds: a machine that slept meanwhile notices soon after that its lease has ended."""


class LeaseHolder:
    """Runs a :class:`Holder` over channels. ``async with``: the key is wiped at its end, whatever happened.

    A broker that is away is asked again, until the lease ends. Whatever it refuses ends the lease at once: code that
    is refused its renewal has lost what it was given the key for.
    """

    def __init__(self, holder: Holder, dial: Dial, *, report: Callable[[str], None]) -> None:
        self._holder = holder
        self._link = BrokerLink(dial)
        self._report = report

    @property
    def key(self) -> bytearray:
        """As :attr:`Holder.key`: to be taken anew at each use; ``LeaseEnded`` once it is wiped."""
        return self._holder.key

    @property
    def lease(self) -> Lease:
        return self._holder.lease

    async def acquire(self) -> Lease:
        """Have the key released. Whatever is raised ends this holder, but for a broker that is not reached
        (``PeerUnreachable``, ``ChannelRefused``)."""
        return await self._ask("release")

    async def keep(self) -> None:
        """Renew until the lease is over, and raise why it is. The key is wiped by then, whether or not a broker or a
        collector has answered."""
        pause = FIRST_PAUSE
        while True:
            wait = self._holder.renew_in
            if wait > 0:
                await asyncio.sleep(min(wait, LONGEST_SLEEP))
                continue
            try:
                await self._while_it_lasts(self._ask("renew"))
                pause = FIRST_PAUSE
            except (PeerUnreachable, ChannelRefused) as away:
                self._report(f"the broker does not answer ({away.problem}): {self._holder.ends_in:.0f} s are left")
                await asyncio.sleep(min(pause, max(0.0, self._holder.ends_in)))
                pause = longer(pause)

    async def _while_it_lasts(self, asking: Coroutine[Any, Any, Lease]) -> Lease:
        """What is asked, or ``LeaseEnded`` when the lease is over before there is an answer."""
        task = asyncio.create_task(asking)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=max(0.0, min(self._holder.ends_in, LONGEST_SLEEP)))
            return task.result()
        finally:
            task.cancel()

    async def derive(self, signed: bytes, sealed_key: bytes) -> bytes:
        """Hand a derived resource in; the broker's signed word for it."""

        async def make(channel: AsyncChannel, nonce: bytes) -> tuple[str, bytes]:
            exporter = attested.exported(channel, nonce, of_peer=False)
            request = await asyncio.to_thread(self._holder.derive, nonce, signed, sealed_key, exporter=exporter)
            return "derive", request

        return await self._link.asked(make)

    async def _ask(self, method: str) -> Lease:
        async def make(channel: AsyncChannel, nonce: bytes) -> tuple[str, bytes]:
            exporter = attested.exported(channel, nonce, of_peer=False)
            return method, await asyncio.to_thread(self._holder.request, nonce, exporter=exporter)

        try:
            return self._holder.accept(await self._link.asked(make))
        except (PeerUnreachable, ChannelRefused):
            raise  # nobody who could be asked has refused anything
        except HostError as error:  # a collector that does not answer may do so again
            raise PeerUnreachable(f"no evidence could be collected ({error.problem})", hint=error.hint) from None
        except QuatrefoilError as refusal:
            self._holder.end(f"refused: {refusal.problem}")
            raise

    def end(self, reason: str) -> None:
        """Wipe the key now."""
        self._holder.end(reason)

    async def __aenter__(self) -> LeaseHolder:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._holder.end("its holder was closed")


__all__ = ["LeaseHolder"]
