"""Parties of a job over channels that go away: restarted, with a full disk, slow, or gone for good."""

from __future__ import annotations

import asyncio

import pytest
from loopback import Gate, Loopback, ask, ask_next, go_along, join, take_offer, trained
from whole_jobs import contributors, is_mean

from quatrefoil.audit import MemoryLog
from quatrefoil.errors import HostError, PolicyError
from quatrefoil.state import MemoryState
from world import NAMES, World

pytestmark = pytest.mark.usefixtures("short_patience")


def test_a_keeper_that_restarts_in_an_open_round_voids_it_and_the_job_goes_on():
    world = World(rounds=2)

    async def job() -> None:
        async with Loopback(world) as hub:
            gates = {name: Gate(name) for name in NAMES}
            silos = [hub.silo(name, gate.train) for name, gate in gates.items()]
            await hub.until(lambda: all(gate.reached.is_set() for gate in gates.values()))
            await hub.stop_keeper()
            for gate in gates.values():
                gate.open()
            await hub.until(lambda: any("the keeper does not answer" in line for line in hub.reports))
            await hub.start_keeper(world.make_keeper())
            await hub.finished()
            for silo in silos:
                await silo.result()
            assert any("trying again" in line and "void" in line for line in hub.reports)

    asyncio.run(job())
    assert contributors(world) == [NAMES, NAMES] and is_mean(world, NAMES, NAMES)
    assert world.kinds().count("key-release") == 2


def test_a_silo_whose_update_belongs_to_a_voided_attempt_is_offered_the_next_one():
    """Its late contribution to the first attempt was held against it in the second, which then went on without it."""
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, deadline=1.5) as hub:
            gate = Gate("ambon")
            silos = [hub.silo("ambon", gate.train), *hub.silos("bari", "cusco", "dakar")]
            await hub.until(lambda: gate.reached.is_set() and len(hub.received) == 3)
            await hub.stop_keeper()
            await hub.start_keeper(world.make_keeper())
            await hub.until(lambda: world.kinds().count("round-opened") >= 4)  # two attempts, at two parties
            gate.open()
            await hub.finished()
            for silo in silos:
                await silo.result()

    asyncio.run(job())
    assert contributors(world) == [NAMES]


def test_a_keeper_that_starts_after_the_aggregator_is_waited_for():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, keeper=False) as hub:
            silos = hub.silos()
            await hub.until(lambda: any("the keeper does not answer" in line for line in hub.reports))
            await hub.start_keeper()
            await hub.finished()
            for silo in silos:
                await silo.result()

    asyncio.run(job())


def test_a_keeper_that_stays_away_ends_the_job_with_its_reason():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, keeper=False, give_up=0.5) as hub:
            silos = hub.silos()
            with pytest.raises(HostError, match="the keeper does not answer"):
                await hub.finished()
            await hub.stop_aggregator()
            for silo in silos:
                with pytest.raises(HostError, match="the aggregator does not answer"):
                    await silo.result()

    asyncio.run(job())


def test_an_aggregator_that_restarts_on_its_state_goes_on():
    world = World(rounds=3)

    async def job() -> None:
        async with Loopback(world) as hub:
            gates = {name: Gate(name) for name in NAMES}
            trainings: dict[str, int] = dict.fromkeys(NAMES, 0)

            def train_of(name):
                def train(model):
                    trainings[name] += 1
                    return gates[name].train(model) if world.aggregator.rounds_done == 1 else trained(name, model)

                return train

            silos = [hub.silo(name, train_of(name)) for name in NAMES]
            await hub.until(lambda: all(gate.reached.is_set() for gate in gates.values()))
            gates["bari"].open()
            await hub.until(lambda: (2, "bari") in hub.received)
            await hub.stop_aggregator()
            world.enrolments = world.make_enrolments()
            await hub.start_aggregator()
            for gate in gates.values():
                gate.open()
            await hub.finished()
            for silo in silos:
                await silo.result()
            assert trainings["bari"] == 3  # what was recorded is sent again, not trained again

    asyncio.run(job())
    assert contributors(world) == [NAMES] * 3 and is_mean(world, *[NAMES] * 3)


