"""Answers in parts: at their times, filled up, their receipt at the end; what breaks is never taken for whole."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import HostError, MessageRefused, QuatrefoilError
from quatrefoil.exchange import Stream, protocol
from quatrefoil.ohttp import Request, Response, ResponseHead
from quatrefoil.serving.handler import Caller, Streamed
from quatrefoil.serving.streams import batches
from serving_parts import serving_policy
from serving_world import started

EVENTS = ((b"content-type", b"text/event-stream"),)
TOKENS = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"]


class Speaker:
    """A handler whose answers are what ``speak`` gives."""

    def __init__(self, speak: Callable[[], AsyncIterator[bytes]], fields: tuple[tuple[bytes, bytes], ...] = EVENTS):
        self.speak, self.fields = speak, fields
        self.callers: list[Caller] = []
        self.closed = 0

    name = "speaker"
    ready = True

    async def answer(self, _request: Request, caller: Caller) -> Response | Streamed:
        self.callers.append(caller)
        return Streamed(ResponseHead(200, self.fields), self._spoken())

    async def _spoken(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self.speak():
                yield piece
        finally:
            self.closed += 1

    def refusal(self, status: int, error: QuatrefoilError) -> Response:
        return Response(ResponseHead(status), str(error).encode())

    async def close(self) -> None:
        pass


async def tokens() -> AsyncIterator[bytes]:
    for token in TOKENS:
        yield token


def test_a_stream_ends_with_its_receipt() -> None:
    async def run() -> None:
        speaker = Speaker(tokens)
        async with started(handler=speaker) as world:
            sealed = await world.sealed(world.request(b"/v1/chat"), chunked=True)
            outer = await world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            assert outer.headers[b"incremental"] == b"?1"
            assert len(outer.pieces) == 5  # head, tokens, end
            answer = sealed.open(outer)
            assert answer.content == b"".join(TOKENS)
            assert dict(answer.response.trailers).keys() == {protocol.RECEIPT_FIELD}
            whole = await world.ask(world.request(b"/v1/chat"))
            assert whole.content == b"".join(TOKENS)
            assert speaker.closed == 2

    asyncio.run(run())


def test_events_are_filled_up_to_sizes_of_the_policy() -> None:
    async def run() -> None:
        async with started(serving_policy(stream__event_bytes=64), handler=Speaker(tokens)) as world:
            answer = await world.ask(world.request(b"/v1/chat"), chunked=True)
            assert len(answer.content) == 3 * 64
            assert [line for line in answer.content.split(b"\n") if line.startswith(b"data")] == [
                token.strip() for token in TOKENS
            ]
            other = Speaker(tokens, ((b"content-type", b"application/octet-stream"),))
            async with started(serving_policy(stream__event_bytes=64), handler=other) as plain:
                answer = await plain.ask(plain.request(b"/v1/chat"), chunked=True)
                assert answer.content == b"".join(TOKENS)

    asyncio.run(run())


def test_a_stream_that_breaks_has_no_end_and_a_receipt_for_the_log() -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield TOKENS[0]
        raise RuntimeError("MARKER of an upstream")

    async def run() -> None:
        async with started(handler=Speaker(breaks)) as world:
            sealed = await world.sealed(world.request(b"/v1/chat"), chunked=True)
            outer = await world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            with pytest.raises(MessageRefused, match="cut off"):
                sealed.plain(outer)
            (receipt,) = world.receipts.receipts
            assert not receipt.complete and receipt.status == 200
            assert any("RuntimeError" in line for line in world.said)
            assert not any("MARKER" in line for line in world.said)
            whole = await world.ask(world.request(b"/v1/chat"))
            assert whole.status == whole.receipt.status == 502 and b"MARKER" not in whole.content

    asyncio.run(run())


def test_a_client_that_leaves_ends_the_stream() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield TOKENS[0]
            await asyncio.sleep(0.001)

    async def run() -> None:
        speaker = Speaker(endless)
        async with started(handler=speaker) as world:
            sealed = await world.sealed(world.request(b"/v1/chat"), chunked=True)
            asked = world.asked("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            await asked.arrived.wait()
            asked.leave()
            with pytest.raises(MessageRefused):
                sealed.plain(await asked.answer())
            assert speaker.closed == 1
            assert [one.complete for one in world.receipts.receipts] == [False]
            assert world.gateway.exchanges.places.taken == 0
            assert (await world.outer("GET", protocol.READY_PATH)).status == 200

    asyncio.run(run())


def test_a_client_that_leaves_while_its_last_receipt_waits_is_in_the_log_all_the_same() -> None:
    """All of the content has gone out by then: an answer off the record otherwise."""

    async def run() -> None:
        async with started(handler=Speaker(tokens)) as world:
            sealed = await world.sealed(world.request(b"/v1/chat"), chunked=True)
            turns = world.gateway.exchanges._sealing._turns
            others = [await turns.take("others", math.inf) for _ in range(2)]  # whose receipts are signed meanwhile
            asked = world.asked("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            while asked.outer is None or len(asked.outer.pieces) < 1 + len(TOKENS):
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            asked.leave()
            await asyncio.sleep(0.01)
            for one in others:
                one.give_back()
            await asked.answer()
            assert [(one.status, len(world.receipts.ended)) for one in world.receipts.receipts] == [(200, 0)]
            with pytest.raises(MessageRefused):
                sealed.plain(asked.outer)

    asyncio.run(run())


def test_a_stream_over_its_bytes_or_its_time_is_cut() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.005)

    async def run() -> None:
        for changes in (
            {"limits__answer_bytes": 20000},
            {"limits__seconds": 1, "limits__stream_seconds": 1},
        ):
            speaker = Speaker(endless, ())
            async with started(serving_policy(**changes), handler=speaker) as world:
                sealed = await world.sealed(world.request(b"/v1/chat"), chunked=True)
                outer = await world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
                with pytest.raises(MessageRefused):
                    sealed.plain(outer)
                assert [one.complete for one in world.receipts.receipts] == [False]
                assert speaker.closed == 1

    asyncio.run(run())


def test_a_reader_that_stalls_holds_the_speaker_back() -> None:
    spoken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal spoken
        while True:
            spoken += 1
            yield b"x" * 1000

    async def run() -> None:
        policy = serving_policy(limits__seconds=1, limits__stream_seconds=1)
        async with started(policy, handler=Speaker(endless, ())) as world:
            sealed = await world.sealed(world.request(b"/v1/chat"), chunked=True)
            asked = world.asked("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            asked.reads.clear()
            await asyncio.sleep(0.05)
            assert spoken <= 1
            asked.leave()
            asked.reads.set()
            await asked.answer()

    asyncio.run(run())


def test_who_asks_is_the_channel_and_salts_are_of_the_policy() -> None:
    async def run() -> None:
        for caches, same in (("request", False), ("tenant", True)):
            speaker = Speaker(tokens)
            async with started(serving_policy(isolation__caches=caches), handler=speaker) as world:
                for party in ("a", "a", "b"):
                    await world.ask(world.request(b"/v1/chat"), party=party)
                await world.ask(world.request(b"/v1/chat"), party="")
            assert [one.tenant for one in speaker.callers] == ["a", "a", "b", "local"]
            first, second, third, _ = (one.cache_salt for one in speaker.callers)
            assert (first == second) is same
            assert third not in (first, second)

    asyncio.run(run())


def test_a_receipt_that_cannot_be_kept_leaves_the_stream_without_end() -> None:
    async def run() -> None:
        async with started(handler=Speaker(tokens)) as world:
            sealed = await world.sealed(world.request(b"/v1/chat"), chunked=True)
            world.receipts.fails = HostError("the disk is full", hint="Free some")
            outer = await world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            with pytest.raises(MessageRefused):
                sealed.plain(outer)

    asyncio.run(run())


@given(st.lists(st.binary(max_size=20), max_size=12), st.integers(0, 3), st.integers(0, 40))
def test_batches_hold_every_byte_in_order(pieces: list[bytes], window: int, size: int) -> None:
    async def said() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def run() -> list[bytes]:
        return [one async for one in batches(said(), Stream(window, size), events=False)]

    sent = asyncio.run(run())
    assert b"".join(sent) == b"".join(pieces)
    assert all(sent)


def test_with_a_window_parts_go_out_at_ticks_and_a_cover_where_nothing_came() -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"data: x\n\n"
        await asyncio.sleep(0.13)
        yield b"data: y\n\n"

    async def run() -> None:
        began = time.monotonic()
        sent = [(time.monotonic() - began, one) async for one in batches(slow(), Stream(50, 64), events=True)]
        assert all(len(one) == 64 for _, one in sent)
        assert sent[0][0] >= 0.05 and sent[0][1].count(b"data: x") == 4
        assert any(b"data" not in one for _, one in sent)
        assert b"data: y" in sent[-1][1]

    asyncio.run(run())


def test_a_window_passes_on_what_breaks() -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"x"
        raise RuntimeError

    async def run() -> None:
        with pytest.raises(RuntimeError):
            _ = [one async for one in batches(breaks(), Stream(20, 0), events=False)]

    asyncio.run(run())
