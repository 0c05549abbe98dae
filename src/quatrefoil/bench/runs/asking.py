"""The near end: a question asked through each way that a plan may take, timed from its owner's data to the right
answer.

"plain": HTTP to an unattested server. "layered": the same model from a served process whose evidence is that of a TPM
in software; requests are sealed, answers have receipts. "channel": encrypted, to a party without a key behind a
channel. "served": encrypted, to one inside such a served process. The time in which a client attests a server, or has a
model prepared, is in none: it serves many requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from quatrefoil.bench.broker_site import HOST
from quatrefoil.bench.runs.computing import ANSWER, QUESTION, from_words, to_words
from quatrefoil.bench.runs.far import LARGEST
from quatrefoil.bench.serving_models import Served
from quatrefoil.bench.serving_site import OWNER, Server, ServingSite
from quatrefoil.client import AsyncClient, Client
from quatrefoil.demo.wire_tap import tapped
from quatrefoil.errors import HostError
from quatrefoil.exchange import protocol
from quatrefoil.inference import InferRequest, decode_infer_response, encode_infer_request
from quatrefoil.transport import Dialer, FixedCredentials, system_clock
from quatrefoil.web.limits import ClientLimits

Tensors = Mapping[str, NDArray[Any]]
Asking = Callable[[bytes], bytes]

BODY_BYTES, SECONDS = 64 << 20, 1200
"""What a request may have, and how long computing on what is encrypted may take."""


def site_of(folder: Path, name: str, program: bytes) -> ServingSite:
    """A site that serves an ONNX file, or a program of ``computing``. To be entered."""
    served = Served(name, program, 0, ("", None), "")  # type: ignore[arg-type] # it is asked from here
    return ServingSite(folder, served, body_bytes=BODY_BYTES, seconds=SECONDS)


def ask_plainly(site: ServingSite, server: Server, requests: Sequence[Tensors]) -> tuple[list[float], list[Tensors]]:
    """Milliseconds and answer of each request, one after another."""

    async def everything() -> tuple[list[float], list[Tensors]]:
        from quatrefoil.web.client import WebClient  # needs the extra `serve`; whoever runs rounds only does not

        async with WebClient(tls=None, limits=ClientLimits(answer_seconds=SECONDS)) as web:

            async def ask(inputs: Tensors) -> Tensors:
                fields, content = encode_infer_request(InferRequest(inputs, binary=True))
                url = f"{server.url}/v2/models/{site.served.name}/infer"
                answer = await web.request("POST", url, fields, content)
                if answer.status != 200:
                    raise HostError(f"the plain server answered {answer.status}", hint="Run the bench again")
                return decode_infer_response(answer.headers, answer.content).outputs

            return await _timed(ask, requests)

    return asyncio.run(everything())


def ask_protected(site: ServingSite, server: Server, requests: Sequence[Tensors]) -> tuple[list[float], list[Tensors]]:
    """The same of the attested server."""

    async def everything() -> tuple[list[float], list[Tensors]]:
        async with AsyncClient(server.url, **_as_owner(site)) as client:

            async def ask(inputs: Tensors) -> Tensors:
                return (await client.infer(inputs)).outputs

            return await _timed(ask, requests)

    return asyncio.run(everything())


def bytes_protected(site: ServingSite, server: Server, inputs: Tensors) -> int:
    """What crosses the network for one request to an attested server and its answer, both ways, without the handshake
    and the attestation before it."""

    async def asked() -> int:
        with tapped(server.port) as tap:
            async with AsyncClient(f"https://{HOST}:{tap.port}", **_as_owner(site)) as client:
                await client.infer(inputs)
                before = len(tap.seen)
                await client.infer(inputs)
                return len(tap.seen) - before

    return asyncio.run(asked())


@contextmanager
def through_channel(site: ServingSite, server: Server) -> Iterator[Asking]:
    """Asks a ``Computer`` behind a channel."""
    dialer = Dialer(
        HOST,
        server.port,
        credentials=FixedCredentials(site.site.people[OWNER], site.site.trust),
        expect_role=protocol.SERVER_ROLE,
        timeout=SECONDS,
        clock=system_clock,
    )
    with dialer.connect() as channel:

        def ask(question: bytes) -> bytes:
            channel.send(question)
            return channel.receive(LARGEST)

        yield ask


@contextmanager
def through_service(site: ServingSite, server: Server) -> Iterator[Asking]:
    """Asks a ``Computer`` inside an attested server, which is attested before."""
    with Client(server.url, **_as_owner(site)) as client:
        client.attest()

        def ask(question: bytes) -> bytes:
            return from_words(client.infer({QUESTION: to_words(question)}).outputs[ANSWER])

        yield ask


async def _timed(ask: Callable[[Tensors], Any], requests: Sequence[Tensors]) -> tuple[list[float], list[Tensors]]:
    times, answers = [], []
    await ask(requests[0])  # connection, attestation and what is computed once
    for inputs in requests:
        begin = time.perf_counter()
        answers.append(await ask(inputs))
        times.append((time.perf_counter() - begin) * 1e3)
    return times, answers


def _as_owner(site: ServingSite) -> dict[str, Any]:
    return {
        "policy": site.policy,
        "collateral": site.site.collateral,
        "identity": site.site.people[OWNER],
        "trust": site.site.trust,
    }
