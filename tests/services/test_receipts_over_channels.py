"""Receipts over real channels: each silo gets its own, with the result or the next offer; a lie stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from loopback import Gate, Loopback

from byzantine import HONEST, LIMITS, POISON, Forger
from forged_messages import reissued
from identities import TRUSTED, consortium
from quatrefoil.audit import MemoryLog
from quatrefoil.audit.receipts import ABSENT, INCLUDED, REFUSED, VOIDED, Receipt, RoundReceipt
from quatrefoil.audit.verified_receipts import VerifiedReceipt, verify_receipt
from quatrefoil.errors import EvidenceRejected
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.services import questions
from world import NAMES, RECEIPT_KEY, SAMPLES, World


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(questions, "PATIENCE", 0.2)
    yield


def held(world: World, name: str) -> list[VerifiedReceipt]:
    """What a stranger reads in the receipts on a silo's disk."""
    state, trust = world.states[name], consortium(TRUSTED).trust
    key = world.receipt_key.public_key() if world.receipt_key else None
    stored = [state.get(one) for one in state.names("receipts/")]
    return [verify_receipt(one, trust, at=world.clock(), classical=key) for one in stored if one is not None]


def verdicts(world: World, name: str) -> list[str]:
    return [one.payload.verdict for one in held(world, name)]


def test_every_silo_of_a_job_ends_with_a_receipt_for_every_round() -> None:
    world = World(rounds=2, limits={"receipts": "ml-dsa+ed25519"})

    async def job() -> None:
        async with Loopback(world) as hub:
            silos = hub.silos()
            await hub.finished()
            for silo in silos:
                await silo.result()

    asyncio.run(job())
    assert world.receipt_key is RECEIPT_KEY
    for name in NAMES:
        assert verdicts(world, name) == [INCLUDED, INCLUDED]
        assert {one.algorithms for one in held(world, name)} == {("ML-DSA-65", "Ed25519")}


def test_a_silo_that_is_refused_learns_why_from_its_receipt() -> None:
    """One that poisons and forges its proof; and one that comes after the round has gone on."""
    world = World(rounds=1, limits={**LIMITS, "proofs": True, "minimum_silos": 2, "colluding_silos": 0})

    async def job() -> None:
        async with Loopback(world, deadline=3.0) as hub:
            log = MemoryLog(world.clock)
            machine = Forger(**_parts(world, "bari", log))
            values = {name: POISON if name == "bari" else HONEST for name in NAMES}

            def train(name: str) -> Any:
                return lambda model: [array + array.dtype.type(values[name]) for array in model]

            late = Gate("dakar")

            def train_late(model: Any) -> Any:
                late.train(model)
                return train("dakar")(model)

            running = [hub.silo(name, train(name)) for name in ("ambon", "cusco")]
            running += [hub.silo("bari", train("bari"), machine=machine), hub.silo("dakar", train_late)]
            await hub.until(
                lambda: hub.service._standing.aggregator is not None and hub.service._standing.rounds_done == 1
            )
            late.open()
            for silo in running:
                await silo.result()
            await hub.finished()
            logged = [entry.body for entry in log.entries() if entry.kind == "receipt"]
            assert [body["verdict"] for body in logged] == [REFUSED]

    asyncio.run(job())
    (refused,) = held(world, "bari")
    assert refused.payload.verdict == REFUSED and "proof" in refused.payload.reason
    assert verdicts(world, "ambon") == verdicts(world, "cusco") == [INCLUDED]
    assert verdicts(world, "dakar") == [ABSENT]


def _parts(world: World, name: str, log: MemoryLog) -> dict[str, Any]:
    return {
        "security": world.security(name, "silo"),
        "aggregation": world.aggregation(),
        "proofs": world.proofs(),
        "appraiser": world.appraiser(),
        "policy": world.policy,
        "samples": SAMPLES[name],
        "state": world.states[name],
        "log": log,
        "clock": world.clock,
    }


def test_an_attempt_that_was_voided_has_its_receipts_too() -> None:
    """The keeper is started anew after a contribution: it voids the attempt, and the next one goes through."""
    world = World(rounds=1)

    async def job() -> None:
        async with Loopback(world) as hub:
            gates = {name: Gate(name) for name in NAMES[1:]}
            silos = [hub.silo("ambon"), *(hub.silo(name, gate.train) for name, gate in gates.items())]
            await hub.until(lambda: len(hub.received) == 1)
            await hub.stop_keeper()
            world.keeper = world.make_keeper()
            await hub.start_keeper()
            for gate in gates.values():
                gate.open()
            await hub.finished()
            for silo in silos:
                await silo.result()

    asyncio.run(job())
    found = verdicts(world, "ambon")
    assert found == [VOIDED, INCLUDED]
    assert all(verdicts(world, name)[-1] == INCLUDED and len(verdicts(world, name)) == 2 for name in NAMES)


class Liar(Aggregator):
    """It says ``refused`` of one silo that is in the sum, and the truth of all others."""

    world: World

    def finish(self, answer: bytes) -> Any:
        finished = super().finish(answer)
        world, receipts = self.world, finished.receipts
        lie = reissued(world, "bari", receipts.of("bari"), verdict=REFUSED, reason="we do not like it")

        class Told:
            silos, batches = receipts.silos, receipts.batches

            def of(self, silo: str) -> bytes:
                return lie if silo == "bari" else receipts.of(silo)

        object.__setattr__(finished, "receipts", Told())
        return finished


def test_a_lie_stops_the_silo_that_it_is_told_and_names_the_aggregator() -> None:
    world = World(rounds=1, aggregator_kind=Liar)

    async def job() -> None:
        async with Loopback(world) as hub:
            Liar.world = world
            silos = {name: hub.silo(name) for name in NAMES}
            for name in NAMES:
                if name == "bari":
                    with pytest.raises(EvidenceRejected, match="say refused, and the keeper's release does") as refusal:
                        await silos[name].result()
                    assert refusal.value.party == "hub"
                else:
                    await silos[name].result()
            assert silos["bari"].machine.rounds_done == 0
            log = silos["bari"].machine._log
            (evidence,) = [entry for entry in log.entries() if entry.attached.get("receipts")]
            assert log.payload(evidence.attached["receipts"].sha256)
            await hub.stop_aggregator()

    asyncio.run(job())
    assert world.states["bari"].names("receipts/") == []
    first = world.states["ambon"].get(world.states["ambon"].names("receipts/")[0])
    assert first is not None and RoundReceipt.decode(Receipt.decode(first).payload).verdict == INCLUDED
