"""What an aggregator sends to a silo at a node: how many answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from quatrefoil.federation import parts
from quatrefoil.flower.contents import ForSilo, FromSilo, Value
from quatrefoil.flower.courier import Courier
from quatrefoil.flower.replay import AT_ONCE, MOST_ANSWERS

ROUNDS = MOST_ANSWERS + 10
JOB = bytes(48)


class Standing:
    """Of a job whose rounds are over."""

    job_digest = JOB
    rounds_done = ROUNDS
    missing: frozenset[str] = frozenset()
    stopped: dict[str, tuple[bytes | None, str]]

    def __init__(self) -> None:
        self.stopped = {}


class Service:
    """Answers `next` with the result of the next round, and after the last that the job is done."""

    standing = Standing()

    async def handle(self, channel: Any) -> None:
        while True:
            _, body = parts.split(await channel.receive(1000), 2)
            done = int.from_bytes(parts.split(body, 2)[1], "big")
            kind = b"result" if done < ROUNDS else b"done"
            await channel.send(parts.join([b"ok", parts.join([kind, done.to_bytes(8, "big")])]))


class App:
    names = ("a",)

    def evaluates(self, _: int) -> bool:
        return False

    def config(self, _: str, __: int) -> Mapping[str, Value]:
        return {}

    def measured(self, *_: object) -> None:
        pass


class Silo:
    """Takes results one after another, and asks for the next until it is told that the job is done."""

    def __init__(self) -> None:
        self.done = 0
        self.brought: list[int] = []

    async def carry(self, message: bytes, _: str) -> bytes:
        sent = ForSilo.decode(message)
        self.brought.append(len(sent.answers))
        for answer in sent.answers:
            _, body = parts.split(answer.response, 2)
            kind, number = parts.split(body, 2)
            if kind == b"done":
                return FromSilo(b"", [], {}).encode()
            assert int.from_bytes(number, "big") == self.done
            self.done += 1
        question = parts.join([b"next", parts.join([JOB, self.done.to_bytes(8, "big")])])
        return FromSilo(question, list(range(len(sent.answers))), {}).encode()


def test_a_silo_that_has_missed_many_rounds_is_brought_few_results_at_once() -> None:
    """More than a message may have would be refused, and sent again for ever."""
    silo, said = Silo(), list[str]()
    courier = Courier("ambon", Service(), App(), silo.carry, said.append)  # type: ignore[arg-type]
    asyncio.run(asyncio.wait_for(courier.run(), 60))
    assert silo.done == ROUNDS and said == []
    assert max(silo.brought) <= AT_ONCE and sum(silo.brought) == ROUNDS + 1
