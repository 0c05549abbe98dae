"""What gateway mode costs for each streamed token, beside reading the upstream's stream as it is.

Both ends are in this process, one after the other: the handler's checks, the commitment, the chunk that is sealed, the
client that opens it and reads it. Not in it: the sockets and the TLS between them.

    python -m quatrefoil.bench.tokens POLICY
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from quatrefoil import exchange, ohttp
from quatrefoil.audit.inference_receipts import AnswerCommitment
from quatrefoil.errors import HostError, ParametersRefused
from quatrefoil.exchange import ServingPolicy
from quatrefoil.ohttp import (
    GatewayKeys,
    HybridKey,
    NoPadding,
    Request,
    RequestHead,
    RequestOpener,
    RequestSealer,
    Response,
    ResponseDecoder,
    ResponseHead,
    ResponseKeys,
    ResponseOpener,
    ResponseSealer,
    StreamEncoder,
)
from quatrefoil.serving.handler import EVENTS, Caller, Streamed
from quatrefoil.serving.streams import batches
from quatrefoil.serving.upstream import UpstreamEvents, UpstreamHandler
from quatrefoil.serving.upstream_events import EventReader
from quatrefoil.serving.upstream_requests import COMPLETIONS
from quatrefoil.web import ClientLimits
from quatrefoil.web.client import WebClient

_TOKEN = {"index": 0, "delta": {"content": " token"}, "logprobs": None, "finish_reason": None}
_DOCUMENT = {"id": "chatcmpl-0123456789abcdef0123456789abcdef", "object": "chat.completion.chunk", "created": 1}
EVENT = b"data: " + json.dumps({**_DOCUMENT, "model": "a-language-model", "choices": [_TOKEN]}).encode() + b"\n\n"
DONE = b"data: [DONE]\n\n"
MODULE = "quatrefoil.bench.tokens"
_LIMIT = 1 << 30


def measure_tokens(
    policy: ServingPolicy, progress: Callable[[str], None], *, tokens: int = 5000, repeats: int = 7
) -> dict[str, Any]:
    """Microseconds a token, medians of ``repeats`` pairs of streams of ``tokens``, which the limits of ``policy`` hold.

    ``token_us``: of the processor, added where each event arrives by itself, from memory; ``check_us``, ``seal_us``,
    ``open_us``: its largest steps. ``flood_us``: until the client has all, added where an upstream streams as fast as
    it can: there several arrive together (``plain_together`` on average, without us), and work overlaps with waiting.
    """
    if tokens < 1 or repeats < 1:
        raise ParametersRefused(f"{tokens} tokens, {repeats} times, measure nothing", hint="Choose 5000 and 7")
    with _upstream(tokens, policy.model.name) as url:
        return asyncio.run(_measured(url, policy, progress, tokens, repeats))


async def _measured(
    url: str, policy: ServingPolicy, progress: Callable[[str], None], tokens: int, repeats: int
) -> dict[str, Any]:
    handler = UpstreamHandler(url, policy)
    await handler.open()
    limits = ClientLimits(answer_bytes=_LIMIT)
    try:
        async with WebClient(tls=None, limits=limits) as plain:
            pairs, pieces = [], 0
            for number in range(repeats + 1):  # the first pair warms up
                progress(f"streams of {tokens} tokens, pair {number} of {repeats}")
                without, pieces = await _plain(plain, url)
                through = await _through(_answered(handler, policy), policy, time.perf_counter)
                pairs.append((through - without) / tokens)
    finally:
        await handler.close()
    alone = []
    for _ in range(repeats):
        without = await _consumed(_each(tokens))
        alone.append((await _through(_apart(tokens, policy), policy, time.process_time) - without) / tokens)
    return {
        "tokens": tokens,
        "event_bytes": len(EVENT),
        "token_us": _us(alone),
        **_steps(tokens, repeats),
        "flood_us": _us(pairs[1:]),
        "plain_together": round(tokens / pieces, 1),
    }


async def _plain(client: WebClient, url: str) -> tuple[float, int]:
    """Seconds to read the upstream's stream, and the pieces that it came in."""
    began, pieces = time.perf_counter(), 0
    fields = ((b"content-type", b"application/json"),)
    async with client.stream("POST", url + COMPLETIONS, fields, b'{"stream": true}') as incoming:
        async for _ in incoming.pieces():
            pieces += 1
    return time.perf_counter() - began, pieces


async def _answered(handler: UpstreamHandler, policy: ServingPolicy) -> Streamed:
    head = RequestHead(b"POST", b"https", b"model.example", COMPLETIONS.encode())
    request = Request(head, b'{"prompt": "hello", "stream": true}')
    deadline = time.monotonic() + policy.limits.seconds
    answer = await handler.answer(request, Caller("client", "0" * 32, deadline))
    if isinstance(answer, Response):
        raise HostError("the upstream of the measurement does not stream", hint="Report this")
    return answer


