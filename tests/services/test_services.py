"""Whole jobs over real channels in one process, with silos that come late, misbehave or stay away."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from loopback import SOON, Gate, Loopback, ask, ask_next, join, leave, refuse_the_result, take_offer, trained

from byzantine import HONEST, LIMITS, POISON, Forger, WrongKey
from quatrefoil.audit import MemoryLog
from quatrefoil.errors import HostError, MessageRefused, PeerUnreachable, PolicyError, ProofRejected
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import sha256, shape_of
from quatrefoil.federation.enrolment import Enrolments
from quatrefoil.federation.messages import Contribution, RoundContext
from quatrefoil.federation.silo import Silo
from quatrefoil.services import aggregator as aggregator_service
from quatrefoil.state import MemoryState
from quatrefoil.transport import HYBRID_768, HYBRID_1024
from quatrefoil.transport.policies import RECORD
from world import NAMES, World, expected_mean


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Silos are told to ask again after a moment, so that ``wait`` is met in every test."""
    monkeypatch.setattr(aggregator_service, "PATIENCE", 0.2)
    yield


def contributors(world: World) -> list[tuple[str, ...]]:
    found = [world.aggregator.finished(number) for number in range(1, world.rounds + 1)]
    return [one.contributors for one in found if one is not None]


def is_mean(world: World, *rounds: tuple[str, ...]) -> bool:
    """Whether the model is the sum of these rounds' means."""
    wanted = sum(expected_mean(names) for names in rounds)
    return all(np.allclose(array, wanted, atol=2e-3) for array in world.aggregator.model)


async def run_job(world: World, **changes: Any) -> Loopback:
    async with Loopback(world, **changes) as hub:
        silos = hub.silos()
        await hub.finished()
        for silo in silos:
            finished = await silo.result()
            for mine, published in zip(finished.model, world.aggregator.model, strict=True):
                np.testing.assert_array_equal(mine, published)
            assert finished.peer == "hub" and finished.group == changes.get("channels", HYBRID_768).groups[0]
    return hub


# --------------------------------------------------------------------------------------------------------- whole jobs


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


# ------------------------------------------------------------------------------------------------------- misbehaviour


def test_a_refused_silo_is_offered_nothing_more_and_holds_up_nobody():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world, deadline=SOON) as hub:
            gates = {name: Gate(name) for name in NAMES[:3]}
            others = [hub.silo(name, gate.train) for name, gate in gates.items()]
            broken = world.make_silo("dakar", log=MemoryLog())
            async with await hub.channel("dakar") as channel:
                await join(channel, broken)
                await take_offer(channel, broken)
                with pytest.raises(MessageRefused):
                    await ask(channel, "contribute", b"no contribution")
                for _ in range(3):
                    assert await ask_next(channel, broken) is None  # "wait": no offer to run into again
                for gate in gates.values():
                    gate.open()
                while (found := await ask_next(channel, broken)) is None:
                    pass
                assert found[0] in (b"confirm", b"result")
                # The receipt says what was refused in this silo's name, and its machine knows of no such contribution.
                await refuse_the_result(channel, broken, "say refused of a contribution, and this silo has sent none")
            await hub.finished()
            for silo in others:
                await silo.result()
            assert [who for who, _ in hub.refused] == ["dakar"]

    asyncio.run(job())
    assert contributors(world) == [NAMES[:3]]
    refusals = [entry.body for entry in world.log.entries() if entry.kind == "refusal"]
    assert [(body["silo"], body.get("asked")) for body in refusals] == [("dakar", None), ("dakar", "provenance")]


def test_all_refused_ends_the_round_at_once():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world) as hub:
            silos = {name: world.make_silo(name, log=MemoryLog()) for name in NAMES}
            channels = {name: await hub.channel(name) for name in NAMES}
            await asyncio.gather(*(join(channels[name], silos[name]) for name in NAMES))
            for name in NAMES:
                await take_offer(channels[name], silos[name])
                with pytest.raises(MessageRefused):
                    await ask(channels[name], "contribute", b"no contribution")
            with pytest.raises(PolicyError, match="0 of at least 3"):
                await hub.finished()
            for channel in channels.values():
                await channel.close()

    asyncio.run(job())


def test_a_silo_that_delivers_another_silos_contribution_is_refused_under_its_own_name():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world) as hub:
            others = hub.silos("cusco", "dakar")
            silos = {name: world.make_silo(name, log=MemoryLog()) for name in ("ambon", "bari")}
            channels = {name: await hub.channel(name) for name in silos}
            await asyncio.gather(*(join(channels[name], silos[name]) for name in silos))
            offers = {name: await take_offer(channels[name], silos[name]) for name in silos}
            offer, voids = offers["ambon"]
            of_ambon = silos["ambon"].contribute(offer, trained("ambon", silos["ambon"].model), voids)
            with pytest.raises(MessageRefused, match="signed by silo ambon, not by silo bari"):
                await ask(channels["bari"], "contribute", of_ambon)
            assert await ask(channels["ambon"], "contribute", of_ambon) == b""
            await leave(channels["ambon"], silos["ambon"])
            await refuse_the_result(channels["bari"], silos["bari"], "say refused of a contribution")
            await hub.finished()
            for silo in others:
                await silo.result()

    asyncio.run(job())
    assert contributors(world) == [("ambon", "cusco", "dakar")]
    assert [
        entry.body["silo"] for entry in world.log.entries() if entry.kind == "refusal" and "asked" not in entry.body
    ] == ["bari"]


