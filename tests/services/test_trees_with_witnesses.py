"""A tree whose upper policy asks for witnesses: the aggregators of the groups cosign the log of who adds them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from grove import GROUPS, Grove, clear_mean

from quatrefoil.audit import PartyLog
from quatrefoil.audit.log import LOG_FOLDER, WITNESSED
from quatrefoil.audit.witnesses import cosigners, read_witnessed, verify
from quatrefoil.errors import EvidenceRejected, PolicyError
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.federation.group_sums import upper_initial
from quatrefoil.services.waiting import Waiting
from quatrefoil.state import MemoryState
from trees import VALUES, UpperWorld
from witnesses import TRUST, Witnesses, cosigning_of, hub_log, second_log

pytestmark = pytest.mark.usefixtures("short_patience")
ALL = tuple(silo for silos in GROUPS.values() for silo in silos)


def witnessed(folder: Path, *, quorum: int = 3, rounds: int = 2, **changes: Any) -> Grove:
    world = UpperWorld(names=tuple(GROUPS), rounds=rounds, initial=upper_initial(VALUES), limits={"witnesses": quorum})
    world.logs["hub"] = log = hub_log(folder, world)
    world.enrolments = world.make_enrolments()
    given = {"witnesses": Witnesses(world), "cosigning": cosigning_of(world, log)} | changes
    return Grove(GROUPS, rounds=rounds, upper=world, **given)


def has_mean(tree: Grove) -> bool:
    return all((tree.model(silo) == clear_mean(ALL) * tree.rounds).all() for silo in ALL)


def who_cosigned(folder: Path, tree: Grove) -> tuple[str, ...]:
    """Under the last checkpoint, as an auditor finds it in the upper aggregator's log."""
    clock = tree.upper.world.clock
    tree.upper.world.logs["hub"].close()
    log = PartyLog.in_folder(folder / LOG_FOLDER, TRUST, clock=clock)
    entries = [entry for entry in log.entries() if entry.kind == "witness"]
    known = [verify(log.payload("statement", e.attached["statement"]), TRUST, clock=clock) for e in entries]
    return cosigners(read_witnessed((folder / LOG_FOLDER / WITNESSED).read_bytes(), log.owner, known), known)


def test_every_group_cosigns_the_log_of_the_upper_aggregator(tmp_path: Path) -> None:
    tree = witnessed(tmp_path)

    async def job() -> None:
        async with tree:
            tree.start_silos()
            await tree.finished()
            await tree.upper.finished()
            assert has_mean(tree)
            for group in tree.groups.values():
                told = "upper job: the aggregator's log at the end of the job is cosigned by north, south, west"
                assert told in group.reports

    asyncio.run(job())
    assert who_cosigned(tmp_path, tree) == ("north", "south", "west")


def test_a_group_that_is_started_again_goes_on_as_the_witness_that_it_was(tmp_path: Path) -> None:
    tree = witnessed(tmp_path)

    async def job() -> None:
        async with tree:
            tree.start_silos("north", "south")
            await tree.groups["north"].until(lambda: (1, "north") in tree.upper.received)
            await tree.restart("north")
            tree.start_silos("west")
            await tree.finished()
            assert has_mean(tree)

    asyncio.run(job())
    assert who_cosigned(tmp_path, tree) == ("north", "south", "west")


def test_an_upper_job_does_not_end_without_a_witness_and_ends_once_that_is_back(tmp_path: Path) -> None:
    """Every group has the mean meanwhile: what is missing is the quorum over the log."""
    tree = witnessed(tmp_path, rounds=1)

    async def job() -> None:
        async with tree:
            west = tree.groups["west"]
            assert west.upper is not None
            west.upper._service._cosign = lambda: None  # it takes its part in the round, and cosigns nothing
            tree.start_silos()
            await tree.upper.until(lambda: tree.upper.service.standing.rounds_done == 1)
            for group in tree.groups.values():
                await group.until(lambda group=group: group.service.standing.rounds_done == 1)
            await tree.upper.stop_aggregator()
            tree.upper.waiting, kept = Waiting(1.0, 2.0), tree.upper.waiting
            tree.upper.world.enrolments = tree.upper.world.make_enrolments()
            await tree.upper.start_aggregator()
            with pytest.raises(PolicyError, match=r"2 silos cosigned .* asks for 3 witnesses; missing west"):
                await tree.upper.finished()
            assert all(not group.upper._ended for group in tree.groups.values() if group.upper)
            await tree.upper.stop_aggregator()
            tree.upper.waiting = kept
            tree.upper.world.enrolments = tree.upper.world.make_enrolments()
            await tree.upper.start_aggregator()
            await tree.restart("west")
            await tree.finished()
            assert has_mean(tree)

    asyncio.run(job())
    assert who_cosigned(tmp_path, tree) == ("north", "south", "west")


def test_an_upper_aggregator_that_keeps_no_log_gets_no_sum(tmp_path: Path) -> None:
    tree = witnessed(tmp_path, cosigning=None)

    async def job() -> None:
        async with tree:
            tree.groups["north"].silos_give_up = 2.0
            tree.start_silos("north")
            with pytest.raises(EvidenceRejected, match="asks for 3 witnesses, and aggregator hub keeps no signed log"):
                await tree.groups["north"].finished()
            assert tree.upper.received == []

    asyncio.run(job())


def test_a_group_that_is_shown_a_rewritten_log_names_the_upper_aggregator_and_the_others_go_on(tmp_path: Path) -> None:
    tree = witnessed(tmp_path, quorum=2, cosigning=lambda job: Rewriting(job))
    world, witnesses = tree.upper.world, tree.witnesses
    assert witnesses is not None
    other = second_log(tmp_path, tmp_path / "other", world)

    class Rewriting(Cosigning):
        """Shows north, once it has cosigned the first round, a log that begins otherwise."""

        def __init__(self, agreed: AgreedJob, **changes: Any) -> None:
            given = {"state": world.states["hub"], "log": world.logs["hub"]} | changes
            super().__init__(agreed.job, policy=world.policy, security=world.hub_security, **given)
            self._agreed = agreed

        def request(self, silo: str, size: int) -> bytes:
            if silo != "north" or size == 0:
                return super().request(silo, size)
            while other.reader().size < size + 3:
                other.append("x-invented", {})
            liar = cosigning_of(world, other, MemoryState())(self._agreed)
            liar.begin(2)
            return liar.request(silo, size)

    async def job() -> None:
        async with tree:
            tree.upper.waiting = Waiting(1.0, 60.0)
            tree.start_silos()
            await tree.finished("south", "west")
            north = tree.groups["north"].upper
            assert north is not None
            with pytest.raises(EvidenceRejected, match="aggregator hub shows a log that this silo does not cosign"):
                await asyncio.wait_for(north.over(), 60)
            assert "upper" in tree.groups["north"].vitals.problems()

    asyncio.run(job())
    assert who_cosigned(tmp_path, tree) == ("south", "west")
    assert witnesses.logged("north", "refusal")[-1].attached["evidence"].size > 0
    other.close()
