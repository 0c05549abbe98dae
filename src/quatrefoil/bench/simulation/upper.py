"""The job over several groups, which adds their sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.bench.simulation.costs import Costs
from quatrefoil.bench.simulation.group import Group
from quatrefoil.bench.simulation.office import Backends, Host, Office
from quatrefoil.bench.simulation.population import GRAIN, Options, upper_policy
from quatrefoil.federation.group_sums import LARGEST, GroupSum, upper_initial
from quatrefoil.federation.local import check_keys
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.sums import OpenedSum
from quatrefoil.federation.tree import GroupAggregator, UpperSilo
from quatrefoil.state import State
from quatrefoil.transport import system_clock

UPPER_SET = "sum-2048-w32"


@dataclass(frozen=True)
class RoundSum:
    """What a round added: grains, counts and silos, and the result of each group."""

    grains: NDArray[np.int64]
    samples: int
    finished: dict[str, FinishedRound]


class Upper:
    """The upper job over several groups: its aggregator, its keeper, and the groups' aggregators as its silos."""

    def __init__(self, options: Options, names: Sequence[str], host: Host, costs: Costs) -> None:
        backends = Backends(
            upper_policy(options.rounds, LARGEST),
            AdditiveAggregation(ParameterSet.named(UPPER_SET)),
            None,
            upper_initial(options.parameters),
        )
        self._costs = costs
        self._keeper, member = host.keeper("upper-keeper", backends)
        office = Office("upper", names, host, backends, member, options.rounds, b"")
        self._silos: dict[str, Silo] = {}
        self._states: dict[str, State] = {}
        for name in names:
            identity = host.identity(name, "silo")
            state, log, _ = host.disk(f"{name}-upper", identity)
            self._states[name] = state
            self._silos[name] = Silo(
                security=host.security(identity),
                aggregation=backends.aggregation,
                proofs=None,
                appraiser=host.isolation,
                policy=backends.policy,
                samples=1,
                state=state,
                log=log,
                clock=system_clock,
            )
        for name, silo in self._silos.items():
            office.enrolments.enrol(silo.enrol(office.enrolments.invite(name)))
        for silo in self._silos.values():
            office.enrolments.consent(silo.consent(office.enrolments.job()))
        self.aggregator, self._job = office.begin()
        for silo in self._silos.values():
            silo.start(self._job.encoded, office.model)

    @property
    def digest(self) -> bytes:
        return self._job.digest

    def join(self, group: Group) -> GroupAggregator:
        job = group.aggregator.job
        upper = UpperSilo(
            self._silos[group.name],
            self._states[group.name],
            name=group.name,
            length=job.layout.length,
            rounds=job.rounds,
        )
        return GroupAggregator(group.aggregator, upper, grain=GRAIN)

    def add(self, nodes: dict[str, GroupAggregator], opened: dict[str, OpenedSum]) -> RoundSum:
        """Add the sums of all groups, and publish the mean in each."""
        with self._costs.step("upper"):
            offer = self._keeper.open_round(self.aggregator.enrolled_job, self.aggregator.open_request())
            self.aggregator.opened(offer)
            for name, node in nodes.items():
                self.aggregator.receive(name, node.contribute(opened[name], offer))
                self._silos[name].acknowledged(self._silos[name].check_offer(offer))
            check_keys(self._keeper.check, self.aggregator)
            proposal = self.aggregator.propose()
            for name, silo in self._silos.items():
                self.aggregator.confirm(name, silo.confirm(offer, proposal))
            done = self.aggregator.finish(self._keeper.answer(self.aggregator.key_request()))
            total = GroupSum.of_mean(done.result[-self._mean_bytes :], len(done.contributors))
        with self._costs.step("publish"):
            finished = {
                name: node.finish(opened[name], done.offer, done.release, done.result, done.receipts.of(name))
                for name, node in nodes.items()
            }
        return RoundSum(total.grains, total.samples, finished)

    @property
    def _mean_bytes(self) -> int:
        return 8 * self._job.job.layout.length