def test_a_silo_that_is_gone_after_sending_does_not_stop_the_round():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world) as hub:
            others = hub.silos(*NAMES[1:])
            gone = world.make_silo(NAMES[0], log=MemoryLog())
            channel = await hub.channel(NAMES[0])
            await join(channel, gone)
            offer, voids = await take_offer(channel, gone)
            await ask(channel, "contribute", gone.contribute(offer, trained(NAMES[0], gone.model), voids))
            await channel.close()
            for silo in others:
                await silo.result()
            await hub.stop_aggregator()

    asyncio.run(job())
    assert contributors(world) == [NAMES]  # it is in the sum, though it confirmed nothing


def test_a_roster_that_most_silos_decline_ends_the_round_with_their_reasons():
    world = World(rounds=1)

    def declines(*_: object) -> bytes:
        raise PolicyError("this silo has seen another roster", hint="Ask its operator")

    async def job() -> None:
        async with Loopback(world, deadline=0.5, give_up=1.0) as hub:
            silos = hub.silos(*NAMES)
            for silo in silos[:2]:
                silo.machine.confirm = declines
            with pytest.raises(PolicyError, match=r"confirmed the roster, 3 must.*ambon: this silo has seen another"):
                await hub.finished()
            await hub.stop_aggregator()
            for silo in silos:
                with pytest.raises(HostError):
                    await silo.result()

    asyncio.run(job())
    reasons = [entry.body["reason"] for entry in world.log.entries() if entry.kind == "refusal"]
    assert any("does not confirm the roster" in reason for reason in reasons)
    assert "key-release" not in [entry.kind for entry in world.log.entries()]


def test_two_connections_of_one_silo_count_once():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world) as hub:
            others = hub.silos("ambon", "cusco", "dakar")
            first = world.make_silo("bari", log=MemoryLog())
            one, two = await hub.channel("bari"), await hub.channel("bari")
            await join(one, first)
            copy = world.make_silo("bari", state=world.states["bari"].copy(), log=MemoryLog())
            offer, voids = await take_offer(one, first)
            assert (await take_offer(two, copy))[0] == offer
            message = first.contribute(offer, trained("bari", first.model), voids)
            different = copy.contribute(offer, [array - 0.5 for array in copy.model], voids)
            gathered = await asyncio.gather(*(ask(channel, "contribute", message) for channel in (one, two)))
            assert gathered == [b"", b""]
            with pytest.raises(MessageRefused, match=r"second, different contribution|no round is open"):
                await ask(two, "contribute", different)
            await leave(one, first)
            # Two machines of one identity: the receipt is of what one of them has signed, and the other has not.
            await refuse_the_result(two, copy, "say included of another contribution than the one")
            await hub.finished()
            for silo in others:
                await silo.result()

    asyncio.run(job())
    assert contributors(world) == [NAMES] and is_mean(world, NAMES)


class BadKey(Silo):
    """A silo that seals a key of a wrong length, and signs it."""

    def _encrypt(self, context: RoundContext, update: np.ndarray) -> bytes:
        encrypted = self._aggregation.encrypt(update, weight=0.5, shape=shape_of(context))
        sealed = self._security.seal(context.sealing_key, b"short", context=context.digest())
        signed = Contribution(context.digest(), sha256(encrypted.ciphertext), sha256(sealed), ())
        return parts.join([self._security.sign(signed.encode()), sealed, encrypted.ciphertext, b""])


def test_proofs_are_verified_beside_each_other_and_a_forged_one_is_refused_by_name():
    world = World(rounds=1, limits={**LIMITS, "proofs": True})
    values = {name: POISON if name == "bari" else HONEST for name in NAMES}

    async def job() -> None:
        async with Loopback(world) as hub:
            forger = world.make_silo("bari", log=MemoryLog())
            forger.__class__ = Forger
            machines = {"bari": forger}
            silos = [
                hub.silo(name, machine=machines.get(name), train=lambda model, v=values[name]: [a + v for a in model])
                for name in NAMES
            ]
            await hub.finished()
            for silo in silos:
                assert (await silo.result()).rounds == 1, "the forger takes the result, too"
            assert [(name, type(error)) for name, error in hub.refused] == [("bari", ProofRejected)]

    asyncio.run(job())
    assert contributors(world) == [("ambon", "cusco", "dakar")]
    assert world.aggregator.model[0] == pytest.approx(HONEST, abs=1e-2)
    assert [body["silo"] for body in world.logged("refusal")] == ["bari"]


