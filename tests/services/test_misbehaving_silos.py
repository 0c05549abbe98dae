"""Silos over channels that send what they should not, decline, or are nobody that was invited."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from loopback import SOON, Gate, Loopback, ask, ask_next, join, leave, refuse_the_result, take_offer, trained
from whole_jobs import contributors, is_mean

from byzantine import HONEST, LIMITS, POISON, Forger, WrongKey
from quatrefoil.audit import MemoryLog
from quatrefoil.errors import HostError, MessageRefused, PeerUnreachable, PolicyError, ProofRejected
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256, shape_of
from quatrefoil.federation.messages import Contribution, RoundContext
from quatrefoil.federation.silo import Silo
from quatrefoil.services import rpc
from world import NAMES, World

pytestmark = pytest.mark.usefixtures("short_patience")


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
                await ask(channel, "contribute", bytes(rpc.SMALL + 16 * 100))
            await hub.until(lambda: bool(hub.dropped))
            assert "at most" in hub.dropped[0].problem
            silos = hub.silos()
            await hub.finished()
            for silo in silos:
                await silo.result()

    asyncio.run(job())
