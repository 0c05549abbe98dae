"""The server of a simulation: for each group an aggregator with its disk, one keeper for all groups, and over several
groups an upper job with a keeper of its own. All in this process, so that what they cost together can be measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.audit import TileLog
from quatrefoil.bench.simulation.lies import KINDS
from quatrefoil.bench.simulation.population import GRAIN, Options, Population, group_policy, upper_policy
from quatrefoil.bench.simulation.silos import PARAMETER_SET
from quatrefoil.bench.simulation.workers import Workers
from quatrefoil.contracts import IntegrityProof, PrivateAggregation
from quatrefoil.errors import PeerError
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.enrolment import Enrolments, JobTerms
from quatrefoil.federation.group_sums import LARGEST, GroupSum, grains_of, upper_initial
from quatrefoil.federation.intake import Intake
from quatrefoil.federation.keeper import Keeper
from quatrefoil.federation.local import check_keys
from quatrefoil.federation.messages import Member
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.spool import FileSpool
from quatrefoil.federation.sums import OpenedSum
from quatrefoil.federation.tree import GroupAggregator, UpperSilo
from quatrefoil.federation.vectors import Arrays, encode_arrays, layout_of, model_digest
from quatrefoil.insecure import SoftwareIsolation
from quatrefoil.policy import Policy
from quatrefoil.proofs import BoundedUpdateProofs
from quatrefoil.state import SqliteState, State
from quatrefoil.transport import CertificateAuthority, Identity, PostQuantumTransport, TrustAnchor, system_clock

IN_FLIGHT = 4
"""Contributions that are being verified and are not in the sum yet, for each thread."""

UPPER_SET = "sum-2048-w32"


@dataclass
class Costs:
    """Processor time of this process, threads included, and time on the clock, by step, in milliseconds. Waiting for a
    silo is in no step."""

    cpu_ms: dict[str, float] = field(default_factory=dict)
    wall_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu_ms[name] = self.cpu_ms.get(name, 0.0) + (time.process_time() - cpu) * 1e3
            self.wall_ms[name] = self.wall_ms.get(name, 0.0) + (time.perf_counter() - wall) * 1e3


@dataclass(frozen=True)
class Backends:
    """Of one level of jobs: all its parties use the same."""

    policy: Policy
    aggregation: PrivateAggregation
    proofs: IntegrityProof | None
    initial: Arrays


class Host:
    """Where the server's parties live: their identities, and a folder of disks. Closed with ``opened``."""

    def __init__(self, folder: Path, authority: CertificateAuthority, opened: ExitStack) -> None:
        self._folder = folder
        self._authority = authority
        self._opened = opened
        self.isolation = SoftwareIsolation(accept_insecure="software-keeper")

    @property
    def trust(self) -> TrustAnchor:
        return self._authority.trust

    def identity(self, name: str, role: str) -> Identity:
        return self._authority.issue(name, role, directory=self._folder / "parties" / f"{name}-{role}")

    def security(self, identity: Identity) -> PostQuantumTransport:
        return PostQuantumTransport(identity, self.trust, clock=system_clock)

    def disk(self, name: str, identity: Identity) -> tuple[State, TileLog, Path]:
        """State and log of a party, and its folder."""
        folder = self._folder / "disks" / name
        state = SqliteState(folder / "state.db")
        self._opened.callback(state.close)
        return state, self._opened.enter_context(TileLog(folder, identity, self.trust)), folder

    def keeper(self, name: str, backends: Backends) -> tuple[Keeper, Member]:
        identity = self.identity(name, "keeper")
        state, log, _ = self.disk(name, identity)
        keeper = Keeper(
            security=self.security(identity),
            aggregation=backends.aggregation,
            proofs=backends.proofs,
            attester=self.isolation,
            policy=backends.policy,
            state=state,
            log=log,
        )
        return keeper, Member(identity.name, identity.fingerprint, 0)


class Office:
    """An aggregator before and after its job is agreed, with its disk."""

    def __init__(
        self, name: str, silos: Sequence[str], host: Host, backends: Backends, keeper: Member, rounds: int, upper: bytes
    ) -> None:
        self.name = name
        identity = host.identity(name, "aggregator")
        self.security = host.security(identity)
        self.state, self._log, self._folder = host.disk(name, identity)
        self._backends = backends
        layout = layout_of(backends.initial)
        self.model = encode_arrays(backends.initial, layout)
        terms = JobTerms(
            name,
            tuple(silos),
            keeper,
            layout,
            model_digest(backends.initial, layout),
            rounds,
            bytes(32),
            b"",
            upper=upper,
        )
        self.enrolments = Enrolments(
            terms,
            security=self.security,
            aggregation=backends.aggregation,
            proofs=backends.proofs,
            policy=backends.policy,
            state=self.state,
            log=self._log,
            clock=system_clock,
            random=os.urandom,
        )

    def begin(self) -> tuple[Aggregator, AgreedJob]:
        """Once every consent is here."""
        job = self.enrolments.agreed()
        assert job is not None
        aggregator = Aggregator(
            job,
            self.model,
            security=self.security,
            aggregation=self._backends.aggregation,
            proofs=self._backends.proofs,
            policy=self._backends.policy,
            state=self.state,
            log=self._log,
            clock=system_clock,
            receipt_key=None,
            make_spool=lambda: FileSpool(self._folder / "spool"),
        )
        return aggregator, job