def test_a_key_that_its_proof_is_not_about_is_refused_over_channels_too():
    world = World(rounds=1, limits={**LIMITS, "proofs": True})

    async def job() -> None:
        async with Loopback(world) as hub:
            liar = world.make_silo("bari", log=MemoryLog())
            liar.__class__ = WrongKey
            small = {"train": lambda model: [a + HONEST for a in model]}
            hub.silo("bari", machine=liar, **small)
            for name in ("ambon", "cusco", "dakar"):
                hub.silo(name, **small)
            await hub.finished()
            assert any("the keeper refuses bari: bari sealed a key that its" in line for line in hub.reports)

    asyncio.run(job())
    assert contributors(world) == [("ambon", "cusco", "dakar")]


def test_a_silo_that_the_keeper_refuses_is_left_out_and_named():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world) as hub:
            good = world.make_silo("bari", log=MemoryLog())
            good.__class__ = BadKey
            silos = [hub.silo("bari", machine=good), *hub.silos("ambon", "cusco", "dakar")]
            await hub.finished()
            for silo in silos:
                assert (await silo.result()).rounds == 1
            assert any("the keeper refuses bari" in line for line in hub.reports)

    asyncio.run(job())
    names = ("ambon", "cusco", "dakar")
    assert contributors(world) == [names] and is_mean(world, names)


@pytest.mark.parametrize("method", ["invitation", "enrol", "job", "consent", "start", "next", "contribute"])
def test_a_certified_silo_that_is_not_invited_learns_nothing(method):
    world = World(rounds=1, names=NAMES[:3])

    async def job() -> None:
        async with Loopback(world) as hub, await hub.channel("dakar") as channel:
            with pytest.raises(MessageRefused, match="dakar is not invited"):
                await ask(channel, method, bytes(40))

    asyncio.run(job())


@pytest.mark.parametrize("number", [b"", bytes(7), bytes(9), b"\xff" * 2000])
def test_a_count_of_rounds_that_is_none_is_refused_and_disturbs_nobody(number):
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world) as hub:
            async with await hub.channel("bari") as channel:
                silo = world.make_silo("bari", log=MemoryLog())
                others = hub.silos("ambon", "cusco", "dakar")
                await join(channel, silo)
                with pytest.raises(MessageRefused, match="not 8"):
                    await ask(channel, "next", parts.join([silo.job.digest(), number]))
                with pytest.raises(MessageRefused):
                    await ask(channel, "next", number)
            silos = [hub.silo("bari", machine=silo), *others]
            await hub.finished()
            for one in silos:
                await one.result()
            assert hub.dropped == []

    asyncio.run(job())


def test_a_silo_ahead_of_the_aggregator_or_at_another_job_is_told_so():
    world = World(rounds=3)

    async def job() -> None:
        async with Loopback(world) as hub:
            silos = {name: world.make_silo(name, log=MemoryLog()) for name in NAMES}
            channels = {name: await hub.channel(name) for name in NAMES}
            await asyncio.gather(*(join(channels[name], silos[name]) for name in NAMES))
            await take_offer(channels["bari"], silos["bari"])
            with pytest.raises(MessageRefused, match="bari has 2 rounds, the aggregator only 0"):
                await ask_next(channels["bari"], silos["bari"], done=2)
            with pytest.raises(MessageRefused, match="bari is at another job"):
                await ask(channels["bari"], "next", parts.join([bytes(32), bytes(8)]))
            for channel in channels.values():
                await channel.close()

    asyncio.run(job())


def test_a_silo_on_the_state_of_another_job_is_told_so():
    """It took the new job for the old one, and ended well after its last round."""
    old, new = World(rounds=1), World(rounds=1)

    async def job() -> None:
        async with Loopback(old) as hub:
            silos = hub.silos()
            await hub.finished()
            for silo in silos:
                await silo.result()
        async with Loopback(new) as hub:
            silo = hub.silo("bari", state=old.states["bari"])
            with pytest.raises(MessageRefused, match="bari is at another job"):
                await silo.result()

    asyncio.run(job())


def test_a_request_over_the_limit_ends_that_channel_and_is_reported():
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world) as hub:
            channel = await hub.channel("bari")
            with pytest.raises(PeerUnreachable):
                await ask(channel, "contribute", bytes(aggregator_service.SMALL + 16 * 100))
            await hub.until(lambda: bool(hub.dropped))
            assert "at most" in hub.dropped[0].problem
            silos = hub.silos()
            await hub.finished()
            for silo in silos:
                await silo.result()

    asyncio.run(job())


# ------------------------------------------------------------------------------------------------- gone and back again


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


# ---------------------------------------------------------------------------------------------------------- provenance


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
