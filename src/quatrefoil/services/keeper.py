"""The keeper behind a channel: certified aggregators ask, one at a time."""

from __future__ import annotations

import asyncio

from quatrefoil.federation import parts
from quatrefoil.federation.keeper import Keeper
from quatrefoil.services.rpc import OnRefused, answer_all
from quatrefoil.services.vitals import Vitals, watched
from quatrefoil.transport import AsyncChannel
from quatrefoil.wire import LARGEST_MESSAGE


class KeeperService:
    """Answers ``introduce`` (a nonce), ``open`` (parts: enrolled job, request), ``check``, ``answer`` and ``void`` (a
    request each)."""

    def __init__(self, keeper: Keeper, *, on_refused: OnRefused, vitals: Vitals | None = None) -> None:
        """``vitals``: where its questions are counted, for whoever watches it."""
        self._keeper = keeper
        self._vitals = vitals or Vitals("keeper")
        self._on_refused = on_refused
        # The machine's methods read and write state in several steps: one question at a time.
        self._turn = asyncio.Lock()

    async def handle(self, channel: AsyncChannel) -> None:
        """Serve one connected aggregator until it leaves."""
        methods = {
            **{"introduce": self._introduce, "open": self._open},
            **{"check": self._check, "answer": self._answer, "void": self._void},
        }
        counted = watched(methods, self._vitals)
        await answer_all(channel, counted, limit=lambda: LARGEST_MESSAGE, on_refused=self._on_refused)

    async def _introduce(self, _: str, body: bytes) -> bytes:
        return self._keeper.introduce(body)

    async def _open(self, _: str, body: bytes) -> bytes:
        job, request = parts.split(body, 2)
        async with self._turn:
            return self._keeper.open_round(job, request)

    async def _check(self, _: str, body: bytes) -> bytes:
        async with self._turn:
            self._keeper.check(body)
        return b""

    async def _answer(self, _: str, body: bytes) -> bytes:
        async with self._turn:
            return self._keeper.answer(body)

    async def _void(self, _: str, body: bytes) -> bytes:
        async with self._turn:
            return self._keeper.void(body)
