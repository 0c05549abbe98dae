"""A web service of the consortium: uvicorn as it comes, over ``HybridContext``."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from quatrefoil.errors import PeerError
from quatrefoil.transport import FixedCredentials, HybridContext, Identity
from support import Consortium


class Service:
    """``port``; ``objects``: the TLS of each connection; ``refusal()``: the next one that was reported."""

    def __init__(self) -> None:
        self.port = 0
        self.objects: list[Any] = []
        self._refusals: queue.Queue[PeerError] = queue.Queue()

    def refusal(self) -> PeerError:
        return self._refusals.get(timeout=10)

    def refused_none(self) -> bool:
        return self._refusals.empty()


@contextmanager
def serving(consortium: Consortium, identity: Identity | None = None, **changes: Any) -> Iterator[Service]:
    """The consortium's aggregator, or ``identity``, answers silos; ``changes`` replace arguments of the context."""
    service = Service()

    class Watched(HybridContext):
        def wrap_bio(self, *arguments: Any, **named: Any) -> Any:
            service.objects.append(super().wrap_bio(*arguments, **named))
            return service.objects[-1]

    context = Watched(
        FixedCredentials(identity or consortium.identity("hub", "aggregator"), consortium.trust),
        **{
            "allow_roles": ["silo"],
            "clock": consortium.clock,
            "protocol": b"http/1.1",
            "on_refused": service._refusals.put,
        }
        | changes,
    )
    config = uvicorn.Config(
        answer,
        ssl_context_factory=lambda _config, _default: context,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_level="critical",
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service.port = listener.getsockname()[1]
        worker = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        worker.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started and time.monotonic() < deadline:
                time.sleep(0.01)
            assert server.started
            yield service
        finally:
            server.should_exit = True
            worker.join(10)
            assert not worker.is_alive()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Method, path and body of a request, given back."""
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    said = f"{scope['method']} {scope['path']} ".encode() + body
    headers = [(b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})
