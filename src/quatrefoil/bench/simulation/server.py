"""The server of a simulation: for each group an aggregator with its disk, one keeper for all groups, and over several
groups an upper job with a keeper of its own. All in this process, so that what they cost together can be measured.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

import numpy as np

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.bench.simulation.costs import Costs
from quatrefoil.bench.simulation.group import Group, Heard
from quatrefoil.bench.simulation.office import Backends, Host, Office
from quatrefoil.bench.simulation.population import GRAIN, Options, Population, group_policy
from quatrefoil.bench.simulation.silos import PARAMETER_SET
from quatrefoil.bench.simulation.upper import RoundSum, Upper
from quatrefoil.bench.simulation.workers import Workers
from quatrefoil.federation.group_sums import grains_of
from quatrefoil.federation.sums import OpenedSum
from quatrefoil.federation.tree import GroupAggregator
from quatrefoil.proofs import BoundedUpdateProofs


class Server:
    """All groups of a simulation, and what is over them."""

    def __init__(self, options: Options, population: Population, host: Host, workers: Workers) -> None:
        self.costs = Costs()
        parameters = ParameterSet.named(PARAMETER_SET)
        backends = Backends(
            group_policy(options.rounds, goes_up=options.groups > 1),
            AdditiveAggregation(parameters),
            BoundedUpdateProofs(parameters),
            [np.zeros(options.parameters, np.float32)],
        )
        keeper, member = host.keeper("keeper", backends)
        names = list(population.groups)
        self._upper = Upper(options, names, host, self.costs) if len(names) > 1 else None
        upper = b"" if self._upper is None else self._upper.digest
        self._groups = [
            Group(
                name,
                population,
                Office(name, silos, host, backends, member, options.rounds, upper),
                keeper,
                workers,
                self.costs,
            )
            for name, silos in population.groups.items()
        ]
        self._nodes: dict[str, GroupAggregator] = {}

    def enrol(self, progress: Callable[[str], None]) -> None:
        for group in self._groups:
            progress(f"{group.name}: {len(group.office.enrolments.invited)} silos enrol")
            group.enrol()
            if self._upper is not None:
                self._nodes[group.name] = self._upper.join(group)

    def run_round(
        self, executor: Executor, threads: int, heard: Heard, progress: Callable[[str], None]
    ) -> tuple[RoundSum, float]:
        """One round of every group, one after another; and the milliseconds in which silos took its result."""
        opened = {}
        for group in self._groups:
            opened[group.name] = group.gather(executor, threads, heard)
            progress(f"{group.name}: {len(opened[group.name].contributors)} silos added")
        total = self._alone(opened) if self._upper is None else self._upper.add(self._nodes, opened)
        ms = sum(group.publish(total.finished[group.name]) for group in self._groups)
        return total, ms

    def _alone(self, opened: dict[str, OpenedSum]) -> RoundSum:
        (group,) = self._groups
        one = opened[group.name]
        with self.costs.step("publish"):
            weight = one.samples / group.aggregator.job.heaviest
            mean = np.ascontiguousarray(one.values / weight, dtype="<f8").tobytes()
            finished = group.aggregator.publish(one, mean, one.error_bound / weight)
        return RoundSum(grains_of(one.values, GRAIN), one.samples, {group.name: finished})
