"""Whole jobs over real channels in one process, with silos that come late or stay away."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from loopback import Gate, Loopback, ask, join, take_offer, trained
from whole_jobs import contributors, is_mean, run_job

from quatrefoil.audit import MemoryLog
from quatrefoil.errors import HostError, PolicyError
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.enrolment import Enrolments
from quatrefoil.transport import HYBRID_768, HYBRID_1024
from quatrefoil.transport.policies import RECORD
from world import NAMES, World

pytestmark = pytest.mark.usefixtures("short_patience")


def test_every_silo_ends_with_the_published_model_and_says_goodbye():
    world = World(rounds=3)
    hub = asyncio.run(run_job(world))
    assert contributors(world) == [NAMES] * 3 and is_mean(world, *[NAMES] * 3)
    assert sorted(hub.received) == sorted((number, name) for number in (1, 2, 3) for name in NAMES)
    assert hub.refused == [] and hub.dropped == []
    assert set(hub.service.round_ms) == {1, 2, 3}


def test_channels_that_are_renewed_all_the_time_lose_no_question():
    world = World(rounds=12)
    few = replace(HYBRID_768, renew_bytes=12 * RECORD)  # after a dozen questions at most
    hub = asyncio.run(run_job(world, channels=few))
    assert contributors(world) == [NAMES] * 12 and is_mean(world, *[NAMES] * 12)
    assert hub.refused == [] and hub.dropped == []
    assert not [line for line in hub.reports if "does not answer" in line]
    for name in (*NAMES, "hub"):
        resumed = [again for who, again in hub.dialled if who == name]
        assert len(resumed) > 3 and not resumed[0] and all(resumed[1:])


def test_a_job_whose_channels_are_of_the_stronger_policy():
    world = World(rounds=2)
    hub = asyncio.run(run_job(world, channels=HYBRID_1024))
    assert is_mean(world, NAMES, NAMES) and hub.dropped == []


def test_a_model_of_100_000_parameters():
    initial = [np.zeros((300, 300), np.float32), np.zeros(10_000)]
    world = World(rounds=2, initial=initial)
    asyncio.run(run_job(world))
    assert is_mean(world, NAMES, NAMES)


def test_a_model_larger_than_any_message_is_handed_over(monkeypatch):
    """The first model travels beside the job, whose own limit it may exceed."""
    from quatrefoil.services import silo as silo_service

    monkeypatch.setattr(silo_service, "LARGEST_MESSAGE", 200_000)
    world = World(rounds=1, initial=[np.zeros(100_000)])
    asyncio.run(run_job(world))
    assert is_mean(world, NAMES)


def test_the_job_is_verified_a_few_times_and_not_at_every_question(monkeypatch):
    world = World(rounds=1)
    counts = {"agreed": 0, "finished": 0}

    def count(machine: type, method: str) -> None:
        original = getattr(machine, method)

        def counted(self, *given):
            counts[method] += 1
            return original(self, *given)

        monkeypatch.setattr(machine, method, counted)

    count(Enrolments, "agreed")
    count(Aggregator, "finished")
    asyncio.run(run_job(world))
    assert counts == {"agreed": 1, "finished": 0}


# -------------------------------------------------------------------------------------------------- late and absent


def test_a_late_silo_catches_up_and_takes_part_again():
    world = World(rounds=4)

    async def job() -> None:
        async with Loopback(world, deadline=0.3) as hub:
            gates = [Gate(name) for name in NAMES[:3]]
            others = []
            late = world.make_silo("dakar", log=MemoryLog())
            channel, *_ = await asyncio.gather(hub.channel("dakar"))
            for name, gate in zip(NAMES[:3], gates, strict=True):
                gate.open()
                held = Gate(name)

                def train(model, name=name, gate=gate, held=held):
                    return held.train(model) if world.aggregator.rounds_done == 2 else gate.train(model)

                others.append((hub.silo(name, train), held))
            await join(channel, late)
            await channel.close()
            await hub.until(lambda: all(held.reached.is_set() for _, held in others))
            come_back = hub.silo("dakar", machine=late)
            await hub.until(lambda: "round 2: result accepted" in come_back.reports)
            for _, held in others:
                held.open()
            await hub.finished()
            assert (await come_back.result()).rounds == 4
            for silo, _ in others:
                await silo.result()
            assert any("going on without dakar" in line for line in hub.reports)

    asyncio.run(job())
    assert contributors(world)[:2] == [NAMES[:3]] * 2
    assert is_mean(world, *contributors(world))


def test_a_connected_silo_that_never_contributes_costs_one_deadline():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, deadline=0.4) as hub:
            others = hub.silos(*NAMES[:3])
            idle = world.make_silo("dakar", log=MemoryLog())
            async with await hub.channel("dakar") as channel:
                await join(channel, idle)
                await take_offer(channel, idle)
                await hub.finished()
                for silo in others:
                    await silo.result()

    asyncio.run(job())
    assert contributors(world) == [NAMES[:3]]


def test_a_round_without_the_minimum_ends_and_names_who_is_missing():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, deadline=0.1, give_up=0.6) as hub:
            silos = {name: world.make_silo(name, log=MemoryLog()) for name in NAMES}
            channels = {name: await hub.channel(name) for name in NAMES}
            await asyncio.gather(*(join(channels[name], silos[name]) for name in NAMES))
            offer, voids = await take_offer(channels["bari"], silos["bari"])
            message = silos["bari"].contribute(offer, trained("bari", silos["bari"].model), voids)
            await ask(channels["bari"], "contribute", message)
            with pytest.raises(PolicyError, match="1 of at least 3 silos contributed in time; missing ambon, cusco"):
                await hub.finished()
            for channel in channels.values():
                await channel.close()

    asyncio.run(job())


def test_too_nearly_the_same_silos_wait_for_the_missing_one():
    """The keeper refuses a sum that differs from an earlier one by one silo: the job waits instead of ending."""
    world = World(rounds=2, limits={"difference": 2})

    async def job() -> None:
        async with Loopback(world, deadline=0.3) as hub:
            gate = Gate("dakar")

            def train(model):
                return gate.train(model) if world.aggregator.rounds_done else trained("dakar", model)

            silos = [*hub.silos(*NAMES[:3]), hub.silo("dakar", train)]
            await hub.until(lambda: any("waiting for dakar" in line for line in hub.reports))
            gate.open()
            await hub.finished()
            for silo in silos:
                await silo.result()

    asyncio.run(job())
    assert contributors(world) == [NAMES, NAMES] and is_mean(world, NAMES, NAMES)


def test_too_nearly_the_same_silos_end_the_job_when_nobody_comes():
    world = World(rounds=2, limits={"difference": 2})

    async def job() -> None:
        async with Loopback(world, deadline=0.2, give_up=0.5) as hub:
            gate = Gate("dakar")

            def train(model):
                return gate.train(model) if world.aggregator.rounds_done else trained("dakar", model)

            silos = [*hub.silos(*NAMES[:3]), hub.silo("dakar", train)]
            with pytest.raises(PolicyError, match="sets apart dakar"):
                await hub.finished()
            gate.open()
            await hub.stop_aggregator()
            for silo in silos:
                with pytest.raises(HostError, match="the aggregator does not answer"):
                    await silo.result()

    asyncio.run(job())
