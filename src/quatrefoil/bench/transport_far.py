"""The far end of the transport bench: a server in a process of its own, whose processor time is its own.

Both kinds run under asyncio and answer alike, as ``transport_work.Desk`` does. The classical one is the standard
library's TLS (``asyncio.start_server``) with the same eight-byte lengths; it counts the bytes of a long message without
putting it together.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import ssl
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from quatrefoil.bench.transport_work import WHOLE, Desk
from quatrefoil.errors import HostError
from quatrefoil.transport import (
    AsyncChannel,
    ChannelPolicy,
    FixedCredentials,
    Identity,
    TrustAnchor,
    policy_named,
    serve,
    system_clock,
)

HOST = "127.0.0.1"
LARGEST = 1 << 28
TIMEOUT = 60.0
_READ = 256 << 10


@dataclass
class Far:
    """``port``; ``cpu()``: seconds that the process has computed so far."""

    port: int
    _pipe: Connection

    def cpu(self) -> float:
        self._pipe.send("cpu")
        return float(self._pipe.recv())


@contextmanager
def far_end(target: Callable[..., None], *arguments: Any) -> Iterator[Far]:
    """``target`` in a process of its own, until the block ends."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(there, *arguments), daemon=True)
    process.start()
    try:
        if not here.poll(TIMEOUT):
            raise HostError("the far end of the bench did not start", hint="Run it again on a quieter machine")
        yield Far(int(here.recv()), here)
    finally:
        process.terminate()
        process.join()


def serve_channels(pipe: Connection, folder: Path, policy: str) -> None:
    """Channels under ``policy``, as the aggregator in ``folder`` whose key it allows. Says what it refuses."""
    own, desk = identity_folder(folder, "aggregator", policy_named(policy)), Desk(folder)

    async def answer(channel: AsyncChannel) -> None:
        while True:  # until the peer's goodbye; whatever else ends it is told below
            await channel.send(desk.answer(await channel.receive(LARGEST)))

    async def start() -> int:
        server = await serve(
            HOST,
            0,
            credentials=FixedCredentials(Identity.load(own), TrustAnchor.load(own)),
            allow_roles=["silo"],
            handler=answer,
            on_refused=lambda _address, error: print(error, file=sys.stderr, flush=True),
            timeout=TIMEOUT,
            clock=system_clock,
            policy=policy_named(policy),
        )
        return server.port

    _run(pipe, start)


def identity_folder(folder: Path, role: str, policy: ChannelPolicy) -> Path:
    """Where the identity of ``role`` lies whose key ``policy`` allows: of ML-DSA-65 wherever it may be."""
    return folder / (role if "mldsa65" in policy.leaf_signatures else f"{role}-87")


def serve_classically(pipe: Connection, folder: Path) -> None:
    """TLS of the standard library, as the server in ``folder``."""
    desk = Desk(folder)

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                length = int.from_bytes(await reader.readexactly(8), "big")
                if length <= WHOLE:
                    answer = desk.answer(await reader.readexactly(length))
                    writer.write(len(answer).to_bytes(8, "big") + answer)
                else:
                    while length and (data := await reader.read(min(length, _READ))):
                        length -= len(data)
                    writer.write((1).to_bytes(8, "big") + b"!")
                await writer.drain()
        writer.close()

    async def start() -> int:
        context = classical_context(folder, server=True)
        server = await asyncio.start_server(serve_one, HOST, 0, ssl=context, limit=_READ)
        return int(server.sockets[0].getsockname()[1])

    _run(pipe, start)


def classical_context(folder: Path, *, server: bool) -> ssl.SSLContext:
    """Mutual TLS 1.3 with P-256 certificates; X25519 and AES-256-GCM are what OpenSSL then takes first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / ("server.pem" if server else "client.pem"))
    context.load_verify_locations(folder / "classical-root.pem")
    return context


def _run(pipe: Connection, start: Callable[[], Awaitable[int]]) -> None:
    def report() -> None:
        with contextlib.suppress(EOFError):
            while pipe.recv():
                pipe.send(time.process_time())

    async def run() -> None:
        pipe.send(await start())
        threading.Thread(target=report, daemon=True).start()
        await asyncio.Event().wait()

    asyncio.run(run())
