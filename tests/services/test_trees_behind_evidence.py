"""A tree whose upper keeper shows evidence of the machine that it is on: every group appraises it for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from grove import GROUPS, Grove, clear_mean

import attested_keepers as made
from attested_keepers import AttestedWorld
from quatrefoil.contracts import IsolationAppraiser
from quatrefoil.enclave.collectors import Collector
from quatrefoil.errors import EvidenceRejected
from quatrefoil.federation.group_sums import upper_initial
from quatrefoil.isolation import CollectingAttester
from trees import VALUES, UpperWorld

pytestmark = pytest.mark.usefixtures("short_patience")
ALL = tuple(silo for silos in GROUPS.values() for silo in silos)


@dataclass
class AttestedUpper(AttestedWorld, UpperWorld):
    """An upper job, whose policy names no stand-in."""

    backend: str = "additive-rlwe"

    def aggregation(self) -> Any:
        return UpperWorld.aggregation(self)

    def appraiser(self) -> IsolationAppraiser:
        """At the time at which all of the evidence holds."""
        return made.appraiser(self.kind, isolated=self.policy.wants_isolation)


@pytest.fixture(autouse=True, scope="module")
def roots() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        made.trusted(patch)
        yield


def grove(rounds: int = 2, **changes: Any) -> Grove:
    upper = AttestedUpper(names=tuple(GROUPS), rounds=rounds, initial=upper_initial(VALUES), **changes)
    return Grove(GROUPS, rounds=rounds, upper=upper)


@pytest.mark.parametrize("kind", made.COLLECTORS)
def test_groups_send_their_sums_to_a_machine_that_they_have_appraised(kind: str) -> None:
    isolated = kind != "tpm"

    async def job() -> None:
        async with grove(kind=kind, named=("curious-host",) if isolated else ()) as tree:
            assert tree.upper.world.policy.accept_insecure == ()
            tree.start_silos()
            await tree.finished()
            assert all((tree.model(silo) == clear_mean(ALL) * 2).all() for silo in ALL)
            measured = tree.upper.world.logged("measurement")
            assert {body["enclave"] for body in measured} == {kind}

    asyncio.run(job())


OTHER_MACHINES: dict[str, tuple[str, Callable[[], Collector], str]] = {
    "another register": ("tpm", lambda: made.quoting(values={0: b"\1" * 32, 7: b"\x09" * 32}), "accepted-pcr7"),
    "other software": ("sev-snp", lambda: made.reporting(measurement=bytes(48)), "accepted-measurement"),
    "another chip": ("sev-snp", lambda: made.reporting(chip_id=bytes(range(2, 66))), "chip-id"),
}


@pytest.mark.parametrize("machine", OTHER_MACHINES)
def test_a_keeper_on_another_machine_than_agreed_gets_no_groups_sum(machine: str) -> None:
    kind, collector, check = OTHER_MACHINES[machine]

    async def job() -> None:
        async with grove(rounds=1, kind=kind, collector=collector()) as tree:
            for group in tree.groups.values():
                group.silos_give_up = 2.0
            tree.start_silos()
            for group in tree.groups.values():
                with pytest.raises(EvidenceRejected) as refused:
                    await group.finished()
                assert refused.value.check == check
                assert check in group.vitals.problems()["upper"]
            assert tree.upper.received == []
            assert all((tree.model(silo) == 0).all() for silo in ALL)  # and no silo has a mean of anything

    asyncio.run(job())


def test_a_machine_that_is_changed_between_two_rounds_gets_no_sum_of_the_second() -> None:
    async def job() -> None:
        async with grove(kind="tpm") as tree:
            upper = tree.upper.world
            honest = upper.keeper.open_round

            def changed(job: bytes, request: bytes) -> bytes:
                if upper.aggregator.rounds_done == 1:
                    upper.keeper._attester = CollectingAttester(made.quoting(values={0: b"\1" * 32, 7: b"\x09" * 32}))
                return honest(job, request)

            upper.keeper.open_round = changed
            for group in tree.groups.values():
                group.silos_give_up = 5.0
            tree.start_silos()
            for group in tree.groups.values():
                with pytest.raises(EvidenceRejected, match="accepted-pcr7"):
                    await group.finished()
            assert {number for number, _ in tree.upper.received} == {1}
            assert all((tree.model(silo) == clear_mean(ALL)).all() for silo in ALL)

    asyncio.run(job())
