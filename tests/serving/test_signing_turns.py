"""Where receipts are signed: in the event loop while nobody waits, one in each of its turns, and otherwise in turns."""

from __future__ import annotations

import asyncio
import threading

from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import HostError
from quatrefoil.exchange import protocol
from quatrefoil.serving.receipts import Computed
from serving_exchanges import Sealed
from serving_parts import MemoryReceipts, serving_policy
from serving_world import World, started


class Watched(MemoryReceipts):
    """Notes the thread that each receipt is signed in; ``gate``: signing outside of the loop waits for it."""

    def __init__(self) -> None:
        super().__init__(serving_policy())
        self.threads: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def issue(
        self,
        request: bytes,
        answer: bytes,
        status: int,
        complete: bool,
        *,
        keyset: Keyset,
        computed: Computed | None = None,
    ) -> bytes:
        self.threads.append(threading.current_thread().name.partition("_")[0])
        if threading.current_thread() is not threading.main_thread():
            self.gate.wait()
        return super().issue(request, answer, status, complete, keyset=keyset, computed=computed)


async def refused(world: World, count: int) -> list[Sealed]:
    """Requests that are answered by refusals, which nothing computes."""
    return [await world.sealed(b"no message") for _ in range(count)]


def asked(world: World, sealed: Sealed) -> asyncio.Task[None]:
    return world.asked("POST", protocol.GATEWAY_PATH, sealed.content, kind=sealed.kind).task


def test_one_at_a_time_is_signed_where_it_is_answered() -> None:
    async def run() -> None:
        receipts = Watched()
        async with started(receipts=receipts) as world:
            for one in await refused(world, 3):
                await asked(world, one)
            assert receipts.threads == ["MainThread"] * 3

    asyncio.run(run())


def test_of_many_at_once_the_event_loop_signs_one_in_a_turn() -> None:
    async def run() -> None:
        receipts = Watched()
        receipts.gate.clear()
        async with started(receipts=receipts) as world:
            asking = [asked(world, one) for one in await refused(world, 8)]
            while len(receipts.threads) < 2:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            assert receipts.threads == ["MainThread", "receipts"], "the others wait for their turns"
            receipts.gate.set()
            await asyncio.gather(*asking)
            assert receipts.threads.count("MainThread") == 1
            assert [one.sequence for one in receipts.receipts] == list(range(8))

    asyncio.run(run())


def test_who_comes_while_another_is_signed_waits_for_a_turn() -> None:
    async def run() -> None:
        receipts = Watched()
        async with started(receipts=receipts) as world:
            first, second, later = await refused(world, 3)
            receipts.gate.clear()
            asking = [asked(world, first), asked(world, second)]
            while len(receipts.threads) < 2:
                await asyncio.sleep(0.001)
            asking.append(asked(world, later))
            await asyncio.sleep(0.01)
            assert receipts.threads == ["MainThread", "receipts"]
            receipts.gate.set()
            await asyncio.gather(*asking)
            assert receipts.threads == ["MainThread", "receipts", "receipts"]

    asyncio.run(run())


def test_without_a_receipt_no_answer_goes_out_wherever_it_was_to_be_signed() -> None:
    async def run() -> None:
        receipts = Watched()
        async with started(receipts=receipts) as world:
            many = await refused(world, 4)
            receipts.fails = HostError("the disk is full", hint="Free it")
            exchanges = [world.asked("POST", protocol.GATEWAY_PATH, one.content, kind=one.kind) for one in many]
            outer = [await one.answer() for one in exchanges]
            assert [one.status for one in outer] == [500] * 4
            assert {*receipts.threads} == {"MainThread", "receipts"}

    asyncio.run(run())
