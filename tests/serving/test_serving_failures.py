"""What a server does when it is full, slow, wrong, left or attacked: and none of it shows what was asked."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from test_gateway import INPUT

from quatrefoil import ohttp
from quatrefoil.errors import EngineFailed, QuatrefoilError
from quatrefoil.exchange import protocol
from quatrefoil.inference import InferRequest, InferResponse, OnnxEngine
from quatrefoil.ohttp import Request, Response, ResponseHead, http_date
from quatrefoil.ohttp.chunked import REQUEST_TYPE as CHUNKED
from quatrefoil.serving import exchanges, opening
from quatrefoil.serving.faults import Sparing
from quatrefoil.serving.handler import Caller, Streamed
from quatrefoil.serving.oip import OipHandler
from serving_world import INFER, MODEL, World, serving_policy, started
from small_models import linear, lookup

MARKER = "SECRET-MARKER-4711"


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


def _in_pieces(count: int) -> bytes:
    """A binary message of indeterminate length whose content comes byte by byte."""
    date = http_date(datetime.now(UTC)).encode()
    texts = (b"POST", b"https", b"model.example", b"/v2", b"date", date)
    return b"\x02" + b"".join(bytes([len(one)]) + one for one in texts) + b"\0" + b"\x01x" * count + b"\0\0"


@pytest.mark.parametrize("how", ["pieces", "chunks"])
def test_messages_that_are_long_work_to_read_are_read_beside_the_loop(how: str) -> None:
    """A certified party could stop everybody's answers for seconds with half a megabyte otherwise."""
    threads: list[threading.Thread] = []

    async def run(monkeypatch: pytest.MonkeyPatch) -> None:
        async with started() as world:
            await world.attest()
            read, opens = opening._read, opening._chunks

            def noting(*given: Any) -> Any:
                threads.append(threading.current_thread())
                return read(*given)

            def noting_chunks(*given: Any) -> Any:
                threads.append(threading.current_thread())
                return opens(*given)

            if how == "pieces":
                monkeypatch.setattr(opening, "_read", noting)
                sealed = await world.sealed(_in_pieces(20_000))
                content, kind = sealed.content, sealed.kind
            else:
                monkeypatch.setattr(opening, "_chunks", noting_chunks)
                accepted = await world.attest()
                sealer = ohttp.RequestSealer(protocol.configuration(accepted.keyset))
                message = ohttp.encode_request(world.request(INFER, b"x" * 6000), padding=ohttp.NoPadding())
                parts = [sealer.seal(message[at : at + 1]) for at in range(len(message) - 1)]
                content, kind = b"".join([*parts, sealer.finish(message[-1:])]), CHUNKED
            outer = await world.outer("POST", protocol.GATEWAY_PATH, content, kind=kind)
            assert outer.status == 200
            assert world.receipts.receipts[-1].status in (400, 405)

    with pytest.MonkeyPatch.context() as patched:
        asyncio.run(run(patched))
    assert threads and threading.main_thread() not in threads


