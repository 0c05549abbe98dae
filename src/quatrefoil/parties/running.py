"""What every party that runs for long has: an end by a signal, a view from outside, a word to who started it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from quatrefoil.errors import PeerError, QuatrefoilError, StateTaken
from quatrefoil.output import add_log_format_option, progress, report
from quatrefoil.parties.arguments import address
from quatrefoil.services.health import HealthServer
from quatrefoil.services.notifying import ServiceManager
from quatrefoil.services.vitals import Vitals
from quatrefoil.state import DurableState

BEAT_S = 1.0
DAY_S = 86400.0
"""Seconds between two warnings of what ends soon: a party runs for months."""


def add_running_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metrics",
        type=address,
        metavar="HOST:PORT",
        help="/metrics for Prometheus, /healthz and /readyz, on a loopback address",
    )
    add_log_format_option(parser)


class Stopped(BaseException):
    """The operator wants this process to end. What is durable is; the rest is done again at the next start."""


class Service:
    """One running party: ``with`` ends what it shows. ``vitals`` is for whoever does the work."""

    def __init__(self, options: argparse.Namespace, vitals: Vitals, state: DurableState) -> None:
        self.vitals = vitals
        self.vitals.check("state", state.problem)
        self.manager = ServiceManager()
        progress.also(self.manager.status)
        self._health = None if options.metrics is None else HealthServer(options.metrics, self.vitals)
        if self._health is not None:
            report(f"metrics, health and readiness are read on {options.metrics[0]}:{self._health.port}")
        self._stop: asyncio.Event | None = None
        self._taken: StateTaken | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.manager.stopping()
        progress.also(lambda _: None)
        if self._health is not None:
            self._health.close()

    # ------------------------------------------------------------------------------------------ parties in a loop

    def begin(self) -> None:
        """In the running loop: end by a signal from now on."""
        self._stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self._stop.set)

    def refused(self, tell: Callable[[str, QuatrefoilError], None]) -> Callable[[str, QuatrefoilError], None]:
        """``tell``, and an end of the service once its state is another process's."""

        def told(asker: str, error: QuatrefoilError) -> None:
            tell(asker, error)
            self.notice(error)

        return told

    def connection_refused(self, tell: Callable[[str, PeerError], None]) -> Callable[[str, PeerError], None]:
        def told(where: str, error: PeerError) -> None:
            self.vitals.count("connections_refused")
            tell(where, error)

        return told

    def notice(self, error: QuatrefoilError) -> None:
        """End the service if its state is another process's now."""
        if isinstance(error, StateTaken):
            self._taken = error
            if self._stop is not None:
                self._stop.set()

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work`` to its end, or until the operator wants an end: what it waits for is then let go."""
        self.begin()
        assert self._stop is not None
        working, stopping = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        async with self.beating():
            await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            return working.result()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        if self._taken is not None:
            raise self._taken
        report("stopped: started again with the same --state it goes on")

    async def until_stopped(self, every_day: Callable[[], None]) -> None:
        """Ready from now on; returns when the operator wants it. ``StateTaken`` when another process has the state."""
        assert self._stop is not None
        self.manager.ready()
        async with self.beating():
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DAY_S):
                        await self._stop.wait()
                if not self._stop.is_set():
                    every_day()
        if self._taken is not None:
            raise self._taken

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """The loop is seen to move meanwhile."""
        beats = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beats.cancel()

    async def _beat(self) -> None:
        every = min(BEAT_S, self.manager.watchdog_s or BEAT_S)
        while True:
            self.vitals.beat()
            if self.manager.watchdog_s is not None:
                self.manager.moves()
            await asyncio.sleep(every)


def report_failures() -> None:
    """In the running loop, print in one line what of our errors ends a handler; anything else is a fault to trace."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(error := context.get("exception"), QuatrefoilError):
            report(str(error))
        else:
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(handle)


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """Of a party without a loop: SIGTERM ends it where it is, as ``Stopped``; SIGINT is Python's own."""

    def stop(_: int, __: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


__all__ = ["Service", "Stopped", "add_running_options", "ended_by_signal", "report_failures"]
