"""A proxy before a real server, each in a thread of its own: evidence, gateway, receipts, hybrid TLS."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quatrefoil.client import AsyncClient, ReceiptFolder
from quatrefoil.exchange import ServingPolicy
from quatrefoil.proxy import endpoint
from running_server import Running, running
from support import Consortium

WARD = "ward"
SECONDS = 60


@dataclass
class Served:
    """``port``: of the proxy. ``said``: what it reported. ``folder``: of everything that is written."""

    server: Running
    folder: Path
    port: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def receipts(self) -> Path:
        return self.folder / "kept"


@contextmanager
def serving(
    consortium: Consortium, folder: Path, *, relay: str | None = None, held_to: ServingPolicy | None = None, **more: Any
) -> Iterator[Served]:
    """``more``: of the server. ``held_to``: the policy that the proxy has, where it is another than the server's."""
    with running(consortium, folder / "server", **more) as server:
        served = Served(server, folder)
        with _proxied(consortium, served, held_to or server.policy, relay):
            yield served


@contextmanager
def _proxied(consortium: Consortium, served: Served, policy: ServingPolicy, relay: str | None) -> Iterator[None]:
    ready = threading.Event()
    ended: dict[str, Any] = {}

    def report(line: str) -> None:
        served.said.append(line)
        if line.startswith("proxy listens on"):
            served.port = int(line.partition("127.0.0.1:")[2].partition(",")[0])
            ready.set()

    async def run() -> None:
        stop = asyncio.Event()
        ended.update(loop=asyncio.get_running_loop(), stop=stop)
        async with AsyncClient(
            served.server.url,
            policy=policy,
            collateral=served.server.collateral,
            identity=consortium.identity(WARD, "silo"),
            trust=consortium.trust,
            relay=relay,
        ) as client:
            await endpoint.serve(
                client,
                policy,
                host="127.0.0.1",
                port=0,
                token=None,
                receipts=ReceiptFolder(served.receipts),
                stop=stop,
                report=report,
            )

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            ended["error"] = error
        finally:
            ready.set()

    proxy = threading.Thread(target=thread, name="proxy")
    proxy.start()
    assert ready.wait(SECONDS)
    try:
        if "error" in ended:
            raise ended["error"]
        yield
    finally:
        if proxy.is_alive():
            ended["loop"].call_soon_threadsafe(ended["stop"].set)
        proxy.join(SECONDS)
