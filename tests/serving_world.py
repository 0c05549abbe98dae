"""A gateway of confidential inference as the ASGI application that it is, with every input in the hands of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import small_models
from quatrefoil.attested import Attested, RelyingParty
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.inference import OnnxEngine
from quatrefoil.ohttp import Request, RequestHead, http_date
from quatrefoil.serving.gateway import Gateway
from quatrefoil.serving.handler import Handler
from quatrefoil.serving.keys import ServingKeys
from quatrefoil.serving.oip import OipHandler
from quatrefoil.transport import system_clock
from serving_exchanges import Asked, Opened, Outer, Sealed
from serving_parts import INFER, MODEL, MemoryReceipts, SnpMachine, serving_policy


class World:
    """One gateway. ``handler``: by default the small model's."""

    def __init__(
        self,
        policy: ServingPolicy | None = None,
        *,
        handler: Handler | None = None,
        machine: SnpMachine | None = None,
        clock: Callable[[], datetime] = system_clock,
        receipts: Any = None,
    ) -> None:
        self.policy = policy or serving_policy()
        self.machine = machine or SnpMachine()
        self.clock = clock
        self.receipts = receipts or MemoryReceipts(self.policy)
        self.said: list[str] = []
        self.keys = ServingKeys(self.machine, self.policy, collateral=Collateral, events=self.receipts, clock=clock)
        self.handler = handler or OipHandler(OnnxEngine(small_models.linear(), name=MODEL, version="1"), self.policy)
        self.gateway = Gateway(
            self.handler, self.keys, self.receipts, self.policy, clock=clock, report=self.said.append
        )
        self.accepted: Attested | None = None

    def asked(
        self,
        method: str,
        path: str,
        content: bytes | list[bytes] = b"",
        *,
        kind: str = "",
        party: str = "client",
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> Asked:
        lines = [*(headers or []), *([(b"content-type", kind.encode())] if kind else [])]
        return Asked(self.gateway, method, path, content, lines, party)

    async def outer(self, method: str, path: str, content: bytes | list[bytes] = b"", **more: Any) -> Outer:
        return await self.asked(method, path, content, **more).answer()

    async def attest(self) -> Attested:
        """As a client does: what it may rely on."""
        party = RelyingParty(
            self.policy.attestation.appraisal, Collateral(), purpose=protocol.PURPOSE, clock=self.clock
        )
        outer = await self.outer("POST", protocol.ATTESTATION_PATH, party.challenge(), kind=protocol.ATTESTATION_TYPE)
        assert outer.status == 200, outer.content
        self.accepted = party.accept(outer.content, b"")
        return self.accepted

    def request(self, path: bytes = INFER, content: bytes = b"", **more: Any) -> Request:
        fields = more.pop("fields", ((b"date", http_date(self.clock()).encode()),))
        method = more.pop("method", b"POST" if content else b"GET")
        return Request(RequestHead(method, b"https", b"model.example", path, tuple(fields)), content)

    async def sealed(self, request: Request | bytes, *, chunked: bool = False) -> Sealed:
        """Attests first, where nobody has."""
        accepted = self.accepted or await self.attest()
        return Sealed.of(request, accepted.keyset, self.policy, chunked=chunked)

    async def ask(self, request: Request | bytes, *, chunked: bool = False, **more: Any) -> Opened:
        """What comes back, opened, with its receipt verified."""
        sealed = await self.sealed(request, chunked=chunked)
        outer = await self.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind, **more)
        assert outer.status == 200, (outer.status, outer.content)
        return sealed.open(outer)


@asynccontextmanager
async def started(*arguments: Any, **more: Any) -> AsyncIterator[World]:
    """A gateway with a first keyset."""
    world = World(*arguments, **more)
    await asyncio.to_thread(world.keys.rotate)
    try:
        yield world
    finally:
        await world.handler.close()
        world.gateway.close()
        world.keys.close()
