"""Requests that are long work to read: beside the loop, in turns of parties, and not for ever."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from quatrefoil import ohttp
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import http_date
from quatrefoil.ohttp.chunked import REQUEST_TYPE as CHUNKED
from quatrefoil.serving import exchanges, opening
from serving_parts import INFER, serving_policy
from serving_world import started


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