def test_a_finished_job_started_again_hands_out_its_results():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, deadline=1.0) as hub:
            late = world.make_silo("dakar", log=MemoryLog())
            others = hub.silos(*NAMES[:3])
            async with await hub.channel("dakar") as channel:
                await join(channel, late)
            for silo in others:
                await silo.result()
            await hub.finished()
            await hub.stop_aggregator()
            world.enrolments = world.make_enrolments()
            await hub.start_aggregator()
            assert (await hub.silo("dakar", machine=late).result()).rounds == 1

    asyncio.run(job())


def test_a_finished_job_started_again_waits_for_nobody_who_has_left():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, deadline=1e6) as hub:
            for silo in hub.silos():
                await silo.result()
            await hub.finished()
            await hub.stop_aggregator()
            world.enrolments = world.make_enrolments()
            await hub.start_aggregator()
            assert (await hub.finished()).gone == set(NAMES)

    asyncio.run(job())


@pytest.mark.parametrize("heard", ["nothing", "the result"])
def test_a_finished_job_started_again_waits_for_who_has_not_heard_of_its_end(heard: str):
    """Whether it has not taken the last result, or signed the statement and not been told that this was all."""
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, deadline=1e6) as hub:
            late = world.make_silo("dakar", log=MemoryLog())
            others = hub.silos(*NAMES[:3])
            async with await hub.channel("dakar") as channel:
                await join(channel, late)
                offer, voids = await take_offer(channel, late)
                trained_model = trained("dakar", late.model)
                await ask(channel, "contribute", late.contribute(offer, trained_model, voids))
                while heard == "the result" and not hub.service.standing.provenance.has_signed("dakar"):
                    await go_along(channel, late, await ask_next(channel, late))
                for silo in others:
                    await silo.result()
                await hub.until(lambda: world.aggregator.gone == set(NAMES[:3]))
            await hub.stop_aggregator()
            world.enrolments = world.make_enrolments()
            await hub.start_aggregator()
            async with await hub.channel("dakar") as channel:
                while await ask(channel, "start") is None:
                    pass
                assert hub.service.standing.informed == set(NAMES[:3]) and not hub.run.done()
            await hub.silo("dakar", machine=late).result()
            assert (await hub.finished()).gone == set(NAMES)

    asyncio.run(job())


class FullDisk(MemoryState):
    """A disk that is full until ``space`` is made."""

    space = False

    def put_once(self, name: str, value: bytes) -> bytes:
        if name.startswith("enrolment/") and not self.space:
            raise HostError("/var/hub/state is full", hint="Free space")
        return super().put_once(name, value)


def test_a_full_disk_at_the_aggregator_is_its_operators_and_silos_wait():
    world = World(rounds=1)
    world.states["hub"] = disk = FullDisk()
    disk.space = True
    world.provenance = world.make_provenance()
    disk.space = False
    world.enrolments = world.make_enrolments()

    async def job() -> None:
        async with Loopback(world) as hub:
            silos = hub.silos()
            await hub.until(lambda: len(hub.refused) >= len(NAMES))
            assert all("/var/hub/state is full" in str(error) for _, error in hub.refused)
            disk.space = True
            await hub.finished()
            for silo in silos:
                await silo.result()
                assert "/var/hub" not in " ".join(silo.reports)

    asyncio.run(job())


def test_a_training_longer_than_the_channels_patience_is_no_hindrance():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, timeout=0.6) as hub:
            gates = {name: Gate(name) for name in NAMES}
            silos = [hub.silo(name, gate.train) for name, gate in gates.items()]
            await hub.until(lambda: all(gate.reached.is_set() for gate in gates.values()))
            await asyncio.sleep(0.9)  # the server has ended every silent channel
            for gate in gates.values():
                gate.open()
            await hub.finished()
            for silo in silos:
                await silo.result()

    asyncio.run(job())
    assert contributors(world) == [NAMES]


def test_a_silo_whose_training_fails_ends_alone():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, deadline=0.5) as hub:

            def fail(model):
                raise PolicyError("no consent of the ethics board", hint="Ask it")

            silos = [*hub.silos(*NAMES[:3]), failing := hub.silo("dakar", fail)]
            await hub.finished()
            with pytest.raises(PolicyError, match="ethics"):
                await failing.result()
            for silo in silos[:3]:
                await silo.result()

    asyncio.run(job())
    assert contributors(world) == [NAMES[:3]]
