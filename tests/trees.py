"""Two levels of jobs in one process: groups of silos, and over them a job whose silos are the groups' aggregators."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from job_policies import POLICY
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import IntegrityProof, PrivateAggregation
from quatrefoil.federation.enrolment import JobTerms
from quatrefoil.federation.group_sums import LARGEST, upper_initial
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.sums import OpenedSum
from quatrefoil.federation.tree import GroupAggregator, UpperSilo
from quatrefoil.policy import Policy
from quatrefoil.proofs import BoundedUpdateProofs
from world import SAMPLES, World

SAMPLES.setdefault("huesca", 60)
CLIP = 32767 / 32768
GRAIN = CLIP / 32767
"""2^-15 exactly: an update of whole grains, weighed by a power of two, is rounded nowhere."""
VALUES = 7


@dataclass
class UpperWorld(World):
    """The upper job, over groups of these names."""

    def make_policy(self) -> Policy:
        values = {
            "threat": "",
            "on_excess": "refuse",
            "minimum_silos": 3,
            "colluding_silos": 1,
            "largest_sample_count": 1,
            "clip": float(LARGEST),
            "difference": 1,
            "rounds": 20,
            "norm": "",
            "backend": "additive-rlwe",
            "accept": '"software-keeper"',
            "receipts": "ml-dsa",
            "witnesses": 0,
        } | self.limits
        return Policy.parse(POLICY.replace("value_bits = 16", "value_bits = 32").format(**values), source="upper")

    def aggregation(self) -> PrivateAggregation:
        return AdditiveAggregation(ParameterSet.named("sum-2048-w32"))


@dataclass
class GroupWorld(World):
    """A group that goes up to the job of this digest. Its aggregator is called "hub", as in every world."""

    upper: bytes = b""
    proofs_of: IntegrityProof = field(default_factory=lambda: BoundedUpdateProofs(ParameterSet.named("sum-256-w16")))

    def make_policy(self) -> Policy:
        return dataclasses.replace(super().make_policy(), place="group")

    def terms(self, **changes: object) -> JobTerms:
        return super().terms(**({"upper": self.upper} | changes))

    def proofs(self) -> IntegrityProof | None:
        return self.proofs_of if "byzantine-silo" in self.policy.threats else None


class Tree:
    """``groups``: the silos of each, by the group's name."""

    def __init__(self, groups: Mapping[str, Sequence[str]], *, rounds: int = 2, proofs: bool = False) -> None:
        self.upper = UpperWorld(names=tuple(groups), rounds=rounds, initial=upper_initial(VALUES))
        self.upper.begin()
        limits = {"clip": CLIP, "largest_sample_count": 256, "minimum_silos": 2, "colluding_silos": 0}
        limits |= {"proofs": True, "update_norm": 4.0} if proofs else {}
        self.groups = {
            name: GroupWorld(
                limits=dict(limits),
                names=tuple(silos),
                rounds=rounds,
                initial=[np.zeros(VALUES)],
                upper=self.upper.aggregator.job.digest(),
            ).begin()
            for name, silos in groups.items()
        }
        self.nodes = {name: self.node(name) for name in groups}

    def node(self, name: str) -> GroupAggregator:
        """The aggregator of a group, made anew on what is on its disk."""
        return GroupAggregator(self.groups[name].aggregator, self.upper_silo(name), grain=GRAIN)

    def upper_silo(self, name: str) -> UpperSilo:
        """What a group is in the upper job."""
        rounds = self.groups[name].aggregator.job.rounds
        return UpperSilo(self.upper.silos[name], self.upper.states[name], name=name, length=VALUES, rounds=rounds)

    def gather(self, name: str, updates: Mapping[str, NDArray[np.int64]]) -> OpenedSum:
        """Open a group's round and its sum, of the silos that have an update, in grains."""
        world = self.groups[name]
        offer = world.open()
        for silo in world.names:
            if silo in updates:
                trained = [world.silos[silo].model[0] + updates[silo] * GRAIN]
                world.aggregator.receive(silo, world.silos[silo].contribute(offer, trained, world.aggregator.voids))
                world.silos[silo].acknowledged(world.silos[silo].check_offer(offer, world.aggregator.voids))
        return world.aggregator.open_sum(world.answer())

    def run_round(self, updates: Mapping[str, NDArray[np.int64]], away: Sequence[str] = ()) -> dict[str, FinishedRound]:
        """A round of all groups that are not ``away``; every silo of those takes its result."""
        opened = {name: self.gather(name, updates) for name in self.groups if name not in away}
        offer = self.upper.open()
        for name, one in opened.items():
            self.upper.aggregator.receive(name, self.nodes[name].contribute(one, offer))
            self.upper.silos[name].acknowledged(self.upper.silos[name].check_offer(offer))
        done = self.upper.finish()
        finished = {}
        for name, one in opened.items():
            finished[name] = self.nodes[name].finish(one, *given(done, name))
            self.groups[name].accept(finished[name])
        return finished


def given(done: FinishedRound, name: str) -> tuple[bytes, bytes, bytes, bytes]:
    """What a silo is told of a finished round."""
    return done.offer, done.release, done.result, done.receipts.of(name)
