"""A small consortium for tests: parties, their backends and a job, with every input in the test's hands."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.audit import MemoryLog
from quatrefoil.contracts import PrivateAggregation
from quatrefoil.federation.aggregator import Aggregator, FinishedRound
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.enrolment import Enrolments, JobTerms
from quatrefoil.federation.keeper import Keeper
from quatrefoil.federation.local import answer_of
from quatrefoil.federation.messages import Member
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.state import MemoryState
from quatrefoil.federation.vectors import encode_arrays, layout_of, model_digest
from quatrefoil.insecure import PlainAggregation, SoftwareIsolation
from quatrefoil.policy import Policy
from quatrefoil.transport import Identity, PostQuantumTransport
from support import Consortium, clock_at

POLICY = """
name = "test"
threats = ["recorder", "network", "curious-aggregator", "colluding-silos"]
on_excess = "{on_excess}"
[limits]
minimum_silos = {minimum_silos}
colluding_silos = {colluding_silos}
largest_sample_count = 1000
clip = 1.0
value_bits = 16
minimum_roster_difference = {difference}
rounds = 20
[allow]
transport = ["pq-tls"]
enclave = ["software"]
aggregation = ["{backend}"]
proofs = ["bounded-update"]
[insecure]
accept = [{accept}]
"""

NAMES = ("ambon", "bari", "cusco", "dakar")
SAMPLES = {"ambon": 100, "bari": 50, "cusco": 200, "dakar": 10}
START = datetime(2030, 1, 1, tzinfo=UTC)
PLAN = bytes(range(32))
TRUSTED, STRANGER = "test-consortium", "stranger"
"""Names of two roots; every party of a :class:`World` trusts the first only."""


def policy(backend: str = "additive-rlwe", **changes: object) -> Policy:
    accept = '"software-keeper"' + (', "plain-aggregation"' if backend == "plain" else "")
    values = {"minimum_silos": 3, "colluding_silos": 1, "difference": 1, "on_excess": "refuse"} | changes
    return Policy.parse(POLICY.format(backend=backend, accept=accept, **values), source="test")


def additive() -> PrivateAggregation:
    return AdditiveAggregation(ParameterSet.named("sum-256-w16"))


def plain() -> PrivateAggregation:
    return PlainAggregation(accept_insecure="plain-aggregation")


BACKENDS: dict[str, Callable[[], PrivateAggregation]] = {"additive-rlwe": additive, "plain": plain}


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **passed: float) -> None:
        self.now += timedelta(**passed)


@cache
def consortium(root: str) -> Consortium:
    """An authority that certified everybody an hour before :data:`START`."""
    folder = Path(tempfile.mkdtemp(prefix="quatrefoil-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Consortium(folder / "ca", root, clock=clock_at(START - timedelta(hours=1)))


def identity(name: str, role: str, root: str = TRUSTED) -> Identity:
    return consortium(root).identity(name, role)


@cache
def renewed(name: str, role: str) -> Identity:
    """A second certificate of the same authority for the same party."""
    authority = consortium(TRUSTED).authority
    return authority.issue(name, role, directory=authority.directory / "renewed" / f"{role}-{name}")


def speaking_as(holder: Identity, clock: Clock | None = None) -> PostQuantumTransport:
    """What ``holder`` signs with; it believes the test's consortium, whoever certified it."""
    return PostQuantumTransport(holder, consortium(TRUSTED).trust, clock=clock or Clock())


