"""A server that is asked for more than it can do: who waits, who is sent away, and no party holds up another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

from test_gateway import INPUT
from told_handler import Does

from quatrefoil.exchange import protocol
from quatrefoil.inference import InferRequest, InferResponse, OnnxEngine
from quatrefoil.ohttp import Request, Response, ResponseHead
from quatrefoil.serving.handler import Streamed
from quatrefoil.serving.oip import OipHandler
from serving_parts import INFER, MODEL, serving_policy
from serving_world import started
from small_models import linear


def test_more_than_can_wait_are_told_to_come_again() -> None:
    async def run() -> None:
        gate = asyncio.Event()

        async def waits(_request: Request) -> Response:
            await gate.wait()
            return Response(ResponseHead(200))

        policy = serving_policy(limits__concurrent=1, limits__queued=2)
        async with started(policy, handler=Does(waits)) as world:
            await world.attest()
            tasks = [asyncio.ensure_future(world.ask(world.request(), party="a")) for _ in range(6)]
            while sum(task.done() for task in tasks) < 3:
                await asyncio.sleep(0.001)
            modest = asyncio.ensure_future(world.ask(world.request(), party="b"))
            await asyncio.sleep(0.01)
            gate.set()
            answers = await asyncio.gather(*tasks)
            assert (await modest).status == 200
            assert sorted(one.status for one in answers) == [200, 200, 503, 503, 503, 503]
            full = next(one for one in answers if one.status == 503)
            assert int(full.field(b"retry-after")) >= 1
            assert full.receipt.status == 503

    asyncio.run(run())


def test_an_answer_that_takes_too_long_is_given_up_and_its_place_stays_taken_until_it_ends() -> None:
    async def run() -> None:
        release = threading.Event()

        class Slow(OnnxEngine):
            def infer(self, request: InferRequest) -> InferResponse:
                release.wait(30)
                return super().infer(request)

        policy = serving_policy(limits__seconds=1, limits__stream_seconds=1, limits__concurrent=1, limits__queued=0)
        handler = OipHandler(Slow(linear(), name=MODEL), policy)
        async with started(policy, handler=handler) as world:
            late = await world.ask(world.request(INFER, INPUT))
            assert late.status == 504
            assert world.gateway.exchanges.places.taken == 1
            assert (await world.ask(world.request(INFER, INPUT))).status == 503
            release.set()
            while world.gateway.exchanges.places.taken:
                await asyncio.sleep(0.001)
            assert (await world.ask(world.request(INFER, INPUT))).status == 200

    asyncio.run(run())


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def run() -> None:
        policy = serving_policy(limits__seconds=1, limits__stream_seconds=1)
        async with started(policy) as world:
            asked = world.asked("POST", protocol.GATEWAY_PATH, [b"x", b"y"], kind="message/ohttp-req")
            asked._parts = []
            assert (await asked.answer()).status == 408

    asyncio.run(run())


def test_one_party_cannot_fill_the_memory_with_requests_that_wait() -> None:
    async def run() -> None:
        gate = asyncio.Event()

        async def waits(_request: Request) -> Response:
            await gate.wait()
            return Response(ResponseHead(200))

        policy = serving_policy(limits__request_bytes=1000, limits__concurrent=1, limits__queued=1)
        async with started(policy, handler=Does(waits)) as world:
            await world.attest()
            half = b"x" * 150_000
            greedy = [
                world.asked("POST", protocol.GATEWAY_PATH, [half, half], kind="message/ohttp-req", party="greedy")
                for _ in range(9)
            ]
            for one in greedy:
                one._parts = [half]
                one._more = True
            await asyncio.sleep(0.05)
            refused = [one for one in greedy if one.outer is not None]
            assert refused and all(one.outer is not None and one.outer.status == 503 for one in refused)
            modest = asyncio.ensure_future(world.ask(world.request(), party="modest"))
            await asyncio.sleep(0.01)
            gate.set()
            assert (await modest).status == 200
            for one in greedy:
                one.leave()
                await one.task
            assert world.gateway.exchanges.memory.held == 0

    asyncio.run(run())


def test_refusals_of_one_party_do_not_hold_up_the_receipts_of_another() -> None:
    async def run() -> None:
        async with started() as world:
            await world.attest()
            order: list[str] = []

            async def ask(party: str) -> None:
                await world.ask(b"\x07junk", party=party)
                order.append(party)

            tasks = [asyncio.ensure_future(ask("greedy")) for _ in range(40)]
            await asyncio.sleep(0)
            tasks.append(asyncio.ensure_future(ask("modest")))
            await asyncio.gather(*tasks)
            assert order.index("modest") < 20

    asyncio.run(run())


def test_a_slow_reader_of_what_was_gathered_holds_no_place() -> None:
    async def run() -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"x" * 1000

        async def answers(_request: Request) -> Any:
            return Streamed(ResponseHead(200), pieces())

        async with started(serving_policy(limits__concurrent=1), handler=Does(answers)) as world:
            sealed = await world.sealed(world.request())
            slow = world.asked("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            slow.reads.clear()
            while not world.receipts.receipts:
                await asyncio.sleep(0.001)
            assert world.gateway.exchanges.places.taken == 0
            assert (await world.ask(world.request())).status == 200
            slow.reads.set()
            assert sealed.open(await slow.answer()).content == b"x" * 1000

    asyncio.run(run())
