"""Jobs with a committee over real channels: the aggregator has no keeper to ask, and every member one connection
out."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from loopback import Loopback

from committee_world import EIGHT, CommitteeWorld
from identities import identity
from quatrefoil.aggregation import AdditiveAggregation
from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.committee_messages import MemberAnswer
from quatrefoil.federation.silo import Silo
from signed_messages import changed
from world import expected_mean

pytestmark = pytest.mark.usefixtures("short_patience")
LONG = 240.0
"""Seconds after which a test has failed, on a machine that has other things to do."""


async def end(hub: Loopback) -> Aggregator:
    return await asyncio.wait_for(asyncio.shield(hub.run), LONG)


def loopback(world: CommitteeWorld, *, deadline: float = LONG) -> Loopback:
    return Loopback(world, keeper=False, deadline=deadline, give_up=LONG, timeout=60.0)


def test_a_job_of_two_rounds_over_channels() -> None:
    async def run() -> None:
        world = CommitteeWorld(rounds=2)
        async with loopback(world) as hub:
            silos = hub.silos()
            aggregator = await end(hub)
            for silo in silos:
                assert (await asyncio.wait_for(asyncio.shield(silo._running), LONG)).rounds == 2
            assert aggregator.rounds_done == 2 and hub.refused == [] and hub.dropped == []
            assert world.moved() == pytest.approx(2 * expected_mean(EIGHT), abs=2e-3)
            assert {who for who, _ in hub.dialled} == set(EIGHT)

    asyncio.run(run())


class Lying(Silo):
    """Answers with another sum than that of its shares, and signs it."""

    def member_answer(self, offer: bytes, request: bytes) -> bytes:
        signed, total = parts.split(super().member_answer(offer, request), 2)
        wrong = total[:-8] + bytes(7) + b"\x01"
        return parts.join([changed(signed, MemberAnswer, identity("ambon", "silo"), sum=sha256(wrong)), wrong])


class Silent(Silo):
    """Trains, and says nothing as a member."""

    def member_key(self, request: bytes) -> bytes:
        raise MessageRefused("says nothing", hint="Go on without it")


def test_two_silent_and_one_lying_member_are_named_and_hold_up_nothing() -> None:
    async def run() -> None:
        world = CommitteeWorld(rounds=1)
        kinds = {"ambon": Lying, "bari": Silent, "elba": Silent}
        async with loopback(world) as hub:
            for name in EIGHT:
                made = world.make_silo(name)
                made.__class__ = kinds.get(name, Silo)
                hub.silo(name, machine=made)
            aggregator = await end(hub)
            finished = aggregator.finished(1)
            assert finished is not None and finished.contributors == EIGHT
            assert world.moved() == pytest.approx(expected_mean(EIGHT), abs=1e-3)
            reasons = {body["silo"]: body["reason"] for body in world.logged("refusal") if "silo" in body}
            assert {"bari", "elba"} <= set(reasons) and "is silent" in reasons["bari"]
            assert set(aggregator.desk.answers.liars if aggregator.desk else ()) <= {"ambon"}

    asyncio.run(run())


def test_others_are_answered_while_answers_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        world = CommitteeWorld(rounds=1)
        loop, ticked, waited = asyncio.get_running_loop(), threading.Event(), []
        honest = AdditiveAggregation.recover_key

        def slow(*arguments: Any, **named: Any) -> Any:
            loop.call_soon_threadsafe(ticked.set)
            waited.append(ticked.wait(LONG / 4))
            return honest(*arguments, **named)

        monkeypatch.setattr(AdditiveAggregation, "recover_key", slow)
        async with loopback(world) as hub:
            hub.silos()
            assert (await end(hub)).rounds_done == 1
        assert waited and all(waited), "the loop stood still"

    asyncio.run(run())


def test_an_attempt_whose_members_were_started_again_is_voided_and_the_next_ends_the_round() -> None:
    async def run() -> None:
        world = CommitteeWorld(rounds=1)
        forgotten: set[str] = set()

        class Forgetful(Silo):
            """Loses its key once, as a process that was killed does."""

            def check_shares(self, offer: bytes, request: bytes) -> bytes:
                if self._security.name not in forgotten:
                    forgotten.add(self._security.name)
                    self._member.wipe()
                return super().check_shares(offer, request)

        async with loopback(world) as hub:
            for name in EIGHT:
                made = world.make_silo(name)
                if name in EIGHT[:4]:
                    made.__class__ = Forgetful
                hub.silo(name, machine=made)
            aggregator = await end(hub)
            finished = aggregator.finished(1)
            assert finished is not None and finished.contributors == EIGHT
            assert forgotten == set(EIGHT[:4]) and len(world.logged("member-void")) >= 5
            assert world.logged("round-finished")[0]["attempt"] == 1

    asyncio.run(run())


def test_an_aggregator_that_is_started_again_goes_on_with_the_members_it_has() -> None:
    async def run() -> None:
        world = CommitteeWorld(rounds=2)
        async with loopback(world) as hub:
            hub.silos()
            while not world.logged("member-answer"):
                await asyncio.sleep(0.01)
            await hub.stop_aggregator()
            world.enrolments = world.make_enrolments()
            await hub.start_aggregator()
            aggregator = await end(hub)
            assert aggregator.rounds_done == 2
            assert world.moved() == pytest.approx(2 * expected_mean(EIGHT), abs=2e-3)

    asyncio.run(run())
