"""What every attack of the demo is mounted on: the hospitals, the demo's policy, and real rounds in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quatrefoil import api, stack
from quatrefoil.audit import MemoryLog
from quatrefoil.audit.dsse import Notary
from quatrefoil.contracts import TransportSecurity
from quatrefoil.demo import baselines, job
from quatrefoil.demo.baselines import ROUNDS
from quatrefoil.demo.data import Labelled, Split, load_hospitals, split_all
from quatrefoil.demo.models import Arrays, Parameters
from quatrefoil.demo.trainings import published_mean
from quatrefoil.federation.local import LocalJob, Party
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.silo import Silo
from quatrefoil.planner import Costs, plan
from quatrefoil.planner.host import availability
from quatrefoil.policy import Policy
from quatrefoil.transport import CertificateAuthority, PostQuantumTransport, system_clock
from quatrefoil.workload import FEDERATED

TrainSilo = Callable[[str, Arrays, Labelled], Parameters]
"""What a hospital, by name, returns in one round."""

CALIBRATION = 0.3
"""Seconds: the route of the demo's policy does not depend on small differences in cost."""


def honest(_: str, parameters: Arrays, data: Labelled) -> Parameters:
    """What every hospital of the demo does."""
    return baselines.train_round(parameters, data)


@dataclass
class Seen:
    """What was published and received: means and models by round from 1 (the model as the round began), and of every
    hospital its last message."""

    means: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    models: dict[int, Arrays] = field(default_factory=dict)
    messages: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """The first split of the hospitals, the first model, and the demo's policy with what this machine costs."""

    splits: Mapping[str, Split]
    start: Parameters
    policy: Policy
    costs: Costs

    @classmethod
    def load(cls) -> Scene:
        costs = stack.measure_host(availability(), seconds=CALIBRATION, kinds=FEDERATED)
        policy = Policy.load(job.built_in("policy.toml"))
        return cls(split_all(load_hospitals(), 0), job.initial(), policy, costs)

    @property
    def train(self) -> dict[str, Labelled]:
        """Training records by hospital."""
        return {name: split.train for name, split in self.splits.items()}

    @property
    def held_out(self) -> Labelled:
        """The held-out records of all hospitals together."""
        tests = [split.test for split in self.splits.values()]
        return np.concatenate([features for features, _ in tests]), np.concatenate([labels for _, labels in tests])

    def run(
        self,
        seen: Seen,
        *,
        policy: Policy | None = None,
        data: Mapping[str, Labelled] | None = None,
        rounds: int = ROUNDS,
        train: TrainSilo = honest,
        away: Mapping[int, Collection[str]] | None = None,
    ) -> api.Outcome:
        """A job through ``quatrefoil.run`` under ``policy``; ``seen`` takes what was published, up to an error."""
        data = self.train if data is None else data
        seen.models[1] = self.start

        def on_round(finished: FinishedRound, model: Arrays) -> None:
            seen.means[finished.number] = published_mean(finished)
            seen.models[finished.number + 1] = model

        return api.run(
            job.workload_for(self.start, rounds=rounds),
            self.policy if policy is None else policy,
            train=lambda parameters, named: train(named[0], parameters, named[1]),
            data={name: (name, records) for name, records in data.items()},
            samples={name: len(labels) for name, (_, labels) in data.items()},
            initial=self.start,
            costs=self.costs,
            away=away,
            on_round=on_round,
            on_message=seen.messages.__setitem__,
        )

    def local_job(
        self,
        folder: Path,
        *,
        policy: Policy | None = None,
        rounds: int = 1,
        keeper: Callable[[TransportSecurity], TransportSecurity] = lambda security: security,
        kinds: Mapping[str, type[Silo]] | None = None,
    ) -> LocalJob:
        """A job whose rounds the caller runs. ``keeper`` gives what the keeper speaks through, made of its transport;
        ``kinds``: hospitals that run other software than the project's."""
        policy = self.policy if policy is None else policy
        workload = job.workload_for(self.start, rounds=rounds)
        chosen = plan(workload, policy, self.costs, availability(keeper=()))
        authority = CertificateAuthority.create(folder / "ca", "demo", clock=system_clock)

        def party(name: str, role: str) -> Party:
            identity = authority.issue(name, role)
            security: TransportSecurity = PostQuantumTransport(
                identity,
                authority.trust,
                clock=system_clock,
                policy=stack.channel_policy_of(self.policy),
            )
            if role == "keeper":
                security = keeper(security)
            aggregation = stack.aggregation_of(policy, chosen.backend("aggregation"), threads=1)
            proofs = stack.proofs_of(policy, chosen.optional("proofs"), threads=1)
            notary = Notary(identity, authority.trust, clock=system_clock)
            return Party(security, notary, aggregation, proofs)

        return LocalJob(
            workload.name,
            silos={name: (party(name, "silo"), len(labels)) for name, (_, labels) in self.train.items()},
            aggregator=party("aggregator", "aggregator"),
            keeper=party("keeper", "keeper"),
            attester=stack.attester_of(policy, chosen.backend("enclave"), None),
            appraiser=stack.appraiser_of(policy, chosen.backend("enclave"), None, clock=system_clock),
            policy=policy,
            plan=chosen.digest(),
            initial=self.start,
            rounds=rounds,
            log=MemoryLog(),
            clock=system_clock,
            random=os.urandom,
            kinds=kinds,
        )


def flat(arrays: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """All values in one vector."""
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)
