"""Requests of the Open Inference Protocol, answered by an engine in threads of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata

from quatrefoil import inference
from quatrefoil.errors import EngineFailed, QuatrefoilError, RequestRefused
from quatrefoil.exchange import ServingPolicy
from quatrefoil.inference import Engine, Route
from quatrefoil.inference.framing import Headers
from quatrefoil.inference.limits import DEFAULT
from quatrefoil.ohttp import Request, Response, ResponseHead
from quatrefoil.serving.handler import Caller, Traced
from quatrefoil.serving.promised import require_recorded
from quatrefoil.serving.record_writer import Recorder


class OipHandler:
    """``engine``'s answers, as many at once as ``policy`` lets compute. Reading and writing of tensors is in the
    threads too, so that the event loop stays free."""

    def __init__(self, engine: Engine, policy: ServingPolicy, *, recorder: Recorder | None = None) -> None:
        """``recorder``: of the model that ``engine`` computes, where the server is in audit mode; ``CallerError`` where
        it is not, and ``policy`` promises proofs."""
        require_recorded(policy, recorded=recorder is not None)
        self._engine = engine
        self._recorder = recorder
        limits = policy.limits
        self._reading = _limits(limits.request_bytes)
        self._writing = _limits(limits.answer_bytes)
        self._threads = ThreadPoolExecutor(limits.concurrent, thread_name_prefix="inference")
        self._open = True

    @property
    def name(self) -> str:
        return self._engine.metadata.name

    @property
    def ready(self) -> bool:
        return self._open

    async def answer(self, request: Request, caller: Caller) -> Response:  # noqa: ARG002 - nothing is kept for a caller
        found = inference.route(request.head.method.decode("latin-1"), request.head.path.decode("latin-1"))
        if found.kind == "infer":
            self._require(found)
            return await self._computed(request)
        return _response(*self._document(found))

    async def _computed(self, request: Request) -> Response:
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._infer, request)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # The engine cannot be stopped: the place is taken until it ends.
            await asyncio.wait({future})
            if not future.cancelled():
                future.exception()
            raise

    def _infer(self, request: Request) -> Response:
        asked = inference.decode_infer(request.head.fields, request.content, limits=self._reading)
        answered = self._engine.infer(asked)
        headers, body = inference.encode_infer(asked, answered, limits=self._writing)
        if self._recorder is None:
            return _response(200, headers, body)
        trace = self._recorder.model.trace(asked, answered)
        return Traced(ResponseHead(200, tuple(headers)), body, computed=partial(self._recorder.computed, trace))

    def _document(self, found: Route) -> tuple[int, Headers, bytes]:
        if found.kind == "server-metadata":
            return inference.encode_server_metadata("quatrefoil", metadata.version("quatrefoil"))
        if found.kind == "server-live":
            return inference.encode_server_live()
        if found.kind == "server-ready":
            return inference.encode_server_ready(self.ready)
        self._require(found)
        if found.kind == "model-ready":
            return inference.encode_model_ready(self.name, self.ready)
        return inference.encode_model_metadata(self._engine.metadata)

    def _require(self, found: Route) -> None:
        served = self._engine.metadata
        if found.model != served.name or (found.version and found.version not in served.versions):
            raise RequestRefused("there is no such model here", hint="Ask for the one of the policy", status=404)

    def refusal(self, status: int, error: QuatrefoilError) -> Response:
        if isinstance(error, EngineFailed):
            return _response(*inference.encode_error(error))
        return _response(*inference.encode_error(RequestRefused(error.problem, hint=error.hint, status=status)))

    async def close(self) -> None:
        self._open = False
        self._threads.shutdown(wait=False, cancel_futures=True)


def _limits(body: int) -> inference.Limits:
    return inference.Limits(body=body, json=min(body, DEFAULT.json))


def _response(status: int, headers: Headers, body: bytes) -> Response:
    return Response(ResponseHead(status, tuple(headers)), body)


__all__ = ["OipHandler"]
