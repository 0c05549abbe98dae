"""The broker behind a channel: certified parties ask, and are answered one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quatrefoil import attested
from quatrefoil.broker.machine import Broker
from quatrefoil.broker.messages import Asker, DeriveRequest, ReleaseRequest, RenewalRequest
from quatrefoil.enclave.binding import NONCE_BYTES
from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.services.rpc import Method, OnRefused, answer_all
from quatrefoil.services.vitals import Vitals, watched
from quatrefoil.transport import AsyncChannel

LARGEST_QUESTION = 16 << 20
"""Bytes: the largest set of evidence fits, event logs included."""

MOST_COLLECTING = 4
"""Introductions at a time: each has evidence collected, which may take seconds."""


class BrokerService:
    """Answers ``introduce`` (a nonce), ``nonce``, ``release``, ``renew`` and ``derive`` (a request each), ``register``
    (parts: signed resource, sealed key), ``revoke`` (a signed revocation), ``leases`` and ``resources``."""

    def __init__(self, broker: Broker, *, on_refused: OnRefused, vitals: Vitals | None = None) -> None:
        """``vitals``: where its questions are counted, for whoever watches it."""
        self._broker = broker
        self._vitals = vitals or Vitals("broker")
        self._on_refused = on_refused
        # The machine reads and writes state in several steps, and a release must not cross a revocation.
        self._turn = asyncio.Lock()
        self._collecting = asyncio.Semaphore(MOST_COLLECTING)

    async def handle(self, channel: AsyncChannel) -> None:
        """Serve one connected party until it leaves."""
        asker, peer_key = Asker(channel.peer.name, channel.peer.role), attested.tls_key(channel.peer)

        async def introduce(_: str, nonce: bytes) -> bytes:
            if len(nonce) != NONCE_BYTES:
                raise MessageRefused(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}", hint="Draw 32 random bytes")
            exporter = attested.exported(channel, nonce, of_peer=False)
            async with self._collecting:
                return await asyncio.to_thread(self._broker.introduce, nonce, exporter=exporter)

        async def nonce(_: str, __: bytes) -> bytes:
            async with self._turn:
                return self._broker.nonce(asker)

        async def release(_: str, request: bytes) -> bytes:
            exporter = attested.exported(channel, ReleaseRequest.decode(request).nonce, of_peer=True)
            async with self._turn:
                return self._broker.release(request, asker=asker, exporter=exporter, peer_key=peer_key)

        async def renew(_: str, request: bytes) -> bytes:
            exporter = attested.exported(channel, RenewalRequest.decode(request).nonce, of_peer=True)
            async with self._turn:
                return self._broker.renew(request, asker=asker, exporter=exporter, peer_key=peer_key)

        async def derive(_: str, request: bytes) -> bytes:
            exporter = attested.exported(channel, DeriveRequest.decode(request).nonce, of_peer=True)
            async with self._turn:
                return self._broker.derive(request, asker=asker, exporter=exporter, peer_key=peer_key)

        async def register(_: str, body: bytes) -> bytes:
            signed, sealed_key = parts.split(body, 2)
            async with self._turn:
                return self._broker.register(signed, sealed_key, asker=asker)

        async def revoke(_: str, signed: bytes) -> bytes:
            async with self._turn:
                self._broker.revoke(signed)
            return b""

        def shown(list_of: Callable[[Asker], bytes]) -> Method:
            async def show(_: str, __: bytes) -> bytes:
                async with self._turn:
                    return list_of(asker)

            return show

        methods: dict[str, Method] = {
            **{"introduce": introduce, "nonce": nonce, "release": release, "renew": renew, "derive": derive},
            **{"register": register, "revoke": revoke},
            **{"leases": shown(self._broker.leases), "resources": shown(self._broker.resources)},
        }
        counted = watched(methods, self._vitals)
        await answer_all(channel, counted, limit=lambda: LARGEST_QUESTION, on_refused=self._on_refused)


__all__ = ["LARGEST_QUESTION", "BrokerService"]
