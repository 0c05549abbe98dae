"""A tree whose groups ask for proofs of bounded updates, and a silo in one of them that lies."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from grove import LIMITS, THREES, Grove, clear_mean, step

from byzantine import Forger, WrongKey
from quatrefoil.audit import MemoryLog
from quatrefoil.errors import PolicyError, ProofRejected
from quatrefoil.federation.silo import Silo
from trees import VALUES

pytestmark = pytest.mark.usefixtures("short_patience")
ALL = tuple(silo for silos in THREES.values() for silo in silos)
LIAR = "bari"
OTHERS = tuple(silo for silo in ALL if silo != LIAR)
NORM = 2.5
PROVEN = {**LIMITS, "proofs": True, "update_norm": NORM, "on_excess": "refuse"}
POISON = np.full(VALUES, 0.99)
"""In the range of every value, and over the norm of an update."""


def poison(model: list[np.ndarray]) -> list[np.ndarray]:
    assert np.linalg.norm(POISON) > NORM
    return [model[0] + POISON]


def start_liar(tree: Grove, kind: type[Silo], group: str = "north") -> None:
    """All silos of a group, of which one lies."""
    for name in tree.names[group]:
        machine = tree.groups[group].world.make_silo(name, log=MemoryLog())
        lies = name == LIAR
        machine.__class__ = kind if lies else Silo
        train = poison if lies and kind is Forger else lambda model, name=name: step(name, model)
        tree.running[name] = tree.groups[group].silo(name, train, machine=machine)


def test_groups_with_proofs_add_up_exactly() -> None:
    async def job() -> None:
        async with Grove(THREES, limits=PROVEN) as tree:
            tree.start_silos()
            await tree.finished()
            assert all((tree.model(silo) == clear_mean(ALL) * 2).all() for silo in ALL)
            for name, group in tree.groups.items():
                assert [len(body["proofs"]) for body in group.world.logged("round-finished")] == [3, 3], name

    asyncio.run(job())


def test_a_forged_proof_is_refused_by_name_in_its_group_and_the_mean_is_exactly_that_of_all_others() -> None:
    async def job() -> None:
        async with Grove(THREES, limits=PROVEN, rounds=1) as tree:
            start_liar(tree, Forger)
            tree.start_silos("south", "west")
            await tree.finished()
            assert all((tree.model(silo) == clear_mean(OTHERS)).all() for silo in ALL)
            north, *others = tree.groups.values()
            assert [(name, type(error)) for name, error in north.refused] == [(LIAR, ProofRejected)]
            assert all(group.refused == [] and group.world.logged("refusal") == [] for group in others)
            finished = north.world.aggregator.finished(1)
            assert finished is not None and finished.contributors == ("ambon", "cusco")
            # Who adds groups learns of nobody: the count of silos in the sum is all that shows it.
            assert tree.upper.refused == [] and tree.upper.world.logged("refusal") == []

    asyncio.run(job())


def test_a_key_that_its_proof_is_not_about_is_found_by_the_keeper_of_that_group() -> None:
    async def job() -> None:
        async with Grove(THREES, limits=PROVEN, rounds=1) as tree:
            start_liar(tree, WrongKey)
            tree.start_silos("south", "west")
            await tree.finished()
            assert all((tree.model(silo) == clear_mean(OTHERS)).all() for silo in ALL)
            assert any(f"the keeper refuses {LIAR}" in line for line in tree.groups["north"].reports)

    asyncio.run(job())


def test_a_group_that_a_liar_leaves_too_small_sends_nothing_up_and_the_others_go_on_without() -> None:
    east = ("ambon", LIAR)
    others = {"north": ("cusco", "dakar"), "south": ("elba", "faro"), "west": ("graz", "huesca")}

    async def job() -> None:
        async with Grove({"east": east, **others}, limits=PROVEN, rounds=1, upper_deadline=1.0) as tree:
            tree.groups["east"].silos_give_up = 2.0
            start_liar(tree, Forger, "east")
            tree.start_silos(*others)
            with pytest.raises(PolicyError, match="1 of at least 2 silos contributed"):
                await tree.groups["east"].finished()
            await tree.finished(*others)
            there = tuple(silo for silos in others.values() for silo in silos)
            assert all((tree.model(silo) == clear_mean(there)).all() for silo in there)
            assert "east" not in {name for _, name in tree.upper.received}

    asyncio.run(job())
