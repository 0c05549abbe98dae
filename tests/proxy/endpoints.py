"""The proxy on a real port, in a thread; and clients in the place of ``AsyncClient`` that compute in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

from local_asking import RECEIPT

from quatrefoil.errors import RequestRefused
from quatrefoil.inference import (
    decode_infer,
    encode_error,
    encode_infer,
    encode_model_metadata,
    encode_model_ready,
    encode_server_live,
    encode_server_metadata,
    encode_server_ready,
    route,
)
from quatrefoil.proxy.access import Access
from quatrefoil.proxy.app import ProxyApp
from quatrefoil.web.server import WebServer


@contextmanager
def running(client, *, host: str = "127.0.0.1", token: bytes | None = None, **more) -> Iterator[int]:
    """The port of a proxy over ``client``, for programs of this user."""
    app = ProxyApp(client, Access(host, token=token), **({"request_bytes": 1 << 20, "seconds": 30} | more))
    started: dict[str, Any] = {}
    ready = threading.Event()

    async def serve() -> None:
        stop = asyncio.Event()
        started.update(loop=asyncio.get_running_loop(), stop=stop)
        async with WebServer(app, host=host, port=0, tls=None) as server:
            started["port"] = server.port
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield started["port"]
    finally:
        started["loop"].call_soon_threadsafe(started["stop"].set)
        thread.join(30)


def answer(status, headers, content):
    return SimpleNamespace(
        status=status,
        headers=SimpleNamespace(raw=tuple(headers)),
        content=content,
        receipt=SimpleNamespace(encoded=RECEIPT),
    )


class LocalModel:
    """Answers as a server of the Open Inference Protocol does, over an engine."""

    def __init__(self, engine, *, ready: bool = True) -> None:
        self.engine, self.ready = engine, ready
        self.fields: list = []

    async def request(self, method, path, *, headers, content):
        self.fields.append([name for name, _ in headers])
        return answer(*await asyncio.to_thread(self._answer, method, path, headers, content))

    def _answer(self, method, path, headers, content):
        try:
            found = route(method, path)
            if found.kind == "infer":
                request = decode_infer(headers, content)
                return 200, *encode_infer(request, self.engine.infer(request))
        except RequestRefused as error:
            return encode_error(error)
        match found.kind:
            case "server-live":
                return encode_server_live()
            case "server-ready":
                return encode_server_ready(self.ready)
            case "server-metadata":
                return encode_server_metadata("local", "1")
            case "model-ready":
                return encode_model_ready(found.model, self.ready)
        return encode_model_metadata(self.engine.metadata)


class Refusing:
    """A server that is refused: no evidence of it is accepted."""

    def __init__(self, error) -> None:
        self.error = error

    async def request(self, *given, **more):
        raise self.error

    @asynccontextmanager
    async def stream(self, *given, **more):
        raise self.error
        yield
