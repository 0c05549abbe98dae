"""A tree over real channels on loopback: groups, each with its aggregator and keeper, and an upper job over them. All
aggregators and keepers are in one loop, silos and links upward in threads. Every wait is bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
from loopback import Loopback, RunningSilo, signing_of

from quatrefoil.audit import MemoryLog
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.federation.group_sums import upper_initial
from quatrefoil.federation.tree import UpperSilo
from quatrefoil.services.upper_link import UpperLink
from quatrefoil.services.vitals import Vitals
from trees import CLIP, GRAIN, VALUES, GroupWorld, UpperWorld
from witnesses import Witnesses
from world import SAMPLES

LIMITS = {"clip": CLIP, "largest_sample_count": 256, "minimum_silos": 2, "colluding_silos": 0}
NORTH, SOUTH, WEST = ("ambon", "bari", "cusco"), ("dakar", "elba"), ("faro", "graz")
GROUPS = {"north": NORTH, "south": SOUTH, "west": WEST}
THREES = {"north": NORTH, "south": (*SOUTH, "faro"), "west": ("graz", "huesca", "izmir")}
FOUR = {"east": ("huesca", "izmir"), **GROUPS}
SAMPLES.setdefault("izmir", 30)
LONG = 90.0
"""Seconds after which a test has failed; nothing here takes nearly as long: there are four aggregators and keepers."""


def update(silo: str) -> np.ndarray:
    """Of every round, in grains that no weight rounds."""
    seed = int.from_bytes(silo.encode(), "big")
    return 256 * np.random.default_rng(seed).integers(-100, 100, VALUES)


def clear_mean(silos: Sequence[str]) -> np.ndarray:
    total = sum(SAMPLES[name] * update(name) for name in silos)
    return total // 256 * GRAIN / (sum(SAMPLES[name] for name in silos) / 256)


class Grove:
    """``async with``: an upper aggregator and those of the groups, all listening. ``silos`` starts their silos."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[str]],
        *,
        rounds: int = 2,
        upper_deadline: float = LONG,
        give_up: float = LONG,
        upper: UpperWorld | None = None,
        kind: type[GroupWorld] = GroupWorld,
        limits: Mapping[str, object] = LIMITS,
        witnesses: Witnesses | None = None,
        cosigning: Callable[[AgreedJob], Cosigning] | None = None,
    ) -> None:
        """``kind`` and ``limits``: of the groups. ``witnesses`` and ``cosigning``: of the upper job."""
        self.names = groups
        self.rounds = rounds
        self.waits = {"give_up": give_up, "soon": LONG}
        initial = upper_initial(VALUES)
        world = upper or UpperWorld(names=tuple(groups), rounds=rounds, initial=initial)
        self.upper = Loopback(world, deadline=upper_deadline, cosigning=cosigning, **self.waits)
        self._kind = kind
        self._limits = limits
        self.witnesses = witnesses
        self.groups = {name: self._group(name, silos) for name, silos in groups.items()}
        self.running: dict[str, RunningSilo] = {}
        self._opened = AsyncExitStack()

    def _group(self, name: str, silos: Sequence[str]) -> Loopback:
        world = self._kind(
            limits=dict(self._limits), names=tuple(silos), rounds=self.rounds, initial=[np.zeros(VALUES)], upper=b""
        )
        keeper = not world.policy.key_authority.is_committee
        return Loopback(world, deadline=LONG, keeper=keeper, **self.waits, upper=lambda vitals: self.link(name, vitals))

    def link(self, name: str, vitals: Vitals, **changes: Any) -> UpperLink:
        """Made anew on what is on the disk of the silo that a group is above."""
        upper = self.upper.world
        silo = upper.make_silo(name, log=MemoryLog(), samples=changes.pop("samples", 1))
        given = {"name": name, "length": VALUES, "rounds": self.rounds} | changes
        return UpperLink(
            UpperSilo(silo, upper.states[name], **given),
            signing_of(silo),
            self.upper.dialling(name),
            grain=GRAIN,
            witness=None if self.witnesses is None else self.witnesses[name],
            give_up=self.waits["give_up"],
            report=self.groups[name].reports.append,
            vitals=vitals,
        )

    async def __aenter__(self) -> Grove:
        await self._opened.enter_async_context(self.upper)
        for group in self.groups.values():
            await self._opened.enter_async_context(group)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    def start_silos(self, *groups: str, train: Mapping[str, Callable[..., Any]] | None = None) -> None:
        for name in groups or self.names:
            for silo in self.names[name]:
                one = (train or {}).get(silo) or (lambda model, silo=silo: step(silo, model))
                self.running[silo] = self.groups[name].silo(silo, one)

    async def restart(self, name: str) -> None:
        """The aggregator of a group dies, and is started again on what is on its disks."""
        group = self.groups[name]
        await group.stop_aggregator()
        group.world.enrolments = group.world.make_enrolments()
        await group.start_aggregator()

    async def finished(self, *groups: str) -> None:
        for name in groups or self.names:
            group = self.groups[name]
            await group.finished()
            for silo in self.names[name]:
                await self.running[silo].result()
            assert group.upper is not None
            await group.upper.over()

    def model(self, silo: str) -> np.ndarray:
        return self.running[silo].machine.model[0]


def step(silo: str, model: list[np.ndarray]) -> list[np.ndarray]:
    return [model[0] + update(silo) * GRAIN]


__all__ = ["FOUR", "GROUPS", "LONG", "NORTH", "SOUTH", "THREES", "WEST", "Grove", "clear_mean", "step", "update"]
