"""The near end of the serving bench: asks the plain server as any client of the protocol does, and the layered one
through ``quatrefoil.AsyncClient``. Each request goes from an array to an array, in binary tensors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from quatrefoil.bench.serving_load import Ask
from quatrefoil.bench.serving_site import OWNER, Server, ServingSite
from quatrefoil.client import AsyncClient
from quatrefoil.errors import HostError
from quatrefoil.inference import InferRequest, InferResponse, decode_infer_response, encode_infer_request
from quatrefoil.inference.datatypes import Array
from quatrefoil.web.client import WebClient


@asynccontextmanager
async def asking(site: ServingSite, server: Server) -> AsyncIterator[Ask]:
    """What asks ``server`` once, and compares the shape of the answer."""
    name, value = site.served.input
    expected: list[tuple[int, ...]] = []

    def check(outputs: list[Array]) -> None:
        """Every answer is of the shape of the first, and of numbers."""
        shapes = [array.shape for array in outputs]
        expected[:] = expected or shapes
        if shapes != expected or not all(np.isfinite(array).all() for array in outputs):
            raise HostError("the bench got an answer that is none", hint="Run it again, and report it")

    if server.kind == "plain":
        async with WebClient(tls=None) as web:

            async def ask() -> None:
                fields, content = encode_infer_request(InferRequest({name: value}, binary=True))
                url = f"{server.url}/v2/models/{site.served.name}/infer"
                answer = await web.request("POST", url, fields, content)
                if answer.status != 200:
                    raise HostError(f"the plain server answered {answer.status}", hint="Ask with fewer clients")
                found: InferResponse = decode_infer_response(answer.headers, answer.content)
                check(list(found.outputs.values()))

            yield ask
        return

    identity, trust = site.site.people[OWNER], site.site.trust
    async with AsyncClient(
        server.url, policy=site.policy, collateral=site.site.collateral, identity=identity, trust=trust
    ) as client:

        async def ask_layered() -> None:
            answer = await client.infer({name: value})
            check(list(answer.outputs.values()))

        yield ask_layered


__all__ = ["asking"]
