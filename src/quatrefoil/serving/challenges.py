"""Challenges answered with evidence, a few at a time: hardware signs slowly, and anybody certified may ask."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from quatrefoil.attested import Challenge
from quatrefoil.serving.places import Places

AT_ONCE = 2
WAITING = 64
WAIT_S = 30.0
REMEMBERED = 256
REMEMBERED_S = 60.0


class Challenges:
    """The answers of ``attest``, in threads. One challenge makes the hardware work once: who sends the same again gets
    the answer that there is, or waits for the one that is being made."""

    def __init__(self, attest: Callable[[bytes], bytes]) -> None:
        self._attest = attest
        self._places = Places(AT_ONCE, WAITING)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="evidence")
        self._known: OrderedDict[bytes, tuple[float, asyncio.Task[bytes]]] = OrderedDict()

    async def answer(self, challenge: bytes, party: str) -> tuple[bytes, bool]:
        """The encoded ``Attestation``, and whether it was there already. ``NoPlace`` where too many ask,
        ``MessageRefused`` for what is no challenge, ``HostError`` where there is no evidence."""
        Challenge.decode(challenge)
        self._forget()
        found = self._known.get(challenge)
        if found is not None:
            return await asyncio.shield(found[1]), True
        task = asyncio.create_task(self._made(challenge, party))
        self._known[challenge] = time.monotonic() + REMEMBERED_S, task
        task.add_done_callback(lambda done: self._failed(challenge, done))
        return await asyncio.shield(task), False

    async def _made(self, challenge: bytes, party: str) -> bytes:
        place = await self._places.take(party, time.monotonic() + WAIT_S)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._attest, challenge)
        finally:
            place.give_back()

    def _failed(self, challenge: bytes, task: asyncio.Task[bytes]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._known.pop(challenge, None)

    def _forget(self) -> None:
        now = time.monotonic()
        while self._known and (len(self._known) >= REMEMBERED or next(iter(self._known.values()))[0] <= now):
            challenge, (_, task) = next(iter(self._known.items()))
            if not task.done():
                break
            del self._known[challenge]

    def close(self) -> None:
        for _, task in self._known.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)


__all__ = ["Challenges"]
