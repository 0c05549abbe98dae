"""The statement of provenance over channels: signed by every silo before the job ends, or not."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from loopback import Loopback, ask, join

from quatrefoil.audit import MemoryLog
from quatrefoil.errors import MessageRefused
from world import NAMES, World

pytestmark = pytest.mark.usefixtures("short_patience")


def test_every_silo_signs_the_statement_before_the_job_ends():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world) as hub:
            silos = hub.silos()
            await hub.finished()
            for silo in silos:
                await silo.result()
                assert "signed the statement of provenance" in silo.reports

    asyncio.run(job())
    assert len(world.provenance.envelope().signatures) == 1 + len(NAMES)


def test_a_statement_that_lies_is_signed_by_no_silo_and_the_job_ends_all_the_same():
    world = World(rounds=1)
    make = world.provenance.make

    def lie(job, model):
        return make(dataclasses.replace(job, clip=0.5), model)

    world.provenance.make = lie

    async def job() -> None:
        async with Loopback(world) as hub:
            silos = hub.silos()
            await hub.finished()
            for silo in silos:
                assert (await silo.result()).rounds == 1
                assert any("lies in predicate.job.digest" in line for line in silo.reports)

    asyncio.run(job())
    assert len(world.provenance.envelope().signatures) == 1
    refused = [entry.body for entry in world.log.entries() if entry.kind == "refusal"]
    assert {body["silo"] for body in refused if body["asked"] == "provenance"} == set(NAMES)


def test_a_signature_that_the_aggregator_refuses_does_not_hold_up_the_end():
    world = World(rounds=1)
    taken = world.provenance.signed

    def signed(silo, message):
        if silo == "bari":
            raise MessageRefused("not this one", hint="none")
        taken(silo, message)

    world.provenance.signed = signed

    async def job() -> None:
        async with Loopback(world) as hub:
            silos = hub.silos()
            await hub.finished()
            for silo in silos:
                await silo.result()

    asyncio.run(job())
    assert len(world.provenance.envelope().signatures) == len(NAMES)


def test_a_signature_before_there_is_a_statement_is_refused():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world) as hub, await hub.channel("bari") as channel:
            await join_alone(hub, channel)
            with pytest.raises(MessageRefused, match="no statement of provenance yet"):
                await ask(channel, "sign", b"")

    async def join_alone(hub, channel) -> None:
        silos = {name: world.make_silo(name, log=MemoryLog()) for name in NAMES}
        others = [(await hub.channel(name), silos[name]) for name in NAMES if name != "bari"]
        await asyncio.gather(join(channel, silos["bari"]), *(join(one, silo) for one, silo in others))
        for one, _ in others:
            await one.close()

    asyncio.run(job())
