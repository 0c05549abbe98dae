"""A tree over channels: groups that go up, come late, are started again, and are refused what their sums do not fit."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from grove import FOUR, GROUPS, LONG, NORTH, SOUTH, WEST, Grove, clear_mean, step
from loopback import Gate

from quatrefoil.errors import CallerError, HostError, PolicyError
from quatrefoil.federation.group_sums import upper_initial
from quatrefoil.services.vitals import Vitals
from trees import VALUES, UpperWorld

ALL = NORTH + SOUTH + WEST


class Held(Gate):
    """A training that waits until it is opened."""

    def train(self, model):
        self.reached.set()
        assert self._opened.wait(LONG)
        return step(self._name, model)


def models(grove: Grove, silos=ALL) -> list[np.ndarray]:
    return [grove.model(silo) for silo in silos]


def test_every_silo_gets_the_mean_of_all_groups_exactly() -> None:
    async def job() -> None:
        async with Grove(GROUPS) as grove:
            grove.start_silos()
            await grove.finished()
            await grove.upper.finished()
            expected = clear_mean(ALL) + clear_mean(ALL)
            assert all((model == expected).all() for model in models(grove))
            names = {group.world.aggregator.job.upper for group in grove.groups.values()}
            assert names == {grove.upper.world.aggregator.job.digest()}

    asyncio.run(job())


def test_a_group_whose_aggregator_is_started_again_in_a_round_goes_on() -> None:
    """Once while its silos train, once while its sum waits for the other groups."""

    async def job() -> None:
        async with Grove(GROUPS, rounds=1) as grove:
            held = {silo: Held(silo) for silo in ("ambon", "dakar")}
            grove.start_silos(train={silo: gate.train for silo, gate in held.items()})
            north = grove.groups["north"]
            await north.until(lambda: held["ambon"].reached.is_set() and len(north.received) == 2)
            await grove.restart("north")
            held["ambon"].open()
            await north.until(lambda: (1, "north") in grove.upper.received)
            assert any("waits for the upper job" in line for line in north.reports)
            await grove.restart("north")
            held["dakar"].open()
            await grove.finished()
            assert all((model == clear_mean(ALL)).all() for model in models(grove))
            sent = [silo for _, silo in grove.upper.received if silo == "north"]
            assert grove.upper.refused == [] and sent  # what was sent again was the same

    asyncio.run(job())


def test_the_upper_aggregator_is_started_again_in_a_round() -> None:
    async def job() -> None:
        async with Grove(GROUPS, rounds=2) as grove:
            held = Held("dakar")
            grove.start_silos(train={"dakar": held.train})
            await grove.upper.until(lambda: len(grove.upper.received) == 2)
            await grove.upper.stop_aggregator()
            grove.upper.world.enrolments = grove.upper.world.make_enrolments()
            held.open()
            await grove.groups["south"].until(lambda: "upper" in grove.groups["south"].vitals.problems())
            await grove.upper.start_aggregator()
            await grove.finished()
            assert all((model == clear_mean(ALL) * 2).all() for model in models(grove))

    asyncio.run(job())


def test_a_group_that_comes_too_late_publishes_what_the_others_added() -> None:
    """The upper job goes on without it, and is over before its silos have trained."""

    async def job() -> None:
        async with Grove(FOUR, rounds=2, upper_deadline=1.0) as grove:
            held = Held("izmir")
            grove.start_silos("east", train={"izmir": held.train, "huesca": held.train})
            grove.start_silos(*GROUPS)
            await grove.upper.finished()
            await grove.finished(*GROUPS)
            east = grove.groups["east"]
            assert east.world.aggregator.rounds_done == 0 and east.vitals.problems() == {}
            await grove.restart("east")  # what it took is on its disk, and nobody is left to ask
            held.open()
            await grove.finished("east")
            assert all((model == clear_mean(ALL) * 2).all() for model in models(grove, (*ALL, *FOUR["east"])))
            rounds = [east.world.aggregator.finished(number).contributors for number in (1, 2)]
            assert rounds == [FOUR["east"]] * 2

    asyncio.run(job())


def test_while_the_upper_job_is_away_a_group_answers_its_silos() -> None:
    async def job() -> None:
        async with Grove(GROUPS, rounds=1) as grove:
            await grove.upper.stop_aggregator()
            north = grove.groups["north"]
            grove.start_silos("north")
            await north.until(lambda: not north.service.standing.missing)
            await north.until(lambda: any("the upper aggregator does not answer" in line for line in north.reports))
            assert set(north.vitals.problems()) == {"upper"}
            assert north.service.standing.signed_job is None  # what it goes up to is not known yet
            grove.upper.world.enrolments = grove.upper.world.make_enrolments()
            await grove.upper.start_aggregator()
            grove.start_silos("south", "west")
            await grove.finished()
            assert north.vitals.problems() == {}
            assert b"quatrefoil_upper_rounds_done 1" in north.vitals.text()

    asyncio.run(job())


def test_a_group_gives_an_upper_aggregator_up_that_stays_away() -> None:
    async def job() -> None:
        async with Grove(GROUPS, rounds=1, give_up=0.5) as grove:
            await grove.upper.stop_aggregator()
            north = grove.groups["north"]
            assert north.upper is not None
            with pytest.raises(HostError, match="the upper aggregator does not answer"):
                await north.upper.digest()
            assert "does not answer" in north.vitals.problems()["upper"]

    asyncio.run(job())


# ------------------------------------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"initial": upper_initial(VALUES + 1)}, "adds 11 values"),
        ({"limits": {"clip": 1.0}}, r"up to 1\.0"),
        ({"rounds": 3}, "has 3 rounds, and this group 2"),
    ],
    ids=["length", "clip", "rounds"],
)
def test_a_group_does_not_consent_to_an_upper_job_that_its_sums_do_not_fit(changed, problem: str) -> None:
    fitting = {"names": tuple(GROUPS), "rounds": 2, "initial": upper_initial(VALUES)}

    async def job() -> None:
        async with Grove(GROUPS, upper=UpperWorld(**(fitting | changed))) as grove:
            for group in grove.groups.values():
                assert group.upper is not None
                with pytest.raises(CallerError, match=problem):
                    await group.upper.digest()
                assert "upper" in group.vitals.problems()
                assert any(line.startswith("upper job: ") for line in group.reports)
                with pytest.raises(CallerError, match=problem):  # at once: no silo of it has come yet
                    await group.finished()
            assert grove.upper.service.standing.unsigned == set(GROUPS)

    asyncio.run(job())


def test_an_upper_job_that_adds_two_groups_is_refused_before_anything_is_sent() -> None:
    fitting = {"names": tuple(GROUPS), "rounds": 2, "initial": upper_initial(VALUES)}
    grove = Grove(GROUPS, upper=UpperWorld(**fitting, limits={"minimum_silos": 2, "colluding_silos": 0}))

    async def job() -> None:
        with pytest.raises(PolicyError, match="adds 2 groups, and of two each has the other's sum"):
            grove.link("north", Vitals("aggregator"))

    asyncio.run(job())


def test_a_group_that_was_made_under_another_upper_job_is_refused() -> None:
    """Its upper state was replaced, and the upper job is another one: its silos signed the first."""

    async def job() -> None:
        async with Grove(GROUPS, rounds=1) as grove:
            held, north = Held("ambon"), grove.groups["north"]
            for group in grove.groups.values():
                group.silos_give_up = 5.0
            grove.start_silos(train={"ambon": held.train})
            await north.until(held.reached.is_set)
            async with Grove(GROUPS, rounds=1, upper=other_upper()) as other:
                await north.stop_aggregator()
                north.world.enrolments = north.world.make_enrolments()
                north._make_upper = lambda vitals: other.link("north", vitals)
                await other.groups["north"].stop_aggregator()
                await north.start_aggregator()
                with pytest.raises(CallerError, match=r"goes up to job .*, and the upper job is"):
                    await north.finished()
            held.open()

    asyncio.run(job())


def other_upper() -> UpperWorld:
    return UpperWorld(names=tuple(GROUPS), rounds=1, initial=upper_initial(VALUES), limits={"rounds": 19})
