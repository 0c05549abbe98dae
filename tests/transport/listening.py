"""A channel server in a thread of its own, so that blocking clients can be tested against it; and the clients."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from quatrefoil.errors import MessageRefused, PeerError
from quatrefoil.transport import AsyncChannel, Channel, Dialer, FixedCredentials, Standing, connect, open_channel, serve
from support import Consortium

LIMIT = 1 << 20


class Listening:
    """``port``; ``refusal()``: the next one that the server has reported; ``groups``: negotiated, as it saw them."""

    def __init__(self) -> None:
        self.port = 0
        self.groups: list[str] = []
        self.peers: list[tuple[str, str]] = []
        self._refusals: queue.Queue[PeerError] = queue.Queue()

    def refused(self, _address: str, error: PeerError) -> None:
        self._refusals.put(error)

    def refusal(self) -> PeerError:
        return self._refusals.get(timeout=10)

    def refused_none(self) -> bool:
        return self._refusals.empty()

    async def echo(self, channel: AsyncChannel) -> None:
        """Answer each message with itself; "exporter" with key material; "bad" by refusing it."""
        self.groups.append(channel.group)
        self.peers.append((channel.peer.name, channel.peer.role))
        while True:
            message = await channel.receive(LIMIT)
            if message == b"exporter":
                message = channel.exporter(b"EXPERIMENTAL test", b"context", 32)
            if message == b"bad":
                raise MessageRefused("that was bad", hint="Be good")
            await channel.send(message)


@contextmanager
def listening(consortium: Consortium, **changes: Any) -> Iterator[Listening]:
    """An echo server of the consortium's aggregator for silos; ``changes`` replace arguments of ``serve``."""
    state = Listening()
    identity = changes.pop("identity", None) or consortium.identity("hub", "aggregator")
    arguments = {
        "credentials": FixedCredentials(identity, changes.pop("trust", None) or consortium.trust),
        "allow_roles": ["silo"],
        "handler": state.echo,
        "on_refused": state.refused,
        "timeout": 10.0,
        "clock": consortium.clock,
    } | changes
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with await serve("127.0.0.1", 0, **arguments) as server:
            state.port = server.port
            started.set()
            await stop.wait()

    def thread() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run())

    worker = threading.Thread(target=thread)
    worker.start()
    try:
        assert started.wait(10)
        yield state
    finally:
        loop.call_soon_threadsafe(stop.set)
        worker.join(10)
        assert not worker.is_alive()


def arguments(consortium: Consortium, **changes: Any) -> dict[str, Any]:
    return {
        "identity": consortium.identity("cleveland", "silo"),
        "trust": consortium.trust,
        "expect_role": "aggregator",
        "timeout": 10.0,
        "clock": consortium.clock,
    } | changes


def dial(consortium: Consortium, port: int, **changes: Any) -> Channel:
    return connect("127.0.0.1", port, **arguments(consortium, **changes))


async def dial_async(consortium: Consortium, port: int, **changes: Any) -> AsyncChannel:
    return await open_channel("127.0.0.1", port, **arguments(consortium, **changes))


class Clock:
    """Set forward by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **time: float) -> None:
        self.now += timedelta(**time)


class Changing:
    """Credentials that a test replaces."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing

    def current(self) -> Standing:
        return self.standing


def credentials(consortium: Consortium, name: str = "cleveland", role: str = "silo") -> Changing:
    return Changing(Standing(consortium.identity(name, role), consortium.trust))


def dialer(consortium: Consortium, port: int, **changes: Any) -> Dialer:
    arguments = {
        "credentials": FixedCredentials(consortium.identity("cleveland", "silo"), consortium.trust),
        "expect_role": "aggregator",
        "timeout": 10.0,
        "clock": consortium.clock,
    } | changes
    return Dialer("127.0.0.1", port, **arguments)


def send_raw(channel: Channel, data: bytes) -> None:
    """Bytes inside the channel that are not whole frames."""
    channel._session.encrypt(data)
    channel._flush(10)


def visit(of: Dialer, server: Listening | None = None) -> bool:
    """Whether a channel, on which a message goes back and forth, was resumed."""
    with of.connect() as channel:
        channel.send(b"hello")
        assert channel.receive(5) == b"hello"
        assert server is None or server.groups[-1] == channel.group
        return channel.resumed
