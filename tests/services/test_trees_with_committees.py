"""A tree whose groups have no keeper: of each, a committee of its own silos holds the keys."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from grove import LONG, THREES, Grove, clear_mean, step
from loopback import Gate

from committee_world import CommitteeWorld
from quatrefoil.audit import MemoryLog
from quatrefoil.errors import MessageRefused, PolicyError
from quatrefoil.federation.silo import Silo
from trees import CLIP, GroupWorld

pytestmark = pytest.mark.usefixtures("short_patience")
ALL = tuple(silo for silos in THREES.values() for silo in silos)
LIMITS = {"members": 3, "silent": 1, "liars": 0, "colluding": 0, "minimum": 2, "heaviest": 256, "clip": CLIP}


@dataclass
class CommitteeGroup(GroupWorld, CommitteeWorld):
    """A group, whose keys its silos hold."""


def grove(**changes: Any) -> Grove:
    return Grove(THREES, kind=CommitteeGroup, limits=LIMITS, **changes)


class Held(Gate):
    """A training that waits until it is opened."""

    def train(self, model):
        self.reached.set()
        assert self._opened.wait(LONG)
        return step(self._name, model)


class Silent(Silo):
    """Trains, and says nothing as a member."""

    def member_key(self, request: bytes) -> bytes:
        raise MessageRefused("says nothing", hint="Go on without it")


def start(tree: Grove, group: str, kinds: dict[str, type[Silo]]) -> None:
    """The silos of a group, some of them of another kind."""
    world = tree.groups[group].world
    for name in tree.names[group]:
        machine = world.make_silo(name, log=MemoryLog())
        machine.__class__ = kinds.get(name, Silo)
        tree.running[name] = tree.groups[group].silo(name, lambda model, name=name: step(name, model), machine=machine)


def test_every_silo_gets_the_mean_of_all_and_no_group_has_a_keeper() -> None:
    async def job() -> None:
        async with grove() as tree:
            tree.start_silos()
            await tree.finished()
            await tree.upper.finished()
            assert all((tree.model(silo) == clear_mean(ALL) * 2).all() for silo in ALL)
            for name, silos in THREES.items():
                group = tree.groups[name]
                assert {who for who, _ in group.dialled} == set(silos) and group.refused == []
                assert group.world.keeper is None and len(group.world.logged("member-answer")) >= 4

    asyncio.run(job())


def test_a_member_that_is_silent_is_named_in_its_group_and_holds_up_none() -> None:
    async def job() -> None:
        async with grove(rounds=1) as tree:
            start(tree, "north", {"bari": Silent})
            tree.start_silos("south", "west")
            await tree.finished()
            assert all((tree.model(silo) == clear_mean(ALL)).all() for silo in ALL)
            refused = {name: group.world.logged("refusal") for name, group in tree.groups.items()}
            assert {body["silo"] for body in refused["north"]} == {"bari"}
            assert refused["south"] == refused["west"] == []

    asyncio.run(job())


def test_a_group_whose_committee_is_silent_sends_nothing_up_and_the_others_go_on_without() -> None:
    """Two of three: nobody has the keys of its silos, not its aggregator either."""
    with_east = {**THREES, "east": ("jaffa", "kyoto", "lagos")}

    async def job() -> None:
        async with Grove(with_east, kind=CommitteeGroup, limits=LIMITS, rounds=1, upper_deadline=1.0) as tree:
            tree.groups["east"].silos_give_up = 2.0
            start(tree, "east", {"jaffa": Silent, "kyoto": Silent})
            tree.start_silos(*THREES)
            await tree.finished(*THREES)
            assert all((tree.model(silo) == clear_mean(ALL)).all() for silo in ALL)
            with pytest.raises(PolicyError, match="members of the committee have given keys in time"):
                await tree.groups["east"].finished()
            assert "east" not in {silo for _, silo in tree.upper.received}

    asyncio.run(job())


def test_the_aggregator_of_a_group_is_started_again_and_its_members_answer_for_no_second_sum() -> None:
    """Once while its silos train, and once while its sum waits for another group's."""

    async def job() -> None:
        async with grove(rounds=1) as tree:
            held = {silo: Held(silo) for silo in ("ambon", "dakar")}
            tree.start_silos(train={silo: gate.train for silo, gate in held.items()})
            north = tree.groups["north"]
            await north.until(lambda: held["ambon"].reached.is_set() and len(north.received) == 2)
            await tree.restart("north")
            held["ambon"].open()
            await north.until(lambda: (1, "north") in tree.upper.received)
            answered = len(north.world.logged("member-answer"))
            await tree.restart("north")
            held["dakar"].open()
            await tree.finished()
            assert all((tree.model(silo) == clear_mean(ALL)).all() for silo in ALL)
            assert answered >= 2 and tree.upper.refused == []

    asyncio.run(job())
