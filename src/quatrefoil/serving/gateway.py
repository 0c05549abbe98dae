"""The gateway as an ASGI application: attestation, the list of keys, encapsulated requests, health. Never content.

Whoever carries a request learns its size, its times, and whether it opened. docs/serving.md is the specification.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quatrefoil.attested.messages import LARGEST_CHALLENGE
from quatrefoil.errors import HostError, MessageRefused, PeerUnreachable, QuatrefoilError, RequestRefused
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.serving import asgi, problems
from quatrefoil.serving.asgi import Receive, Scope, Send
from quatrefoil.serving.challenges import Challenges
from quatrefoil.serving.exchanges import Exchanges
from quatrefoil.serving.faults import Sparing
from quatrefoil.serving.handler import Handler
from quatrefoil.serving.keys import ServingKeys
from quatrefoil.serving.metrics import Metrics
from quatrefoil.serving.places import NoPlace
from quatrefoil.serving.sealing import Issuer
from quatrefoil.transport import Clock

TEXT = b"text/plain; charset=utf-8"
CHALLENGE_S = 10.0
"""Seconds that a challenge may take to arrive."""


class Gateway:
    """One server, for one event loop. ``report``: told of faults in one line, without content."""

    def __init__(
        self,
        handler: Handler,
        keys: ServingKeys,
        issuer: Issuer,
        policy: ServingPolicy,
        *,
        clock: Clock,
        report: Callable[[str], None],
        metrics: Metrics | None = None,
    ) -> None:
        self._handler, self._keys = handler, keys
        self._report = Sparing(report)
        self.metrics = metrics or Metrics()
        self._challenges = Challenges(keys.attest)
        self.exchanges = Exchanges(
            handler, keys, issuer, policy, clock=clock, report=self._report, metrics=self.metrics
        )
        self._closing = False
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        places = self.exchanges.places
        self.metrics.gauges |= {
            "computing": ("Requests that are computed now", lambda: places.taken),
            "waiting": ("Requests that wait for a place", lambda: places.waiting),
            "ready": ("1 where requests would be answered", lambda: float(self.ready)),
        }

    @property
    def ready(self) -> bool:
        return not self._closing and self._handler.ready and self._keys.current

    def stop_taking(self) -> None:
        """Not ready from now on: new requests are told to come again elsewhere."""
        self._closing = True

    def dismiss(self) -> None:
        """As :meth:`stop_taking`, and nothing is begun for those who wait: what computes has no right to any more."""
        self._closing = True
        self.exchanges.places.dismiss()

    async def idle(self) -> None:
        """Returns when nothing is being answered."""
        await self._idle.wait()

    def close(self) -> None:
        """After the last answer."""
        self._closing = True
        self._challenges.close()
        self.exchanges.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        if scope["type"] != "http":
            return
        routes = {
            ("POST", protocol.GATEWAY_PATH): self._request,
            ("GET", protocol.GATEWAY_PATH): self._keys_list,
            ("POST", protocol.ATTESTATION_PATH): self._attestation,
            ("GET", protocol.LIVE_PATH): self._live,
            ("GET", protocol.READY_PATH): self._readiness,
        }
        path, method = scope["path"], scope["method"]
        serve = routes.get((method, path))
        if serve is None:
            known = any(path == one for _, one in routes)
            refusal = MessageRefused("there is nothing here", hint="docs/serving.md lists the paths")
            await self._problem(send, 405 if known else 404, refusal)
            return
        self._running += 1
        self._idle.clear()
        try:
            await serve(scope, receive, send)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    # ------------------------------------------------------------------------------------------------ what has no key

    async def _live(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await asgi.reply(send, 200, TEXT, b"live\n")

    async def _readiness(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        ready = self.ready
        await asgi.reply(send, 200 if ready else 503, TEXT, b"ready\n" if ready else b"not ready\n")

    async def _keys_list(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            content = self._keys.configurations
        except HostError as error:
            await self._problem(send, 503, error, pause_s=1)
            return
        await asgi.reply(send, 200, protocol.KEYS_TYPE.encode(), content)

    async def _attestation(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = protocol.ATTESTATION_TYPE.encode()
        if asgi.headers(scope).get(b"content-type") != kind:
            await self._problem(send, 415, MessageRefused("the content is no challenge", hint=f"Send {kind.decode()}"))
            return
        try:
            announced = asgi.headers(scope).get(b"content-length", b"")
            challenge = await asgi.body(receive, LARGEST_CHALLENGE, announced, CHALLENGE_S)
            answer, known = await self._challenges.answer(challenge, asgi.party(scope))
        except PeerUnreachable:
            return
        except NoPlace as full:
            busy = HostError("too many ask for evidence", hint="Try again later")
            await self._attestation_refused(send, 503, busy, full.pause_s)
        except RequestRefused as refusal:
            await self._attestation_refused(send, refusal.status, refusal)
        except MessageRefused as refusal:
            await self._attestation_refused(send, 400, refusal)
        except HostError as error:
            self._report(f"no evidence could be given: {error}")
            unsaid = HostError("no evidence can be collected", hint="Try again, or tell who runs the server")
            await self._attestation_refused(send, 503, unsaid, 1)
        else:
            self.metrics.count("attestations", "remembered" if known else "answered")
            await asgi.reply(send, 200, kind, answer)

    async def _attestation_refused(self, send: Send, status: int, error: QuatrefoilError, pause_s: int = 0) -> None:
        self.metrics.count("attestations", "refused")
        await self._problem(send, status, error, pause_s=pause_s)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._closing:
            error = HostError("the server is stopping", hint="Try again elsewhere, or later")
            await self._problem(send, 503, error, pause_s=5)
        else:
            await self.exchanges.serve(scope, receive, send)

    async def _problem(self, send: Send, status: int, error: QuatrefoilError, *, pause_s: int = 0) -> None:
        await problems.outside(send, self.metrics, status, error, pause_s=pause_s)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


__all__ = ["Gateway"]
