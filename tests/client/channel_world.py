"""A real server of confidential inference on loopback, over our TLS, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from client_world import Receipts

from quatrefoil.enclave.collateral import Collateral
from quatrefoil.exchange import ServingPolicy
from quatrefoil.transport import FixedCredentials, HybridContext
from quatrefoil.web import WebLimits
from quatrefoil.web.server import WebServer
from serving_parts import serving_policy
from serving_world import World, started
from support import Consortium

SERVER = "model"


class Served:
    """The server's address, and its world: touch that through ``run`` only."""

    def __init__(self, policy: ServingPolicy, consortium: Consortium, role: str, **more: Any) -> None:
        self.policy = policy
        self.consortium = consortium
        self._role = role
        self._more = more
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self._stop: asyncio.Event
        self.world: World
        self.url = ""
        self.handshakes = 0

    def start(self) -> None:
        self._thread.start()
        self._up.wait()
        if self._failed is not None:
            self._thread.join()
            raise self._failed

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def run(self, doing: Any) -> Any:
        """A coroutine in the server's loop, to its end."""
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()

    def options(self, **changes: Any) -> dict[str, Any]:
        """For a client of it."""
        given = {
            "policy": self.policy,
            "collateral": Collateral(),
            "identity": self.consortium.identity("clinic", "silo"),
            "trust": self.consortium.trust,
        }
        return given | changes

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        try:
            async with started(self.policy, receipts=Receipts(self.policy), **self._more) as self.world:
                tls = HybridContext(
                    FixedCredentials(self.consortium.identity(SERVER, self._role), self.consortium.trust),
                    allow_roles=["silo"],
                    clock=self.consortium.clock,
                    protocol=b"http/1.1",
                    on_refused=lambda _refusal: None,
                )
                server = WebServer(self.world.gateway, host="127.0.0.1", port=0, tls=tls, limits=WebLimits())
                async with server:
                    self.url = f"https://127.0.0.1:{server.port}"
                    self._up.set()
                    await self._stop.wait()
        except BaseException as error:
            self._failed = error
        finally:
            self._up.set()


@contextmanager
def served(
    consortium: Consortium, policy: ServingPolicy | None = None, *, role: str = "workload", **more: Any
) -> Iterator[Served]:
    one = Served(policy or serving_policy(limits__queued=100), consortium, role, **more)
    one.start()
    try:
        yield one
    finally:
        one.stop()
