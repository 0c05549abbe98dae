"""What a server does when it is left, not ready, or may go on no more; and when a handler gives what it must not."""

from __future__ import annotations

import asyncio

from told_handler import Does

from quatrefoil.exchange import protocol
from quatrefoil.ohttp import Request, Response, ResponseHead
from serving_parts import serving_policy
from serving_world import started


def test_a_client_that_leaves_before_its_answer_frees_its_place() -> None:
    async def run() -> None:
        cancelled = asyncio.Event()

        async def waits(_request: Request) -> Response:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

        async with started(handler=Does(waits)) as world:
            sealed = await world.sealed(world.request())
            asked = world.asked("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind)
            await asyncio.sleep(0.01)
            asked.leave()
            await asked.task
            await cancelled.wait()
            await asyncio.sleep(0)
            assert asked.outer is None
            assert world.gateway.exchanges.places.taken == 0
            world.keys.retire()
            assert world.receipts.receipts == []
            half = world.asked("POST", protocol.GATEWAY_PATH, [sealed.content[:9], b""], kind=sealed.kind)
            half.leave()
            await half.task
            assert half.outer is None

    asyncio.run(run())


def test_a_handler_that_is_not_ready_answers_503() -> None:
    async def run() -> None:
        async with started(handler=Does(lambda _: None, ready=False)) as world:
            assert (await world.outer("GET", protocol.READY_PATH)).status == 503
            assert (await world.ask(world.request())).status == 503

    asyncio.run(run())


def test_an_answer_over_the_limit_is_not_sent() -> None:
    async def run() -> None:
        async def much(_request: Request) -> Response:
            return Response(ResponseHead(200), b"x" * 1001)

        async with started(serving_policy(limits__answer_bytes=1000), handler=Does(much)) as world:
            assert (await world.ask(world.request())).status == 413

    asyncio.run(run())


def test_no_handler_puts_a_receipt_of_its_own_into_an_answer() -> None:
    async def run() -> None:
        async def forges(_request: Request) -> Response:
            return Response(ResponseHead(200, ((b"Quatrefoil-Receipt", b"forged"),)))

        async with started(handler=Does(forges)) as world:
            for chunked in (False, True):
                answer = await world.ask(world.request(), chunked=chunked)
                assert b"forged" not in [value for _, value in answer.response.head.fields]

    asyncio.run(run())


def test_those_who_wait_are_sent_away_when_the_model_may_be_used_no_more() -> None:
    async def run() -> None:
        gate = asyncio.Event()

        async def waits(_request: Request) -> Response:
            await gate.wait()
            return Response(ResponseHead(200))

        async with started(serving_policy(limits__concurrent=1), handler=Does(waits)) as world:
            await world.attest()
            first = asyncio.ensure_future(world.ask(world.request()))
            await asyncio.sleep(0.01)
            second = asyncio.ensure_future(world.ask(world.request()))
            await asyncio.sleep(0.01)
            world.gateway.dismiss()
            assert (await second).status == 503
            assert (await world.outer("GET", protocol.READY_PATH)).status == 503
            gate.set()
            assert (await first).status == 200
            await world.gateway.idle()

    asyncio.run(run())


def test_a_request_that_was_still_on_its_way_is_not_begun_when_the_model_may_be_used_no_more() -> None:
    async def run() -> None:
        begun: list[Request] = []

        async def counts(request: Request) -> Response:
            begun.append(request)
            return Response(ResponseHead(200))

        async with started(handler=Does(counts)) as world:
            sealed = await world.sealed(world.request())
            half = len(sealed.content) // 2
            asked = world.asked("POST", protocol.GATEWAY_PATH, sealed.content[:half], kind=sealed.kind)
            asked._more = True  # the rest is on its way
            await asyncio.sleep(0.01)
            world.gateway.dismiss()
            asked._parts, asked._more = [sealed.content[half:]], False
            asked.resume()
            assert sealed.open(await asked.answer()).status == 503
            assert begun == []

    asyncio.run(run())