@dataclass
class World:
    """Everything of one job. ``states`` are the parties' disks; ``restart_*`` builds a party anew on its disk."""

    backend: str = "additive-rlwe"
    policy: Policy = field(default_factory=policy)
    names: Sequence[str] = NAMES
    rounds: int = 5
    initial: list[NDArray[np.floating]] = field(default_factory=lambda: [np.zeros((3, 2)), np.zeros(4, np.float32)])
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.log = MemoryLog(self.clock)
        self.layout = layout_of(self.initial)
        self.model_bytes = encode_arrays(self.initial, self.layout)
        self.states = {name: MemoryState() for name in (*self.names, "keeper", "hub")}
        self.hub_security = self.security("hub", "aggregator")
        self.silos = {name: self.make_silo(name) for name in self.names}
        self.enrolments = self.make_enrolments()
        self.keeper = self.make_keeper()

    def security(self, name: str, role: str) -> PostQuantumTransport:
        return speaking_as(identity(name, role), self.clock)

    def aggregation(self) -> PrivateAggregation:
        return BACKENDS[self.backend]()

    def isolation(self) -> SoftwareIsolation:
        return SoftwareIsolation(accept_insecure="software-keeper")

    def make_silo(self, name: str, **changes: object) -> Silo:
        given = {
            "security": self.security(name, "silo"),
            "aggregation": self.aggregation(),
            "isolation": self.isolation(),
            "policy": self.policy,
            "samples": SAMPLES.get(name, 1),
            "state": self.states[name],
            "log": self.log,
            "clock": self.clock,
        }
        return Silo(**(given | changes))

    def make_keeper(self, state: MemoryState | None = None) -> Keeper:
        return Keeper(
            security=self.security("keeper", "keeper"),
            aggregation=self.aggregation(),
            isolation=self.isolation(),
            policy=self.policy,
            state=self.states["keeper"] if state is None else state,
            log=self.log,
        )

    def make_enrolments(self) -> Enrolments:
        keeper = identity("keeper", "keeper")
        terms = JobTerms(
            "test-job",
            tuple(self.names),
            Member(keeper.name, keeper.fingerprint, 0),
            self.layout,
            model_digest(self.initial, self.layout),
            self.rounds,
            PLAN,
        )
        return Enrolments(
            terms,
            security=self.hub_security,
            aggregation=self.aggregation(),
            policy=self.policy,
            state=self.states["hub"],
            log=self.log,
            clock=self.clock,
            random=lambda size: bytes(size),
        )

    def agree(self) -> AgreedJob:
        for name, silo in self.silos.items():
            self.enrolments.enrol(silo.enrol(self.enrolments.invite(name)))
        for silo in self.silos.values():
            self.enrolments.consent(silo.consent(self.enrolments.job()))
        job = self.enrolments.agreed()
        assert job is not None
        return job

    def begin(self) -> World:
        """Agree on the job and start every party."""
        job = self.agree()
        self.aggregator = self.make_aggregator(job)
        for silo in self.silos.values():
            silo.start(job.encoded, self.model_bytes)
        return self

    def make_aggregator(self, job: AgreedJob) -> Aggregator:
        return Aggregator(
            job,
            self.model_bytes,
            security=self.hub_security,
            aggregation=self.aggregation(),
            policy=self.policy,
            state=self.states["hub"],
            log=self.log,
        )

    # ------------------------------------------------------------------------------------------------------- a round

    def open(self) -> bytes:
        offer = self.keeper.open_round(self.aggregator.enrolled_job, self.aggregator.open_request())
        self.aggregator.opened(offer)
        return offer

    def contribution(self, name: str, offer: bytes, value: float | None = None) -> bytes:
        silo = self.silos[name]
        trained = [array + array.dtype.type(update(name) if value is None else value) for array in silo.model]
        return silo.contribute(offer, trained, self.aggregator.voids)

    def send(self, offer: bytes, names: Sequence[str] | None = None) -> None:
        for name in self.names if names is None else names:
            self.aggregator.receive(name, self.contribution(name, offer))

    def finish(self) -> FinishedRound:
        return self.aggregator.finish(answer_of(self.keeper.answer, self.aggregator))

    def accept(self, finished: FinishedRound) -> None:
        for silo in self.silos.values():
            silo.accept(finished.offer, finished.release, finished.result)

    def run_round(self, names: Sequence[str] | None = None) -> FinishedRound:
        self.send(self.open(), names)
        finished = self.finish()
        self.accept(finished)
        return finished

    def kinds(self) -> list[str]:
        """What the log says happened, in order."""
        return [entry.kind for entry in self.log.entries()]


def update(name: str) -> float:
    """The constant by which a silo's training moves every parameter."""
    return {"ambon": 0.25, "bari": -0.5, "cusco": 0.125, "dakar": 0.75}[name]


def expected_mean(names: Sequence[str] = NAMES) -> float:
    """FedAvg of the silos' updates, by sample counts."""
    return sum(update(n) * SAMPLES[n] for n in names) / sum(SAMPLES[n] for n in names)
