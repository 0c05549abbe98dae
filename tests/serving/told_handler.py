"""A handler that does what a test tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quatrefoil.errors import QuatrefoilError
from quatrefoil.ohttp import Request, Response, ResponseHead
from quatrefoil.serving.handler import Caller, Streamed


class Does:
    """A handler that does what it is told."""

    name = "does"

    def __init__(self, does: Callable[[Request], Any], *, ready: bool = True) -> None:
        self._does = does
        self.ready = ready

    async def answer(self, request: Request, _caller: Caller) -> Response | Streamed:
        answer = await self._does(request)
        assert isinstance(answer, Response | Streamed)
        return answer

    def refusal(self, status: int, error: QuatrefoilError) -> Response:
        return Response(ResponseHead(status), str(error).encode())

    async def close(self) -> None:
        pass