def test_what_is_long_work_to_read_is_read_in_turns_of_parties(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a request has a place it costs processor time: one party takes a thread or two of it, and no more."""

    async def run() -> None:
        gate, lock, begun = threading.Semaphore(0), threading.Lock(), list[str]()
        real, of = exchanges.opened, dict[bytes, str]()

        def slow(sealed: bytes, *given: Any, **more: Any) -> Any:
            with lock:
                begun.append(of[sealed])
            gate.acquire(timeout=30)
            return real(sealed, *given, **more)

        monkeypatch.setattr(exchanges, "opened", slow)
        async with started(serving_policy(limits__concurrent=8)) as world:
            tasks = []

            async def send(party: str) -> None:
                sealed = await world.sealed(world.request(INFER, b"x" * (1 << 20)), chunked=True)
                of[sealed.content] = party
                outer = world.outer("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind, party=party)
                tasks.append(asyncio.ensure_future(outer))

            for _ in range(6):
                await send("greedy")
            while len(begun) < 2:
                await asyncio.sleep(0.001)
            await send("modest")
            await asyncio.sleep(0.05)
            assert begun == ["greedy"] * 2
            gate.release()
            gate.release()
            while len(begun) < 4:
                await asyncio.sleep(0.001)
            assert "modest" in begun
            for _ in range(6):
                gate.release()
            assert [one.status for one in await asyncio.gather(*tasks)] == [200] * 7

    asyncio.run(run())


def test_who_waits_to_be_read_for_too_long_or_leaves_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        gate, real = threading.Event(), exchanges.opened

        def slow(*given: Any, **more: Any) -> Any:
            gate.wait(30)
            return real(*given, **more)

        monkeypatch.setattr(exchanges, "opened", slow)
        policy = serving_policy(limits__seconds=1, limits__stream_seconds=1)
        async with started(policy) as world:
            sealed = [await world.sealed(world.request(INFER, b"x" * (1 << 20)), chunked=True) for _ in range(3)]
            asked = [world.asked("POST", protocol.GATEWAY_PATH, one.content, kind=one.kind) for one in sealed]
            late = await asked[2].answer()
            assert late.status == 503 and int(late.headers[b"retry-after"]) >= 1
            gate.set()
            for one in asked[:2]:
                assert (await one.answer()).status == 200
            assert world.gateway.exchanges.memory.held == 0
            world.keys.close()
            assert len(world.receipts.ended) == 1, "nothing is answered for any more"

    asyncio.run(run())


def _strings() -> bytes:
    return json.dumps(
        {
            "inputs": [
                {"name": "d", "shape": [1], "datatype": "BYTES", "data": [MARKER]},
                {"name": "i", "shape": [1], "datatype": "INT64", "data": [99]},
            ]
        }
    ).encode()


class Leaking(OnnxEngine):
    """An engine whose errors say what was asked."""

    def infer(self, request: InferRequest) -> InferResponse:
        raise ValueError(f"cannot compute {request.inputs}")


def test_nothing_that_is_asked_answered_or_goes_wrong_shows_in_texts_logs_and_counts(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    async def asked(world: World) -> None:
        path = f"/v2/models/{MODEL}/infer".encode()
        requests = [
            world.request(path, _strings()),
            world.request(path, MARKER.encode()),
            world.request(f"/{MARKER}".encode()),
            world.request(path, _strings(), fields=[(b"date", MARKER.encode())]),
            world.request(path, _strings(), fields=[(b"content-type", MARKER.encode())]),
            world.request(path, _strings(), method=MARKER.encode()),
            b"\x07" + MARKER.encode(),
        ]
        for request in requests:
            for chunked in (False, True):
                answer = await world.ask(request, chunked=chunked)
                if answer.status != 200:
                    assert MARKER.encode() not in answer.content
        broken = ohttp.seal_request(protocol.configuration((await world.attest()).keyset), MARKER.encode() * 99)[0]
        for cut in (len(broken) - 1, 1200):
            outer = await world.outer("POST", protocol.GATEWAY_PATH, broken[:cut], kind="message/ohttp-req")
            assert MARKER.encode() not in outer.content
        said = "\n".join(world.said) + world.gateway.metrics.text().decode()
        said += "".join(repr(one) for one in world.receipts.receipts)
        assert MARKER not in said

    async def run() -> None:
        policy = serving_policy(limits__request_bytes=100_000)
        for engine in (OnnxEngine(lookup(), name=MODEL), Leaking(lookup(), name=MODEL)):
            async with started(policy, handler=OipHandler(engine, policy)) as world:
                await asked(world)

        async def explodes(request: Request) -> Response:
            raise RuntimeError(request.content.decode())

        async def fails(request: Request) -> Response:
            try:
                raise ValueError(request.content.decode())
            except ValueError:
                raise EngineFailed("it failed", hint="Try again")  # noqa: B904 - with the context that it should not have

        for does in (explodes, fails):
            async with started(policy, handler=Does(does)) as world:
                await asked(world)

    asyncio.run(run())
    out, err = capfd.readouterr()
    for text in (caplog.text, out, err):
        assert MARKER not in text


def test_faults_are_told_by_their_class_and_place() -> None:
    async def run() -> None:
        async def explodes(_request: Request) -> Response:
            raise ZeroDivisionError(MARKER)

        async with started(handler=Does(explodes)) as world:
            assert (await world.ask(world.request())).status == 500
            (line,) = world.said
            assert "ZeroDivisionError" in line and "test_serving_failures" in line and MARKER not in line

    asyncio.run(run())


def test_faults_do_not_fill_a_log() -> None:
    now, said = [0.0], list[str]()
    sparing = Sparing(said.append, now=lambda: now[0])
    for number in range(100):
        sparing(str(number))
    assert said == [str(number) for number in range(60)]
    now[0] = 60.0
    sparing("next")
    assert said[60:] == ["40 more lines were left out", "next"]


def test_counts_say_nothing_of_anybody() -> None:
    async def run() -> None:
        async with started() as world:
            await world.ask(world.request(INFER, INPUT), party="hospital-name")
            await world.ask(world.request(b"/nothing"), party="hospital-name")
            await world.outer("POST", protocol.GATEWAY_PATH, b"junk", kind="message/ohttp-req")
            text = world.gateway.metrics.text().decode()
            assert 'quatrefoil_serving_answers_total{status="200"} 1' in text
            assert 'quatrefoil_serving_answers_total{status="404"} 1' in text
            assert 'quatrefoil_serving_outer_total{status="400"} 1' in text
            assert 'quatrefoil_serving_answer_seconds_bucket{le="+Inf"} 2' in text
            assert "quatrefoil_serving_ready 1" in text
            assert "hospital" not in text and MODEL not in text

    asyncio.run(run())


def test_traces_of_refusals_are_not_chained_to_content() -> None:
    async def run() -> None:
        async with started() as world:
            sealed = await world.sealed(b"\x07" + MARKER.encode())
            from quatrefoil.serving.opening import opened

            found = opened(sealed.content, world.keys, world.policy, chunked=False)
            found.read(world.policy)
            assert found.fault is not None
            assert MARKER not in "".join(traceback.format_exception(found.fault))
            assert MARKER not in repr(found)
            world.keys.answered(found.held)

    asyncio.run(run())