async def _apart(tokens: int, policy: ServingPolicy) -> Streamed:
    """The same as if each event came alone, from memory."""
    return Streamed(ResponseHead(200, ((b"content-type", EVENTS),)), UpstreamEvents(_each(tokens), policy))


async def _each(tokens: int) -> AsyncIterator[bytes]:
    for _ in range(tokens):
        yield EVENT
    yield DONE


async def _consumed(pieces: AsyncIterator[bytes]) -> float:
    began = time.process_time()
    async for _ in pieces:
        pass
    return time.process_time() - began


async def _through(answering: Awaitable[Streamed], policy: ServingPolicy, clock: Callable[[], float]) -> float:
    """Seconds until the client has all of the answer: as ``serving.sealing`` sends it, and as a client reads it."""
    server, client = _keys()
    began = clock()
    answer = await answering
    encoder, sealer = StreamEncoder(answer.head), ResponseSealer(server)
    opener, decoder = ResponseOpener(client, limit=_LIMIT), ResponseDecoder()
    signed, checked = AnswerCommitment(server.salt, 200), AnswerCommitment(client.salt, 200)

    def read(sealed: bytes) -> None:
        for content in opener.feed(sealed):
            for event in decoder.feed(content):
                if isinstance(event, ohttp.Content):
                    checked.update(event.data)

    read(sealer.seal(encoder.head()))
    async for part in batches(answer.pieces, policy.stream, events=True):
        signed.update(part)
        read(sealer.seal(encoder.content(part)))
    read(sealer.finish(encoder.end(padding=NoPadding())))
    decoder.feed(opener.finish())
    decoder.finish()
    spent = clock() - began
    if signed.digest() != checked.digest():
        raise HostError("what was read is not what was sent", hint="Report this")
    return spent


def _keys() -> tuple[ResponseKeys, ResponseKeys]:
    """Of one request: what seals its answer, and what opens it."""
    keys = GatewayKeys({})
    sealer = RequestSealer(keys.add(1, HybridKey.generate()))
    opener = RequestOpener(keys, limit=1 << 10)
    opener.feed(sealer.seal(b"request") + sealer.finish())
    return opener.response, sealer.response


def _steps(tokens: int, repeats: int) -> dict[str, float]:
    """Each step of a token by itself."""
    found: dict[str, list[float]] = {"check_us": [], "seal_us": [], "open_us": []}
    for _ in range(repeats):
        server, client = _keys()
        reader, sealer, opener = EventReader(), ResponseSealer(server), ResponseOpener(client, limit=_LIMIT)
        opener.feed(sealer.seal(b"head"))
        began = time.process_time()
        for _ in range(tokens):
            reader.feed(EVENT)
        checked = time.process_time()
        chunks = [sealer.seal(EVENT) for _ in range(tokens)]
        sealed = time.process_time()
        for chunk in chunks:
            opener.feed(chunk)
        spent = (checked - began, sealed - checked, time.process_time() - sealed)
        for name, seconds in zip(found, spent, strict=True):
            found[name].append(seconds / tokens)
    return {name: _us(seconds) for name, seconds in found.items()}


def _us(seconds: list[float]) -> float:
    return round(1e6 * statistics.median(seconds), 2)


# -------------------------------------------------------------------------------------------------------- the upstream


@contextmanager
def _upstream(tokens: int, model: str) -> Iterator[str]:
    command = [sys.executable, "-m", MODULE, str(tokens), model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this module
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


async def _serve(tokens: int, model: str) -> None:
    """Streams ``tokens`` events to whoever sends a body, each written by itself, and lists its model to others."""
    listed = json.dumps({"object": "list", "data": [{"id": model}]}).encode()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET "):
                    start = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
                    writer.write(start + b"%d\r\n\r\n" % len(listed) + listed)
                    continue
                lines = [line.partition(b":") for line in head.lower().split(b"\r\n")]
                (length,) = (int(value) for name, _, value in lines if name == b"content-length")
                await reader.readexactly(length)
                start = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                writer.write(start)
                for event in (*([EVENT] * tokens), DONE):
                    writer.write(b"%x\r\n%b\r\n" % (len(event), event))
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(arguments: Sequence[str]) -> None:
    """``python -m quatrefoil.bench.tokens POLICY`` prints the measurement; with TOKENS and MODEL, be its upstream."""
    if len(arguments) == 2:
        asyncio.run(_serve(int(arguments[0]), arguments[1]))
        return
    (policy,) = arguments
    print(json.dumps(measure_tokens(exchange.load(policy), lambda _: None), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])


__all__ = ["measure_tokens"]