@dataclass
class Heard:
    """What became of contributions in one round."""

    added: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    silo_ms: list[float] = field(default_factory=list)
    confirm_ms: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    down_bytes: list[int] = field(default_factory=list)


class Group:
    """One group's aggregator in a simulation."""

    def __init__(
        self, name: str, population: Population, office: Office, keeper: Keeper, workers: Workers, costs: Costs
    ) -> None:
        self.name = name
        self.office = office
        self._population = population
        self._keeper = keeper
        self._workers = workers
        self._costs = costs

    def enrol(self) -> None:
        """Every silo of the group joins, and the aggregator begins."""
        silos, enrolments = self._population.groups[self.name], self.office.enrolments
        for answers in self._workers.each_given("enrol", {name: enrolments.invite(name) for name in silos}):
            for enrolment in answers.values():
                enrolments.enrol(enrolment)
        for answers in self._workers.each("consent", silos, enrolments.job()):
            for consent in answers.values():
                enrolments.consent(consent)
        self.aggregator, job = self.office.begin()
        for _ in self._workers.each("start", silos, job.encoded, self.office.model):
            pass

    def gather(self, executor: Executor, threads: int, heard: Heard) -> OpenedSum:
        """A round up to the sum of its contributions."""
        aggregator, step = self.aggregator, self._costs.step
        with step("open"):
            offer = self._keeper.open_round(aggregator.enrolled_job, aggregator.open_request())
            aggregator.opened(offer)
        self._offer = offer
        intake = Intake(
            aggregator,
            executor,
            most=IN_FLIGHT * threads,
            on_admitted=heard.added.append,
            on_refused=lambda name, error: heard.refused.__setitem__(name, error.problem),
        )
        ordinary, lying = self._population.of_role(self.name, ""), self._population.of_role(self.name, *KINDS)
        for silos in (ordinary, lying, self._population.of_role(self.name, "slow")):
            for name, message, ms in self._workers.each("contribute", silos, offer):
                self._note(heard, message, ms)
                with step("receive"):
                    intake.take(name, message)
        with step("receive"):
            intake.finish()
        with step("check"):
            self._check_keys(heard)
        with step("propose"):
            proposal = aggregator.propose()
        for name, message, ms in self._workers.each("contribute", self._population.of_role(self.name, "late"), offer):
            self._note(heard, message, ms)
            with step("receive"):
                self._receive_late(name, message, heard)
        for _ in self._workers.each("acknowledged", aggregator.received, offer):
            pass
        present = self._population.present(self.name)
        for name, confirmation, ms in self._workers.each("confirm", present, offer, proposal):
            heard.confirm_ms.append(ms)
            with step("confirm"):
                aggregator.confirm(name, confirmation)
        heard.down_bytes.append(len(offer) + len(proposal))
        with step("answer"):
            answer = self._keeper.answer(aggregator.key_request())
        with step("decrypt"):
            return aggregator.open_sum(answer)

    def publish(self, finished: FinishedRound) -> float:
        """Hand a round's result to every silo, also to those that were away. Milliseconds that the silos took."""
        silos = self._population.groups[self.name]
        receipts = {name: finished.receipts.of(name) for name in silos}
        given = (finished.offer, finished.release, finished.result, receipts)
        return float(sum(self._workers.each("accept", silos, *given)))

    def _note(self, heard: Heard, message: bytes, ms: float) -> None:
        heard.silo_ms.append(ms)
        heard.sizes.append(len(message))

    def _check_keys(self, heard: Heard) -> None:
        before = set(self.aggregator.received)
        check_keys(self._keeper.check, self.aggregator)
        for name in before - set(self.aggregator.received):
            heard.refused[name] = self.aggregator.refused[name]
            heard.added.remove(name)

    def _receive_late(self, name: str, message: bytes, heard: Heard) -> None:
        try:
            self.aggregator.receive(name, message)
        except PeerError as error:
            heard.refused[name] = error.problem


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


__all__ = ["Costs", "Heard", "Host", "RoundSum", "Server"]
