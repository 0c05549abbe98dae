"""Gateway mode from end to end: what a client opens, what its receipt says, and what the log says of broken streams."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from quatrefoil import ohttp
from quatrefoil.audit import inference_receipts
from quatrefoil.errors import MessageRefused
from quatrefoil.exchange import Model, protocol
from quatrefoil.serving.upstream import UpstreamHandler
from serving_parts import serving_policy
from serving_world import World, started
from upstreams import running
from upstreams.faulty import DONE, FAULTS, NAME, Faulty, event

CHAT = b"/v1/chat/completions"
MARKER = "MARKER-of-a-patient"
SECONDS = 30.0


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running.small_model(running.trained(tmp_path_factory.mktemp("model"))) as url:
        yield url


@asynccontextmanager
async def gateway(url: str, **changes: Any) -> AsyncIterator[World]:
    policy = serving_policy(model=Model(NAME, bytes(range(32))), **changes)
    handler = UpstreamHandler(url, policy)
    await handler.open()
    async with started(policy, handler=handler) as world:
        yield world


def chat(text: str, **more: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text}], **more}).encode()


def said(stream: bytes) -> str:
    """The text of a streamed chat completion."""
    lines = [line[6:] for line in stream.decode().split("\n\n") if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return "".join(choice["delta"].get("content", "") for line in lines for choice in json.loads(line)["choices"])


@pytest.mark.parametrize(
    "changes", [{}, {"stream__event_bytes": 512}, {"stream__window_ms": 20, "stream__event_bytes": 512}]
)
def test_the_small_model_answers_whole_and_streamed(small_model: str, changes: dict[str, Any]) -> None:
    async def run() -> None:
        async with gateway(small_model, **changes) as world:
            whole = await world.ask(world.request(CHAT, chat("how is bed 7?", temperature=0)))
            text = whole.json["choices"][0]["message"]["content"]
            assert text.startswith("bed ")
            streamed = await world.ask(
                world.request(CHAT, chat("how is bed 7?", temperature=0, stream=True)), chunked=True
            )
            assert streamed.field(b"content-type") == b"text/event-stream"
            assert said(streamed.content) == text
            embedded = await world.ask(world.request(b"/v1/embeddings", json.dumps({"input": "bed 7"}).encode()))
            assert len(embedded.json["data"][0]["embedding"]) == 64
            listed = await world.ask(world.request(b"/v1/models"))
            assert [one["id"] for one in listed.json["data"]] == [NAME]
            assert all(one.complete and one.model == bytes(range(32)) for one in world.receipts.receipts)

    asyncio.run(run())


@pytest.mark.parametrize(("caches", "again"), [("request", [0, 0, 0]), ("tenant", [0, 1, 0])])
def test_the_cache_of_a_prompt_serves_its_tenant_only(small_model: str, caches: str, again: list[int]) -> None:
    """Whoever sends another's prompt, with what was its salt, learns nothing from what is cached."""

    async def run() -> None:
        async with gateway(small_model, isolation__caches=caches) as world:
            found = []
            for party in ("north", "north", "south"):
                content = json.dumps({"prompt": f"user: {MARKER}", "max_tokens": 1, "cache_salt": "north"}).encode()
                answer = await world.ask(world.request(b"/v1/completions", content), party=party)
                found.append(answer.json["usage"]["prompt_tokens_details"]["cached_tokens"])
            assert [min(one, 1) for one in found] == again

    asyncio.run(run())


def test_a_refusal_is_openais_and_has_a_receipt() -> None:
    async def run() -> None:
        async with Faulty() as upstream, gateway(upstream.url) as world:
            for content, status in (
                (chat("a", user=MARKER), 400),
                (chat("a", model="b"), 404),
                (chat("status 500"), 502),
            ):
                answer = await world.ask(world.request(CHAT, content))
                assert (answer.status, answer.receipt.status) == (status, status)
                assert answer.json["error"]["message"]
                assert MARKER.encode() not in answer.content and b"MARKER" not in answer.content
            missing = await world.ask(world.request(b"/v2/health/live"))
            assert (missing.status, "error" in missing.json) == (404, True)

    asyncio.run(run())


MIDWAY = sorted(
    set(FAULTS) - {"empty", "stall-first", "garbage-first", "error-first", "done-first", "stall", "stall-comments"}
)


@pytest.mark.parametrize("fault", [*MIDWAY, "stall"])
def test_a_stream_that_breaks_is_never_shown_as_whole(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def run() -> None:
        changes = {"limits__seconds": 1, "limits__answer_bytes": 3 << 20}
        async with Faulty() as upstream, gateway(upstream.url, **changes) as world:
            sealed = await world.sealed(world.request(CHAT, chat(f"fault {fault}", stream=True)), chunked=True)
            asked = world.asked("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            await asyncio.wait({asked.task}, timeout=SECONDS)
            assert asked.task.done()
            asked.task.exception()  # whether the gateway raises to cut the connection, or not
            assert asked.outer is not None
            opener = ohttp.ResponseOpener(sealed.response, limit=64 << 20)
            opened = b"".join(opener.feed(asked.outer.content))
            with pytest.raises(MessageRefused, match="cut off"):
                opener.finish()
            assert b"[DONE]" not in opened and b"MARKER" not in opened
            assert protocol.RECEIPT_FIELD not in opened
            (receipt,) = world.receipts.receipts
            assert not receipt.complete and receipt.status == 200
            assert not any("MARKER" in line or "fault " in line for line in world.said)

    asyncio.run(run())
    assert "MARKER" not in caplog.text


def test_a_client_that_leaves_ends_the_request_upstream() -> None:
    async def run() -> None:
        async with Faulty() as upstream, gateway(upstream.url) as world:
            sealed = await world.sealed(world.request(CHAT, chat("fault stall", stream=True)), chunked=True)
            asked = world.asked("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            await asyncio.wait_for(asked.arrived.wait(), SECONDS)
            asked.leave()
            await asyncio.wait_for(upstream.left.acquire(), SECONDS)
            await asyncio.wait({asked.task}, timeout=SECONDS)
            assert [one.complete for one in world.receipts.receipts] == [False]
            assert (await world.ask(world.request(CHAT, chat("a")))).status == 200

    asyncio.run(run())


def test_what_is_streamed_is_what_the_receipt_commits_to() -> None:
    async def run() -> None:
        async with Faulty() as upstream, gateway(upstream.url) as world:
            sealed = await world.sealed(world.request(CHAT, chat("stream 500", stream=True)), chunked=True)
            outer = await world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            answer = sealed.open(outer)
            sent = b"".join(event(str(number)) for number in range(500)) + DONE
            assert answer.content == sent
            commitment = inference_receipts.commit_answer(sealed.response.salt, 200, sent)
            assert answer.receipt.answer == commitment

    asyncio.run(run())


def test_an_upstream_that_is_gone_makes_the_server_not_ready() -> None:
    async def run() -> None:
        async with Faulty() as upstream, gateway(upstream.url) as world:
            assert (await world.outer("GET", protocol.READY_PATH)).status == 200
            await upstream.__aexit__()
            for _ in range(300):
                if not world.handler.ready:
                    break
                await asyncio.sleep(0.01)
            assert (await world.outer("GET", protocol.READY_PATH)).status == 503
            answer = await world.ask(world.request(CHAT, chat("a")))
            assert answer.status == 503 and answer.field(b"retry-after")

    asyncio.run(run())
