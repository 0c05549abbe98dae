"""A proxy before a real server: gateway, keys, receipts in a log, TLS on both, in one thread.

server and client --hybrid TLS--> [anything between] ; proxy --HTTP--> the test's client
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quatrefoil.audit import TileLog
from quatrefoil.client import AsyncClient, ReceiptFolder
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.exchange.protocol import SERVER_ROLE
from quatrefoil.proxy import endpoint
from quatrefoil.serving.receipts import ReceiptIssuer
from quatrefoil.serving.records import Records
from quatrefoil.transport import ROLES, FixedCredentials, HybridContext, files, system_clock
from quatrefoil.web.server import WebServer
from serving_world import World, serving_policy, started
from support import Consortium

SERVER, WARD = "models", "ward"
SECONDS = 60


@dataclass
class Served:
    """``port``: of the proxy. ``url``: of the server. ``said``: what the proxy reported. ``seen``: bytes that went
    over the network between the two."""

    port: int = 0
    url: str = ""
    world: World | None = None
    said: list[str] = field(default_factory=list)
    folder: Path = Path()
    seen: bytearray = field(default_factory=bytearray)
    stop_server: Any = None
    loop: Any = None
    error: BaseException | None = None

    @property
    def receipts(self) -> Path:
        return self.folder / "kept"


def context(consortium: Consortium, name: str, role: str, roles: Any) -> HybridContext:
    return HybridContext(
        FixedCredentials(consortium.identity(name, role), consortium.trust),
        allow_roles=roles,
        clock=system_clock,
        protocol=b"http/1.1",
        on_refused=lambda _: None,
    )


@contextmanager
def serving(
    consortium: Consortium, folder: Path, *, policy=None, client_policy=None, proxied: bool = True, **more: Any
) -> Iterator[Served]:
    """``more``: of the world. ``client_policy``: what the proxy holds the server to, where it is another.
    ``proxied=False``: the server alone."""
    served = Served(folder=folder)
    policy = policy or serving_policy()
    ready, loops = threading.Event(), {}

    async def run() -> None:
        stop = asyncio.Event()
        loops.update(loop=asyncio.get_running_loop(), stop=stop)
        state = folder / "state"
        files.make_private(state)
        identity = consortium.identity(SERVER, SERVER_ROLE)
        log = TileLog(state, identity, consortium.trust)
        issuer = ReceiptIssuer(
            issuer=SERVER,
            model=policy.model.root,
            measurement="",
            policy=policy.digest(),
            plan=policy.plan,
            journal=state / "receipts",
            log=log,
            clock=system_clock,
        )
        records = Records(issuer, policy.attestation.appraisal, served.said.append)
        try:
            async with started(policy, receipts=records, **more) as world:
                tls = context(consortium, SERVER, SERVER_ROLE, ROLES)
                server = WebServer(world.gateway, host="127.0.0.1", port=0, tls=tls)
                async with server:
                    served.world, served.url = world, f"https://127.0.0.1:{server.port}"
                    served.stop_server, served.loop = server.close, loops["loop"]
                    if proxied:
                        await proxy(stop)
                    else:
                        ready.set()
                        await stop.wait()
        finally:
            records.close()
            log.close()

    async def proxy(stop: asyncio.Event) -> None:
        def report(line: str) -> None:
            served.said.append(line)
            if line.startswith("proxy listens on"):
                served.port = int(line.partition("127.0.0.1:")[2].partition(",")[0])
                ready.set()

        held_to = client_policy or policy
        async with AsyncClient(
            served.url,
            policy=held_to,
            collateral=Collateral(),
            identity=consortium.identity(WARD, "silo"),
            trust=consortium.trust,
        ) as client:
            await endpoint.serve(
                client,
                held_to,
                host="127.0.0.1",
                port=0,
                token=None,
                receipts=ReceiptFolder(served.receipts),
                forward=frozenset(),
                stop=stop,
                report=report,
            )

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            served.error = error
        finally:
            ready.set()

    running = threading.Thread(target=thread, daemon=True)
    running.start()
    assert ready.wait(SECONDS)
    try:
        if served.error:
            raise served.error
        yield served
    finally:
        if running.is_alive():
            loops["loop"].call_soon_threadsafe(loops["stop"].set)
        running.join(SECONDS)
