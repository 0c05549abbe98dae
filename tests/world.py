"""A job in tests: all its parties in one process, with every input in the test's hands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from backends import BACKENDS, bounded_updates
from identities import Clock, identity, notary, speaking_as
from job_policies import policy
from quatrefoil.audit import MemoryLog, TileLog
from quatrefoil.audit.dsse import Envelope
from quatrefoil.contracts import IntegrityProof, IsolationAppraiser, IsolationAttester, PrivateAggregation
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.commitments import NOTHING, Commitments
from quatrefoil.federation.enrolment import Enrolments, JobTerms
from quatrefoil.federation.keeper import Keeper
from quatrefoil.federation.local import check_keys
from quatrefoil.federation.messages import Member, RoundOffer
from quatrefoil.federation.provenance import AggregatorProvenance, SiloProvenance
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.spool import MemorySpool, Spool
from quatrefoil.federation.vectors import encode_arrays, layout_of, model_digest
from quatrefoil.insecure import SoftwareIsolation
from quatrefoil.policy import Policy
from quatrefoil.state import MemoryState, SqliteState, State
from quatrefoil.transport import PostQuantumTransport
from signed_messages import body_of

NAMES = ("ambon", "bari", "cusco", "dakar")
MORE_NAMES = (*NAMES, "elba", "faro", "graz")
SAMPLES = {"ambon": 100, "bari": 50, "cusco": 200, "dakar": 10, "elba": 40, "faro": 80, "graz": 120}
UPDATES = {"ambon": 0.25, "bari": -0.5, "cusco": 0.125, "dakar": 0.75, "elba": -0.25, "faro": 0.5, "graz": 0.375}
"""By how much a silo's training moves every parameter, whatever it starts from."""
PLAN = bytes(range(32))
RECEIPT_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
"""The aggregator's second key, in worlds whose policy asks for one."""


@dataclass
class World:
    """Everything of one job: the parties, and in ``states`` and ``logs`` what is on the disk of each by its name.

    "hub" is the aggregator, "keeper" the keeper. All write to one ``log`` unless a test gives one its own.
    """

    backend: str = "additive-rlwe"
    limits: dict[str, object] = field(default_factory=dict)
    names: Sequence[str] = NAMES
    rounds: int = 5
    initial: list[NDArray[np.floating]] = field(default_factory=lambda: [np.zeros((3, 2)), np.zeros(4, np.float32)])
    clock: Clock = field(default_factory=Clock)
    aggregator_kind: type[Aggregator] = Aggregator
    commits: dict[str, Commitments] = field(default_factory=dict)
    parent: bytes | None = None
    make_spool: Callable[[], Spool] = MemorySpool

    def __post_init__(self) -> None:
        self.policy = self.make_policy()
        self.receipt_key = RECEIPT_KEY if self.policy.signs_receipts_twice else None
        self.log = MemoryLog(self.clock)
        self.layout = layout_of(self.initial)
        self.model_bytes = encode_arrays(self.initial, self.layout)
        parties = (*self.names, "keeper", "hub")
        self.states: dict[str, MemoryState | SqliteState] = {name: MemoryState() for name in parties}
        self.logs: dict[str, MemoryLog | TileLog] = dict.fromkeys(parties, self.log)
        self.hub_security = self.security("hub", "aggregator")
        self.silos = {name: self.make_silo(name) for name in self.names}
        self.provenance = self.make_provenance()
        self.enrolments = self.make_enrolments()
        self.keeper = self.make_keeper()

    def make_policy(self) -> Policy:
        return policy(self.backend, **self.limits)

    def security(self, name: str, role: str) -> PostQuantumTransport:
        return speaking_as(identity(name, role), self.clock)

    def aggregation(self) -> PrivateAggregation:
        return BACKENDS[self.backend]()

    def proofs(self) -> IntegrityProof | None:
        """One for all parties: the public polynomials of a round are expanded once."""
        return bounded_updates() if "byzantine-silo" in self.policy.threats else None

    def attester(self) -> IsolationAttester:
        return SoftwareIsolation(accept_insecure="software-keeper")

    def appraiser(self) -> IsolationAppraiser:
        return SoftwareIsolation(accept_insecure="software-keeper")

    def make_silo(self, name: str, **changes: object) -> Silo:
        given = {
            "security": self.security(name, "silo"),
            "aggregation": self.aggregation(),
            "proofs": self.proofs(),
            "appraiser": self.appraiser(),
            "policy": self.policy,
            "samples": SAMPLES.get(name, 1),
            "state": self.states[name],
            "log": self.logs[name],
            "clock": self.clock,
            "commits": self.commits.get(name, NOTHING),
        }
        return Silo(**(given | changes))

    def make_provenance(self, **changes: Any) -> AggregatorProvenance:
        given = {
            "notary": notary(identity("hub", "aggregator"), self.clock),
            "policy": self.policy,
            "state": self.states["hub"],
            "log": self.logs["hub"],
            "clock": self.clock,
        }
        return AggregatorProvenance(self.initial, self.parent, **(given | changes))

    def signing(self, name: str, **changes: Any) -> SiloProvenance:
        """What a silo signs statements of provenance with; all it knows is in its state."""
        given = {
            "security": self.security(name, "silo"),
            "notary": notary(identity(name, "silo"), self.clock),
            "policy": self.policy,
            "state": self.states[name],
            "log": self.logs[name],
            "clock": self.clock,
        }
        return SiloProvenance(**(given | changes))

    def make_keeper(self, state: State | None = None) -> Keeper:
        return Keeper(
            security=self.security("keeper", "keeper"),
            aggregation=self.aggregation(),
            proofs=self.proofs(),
            attester=self.attester(),
            policy=self.policy,
            state=self.states["keeper"] if state is None else state,
            log=self.logs["keeper"],
        )

    def terms(self, **changes: object) -> JobTerms:
        keeper = identity("keeper", "keeper")
        given = {
            "name": "test-job",
            "silos": tuple(self.names),
            "keeper": Member(keeper.name, keeper.fingerprint, 0),
            "layout": self.layout,
            "model": model_digest(self.initial, self.layout),
            "rounds": self.rounds,
            "plan": PLAN,
            "parent": self.provenance.parent_digest,
            "receipt_key": self.receipt_key.public_key().public_bytes_raw() if self.receipt_key else b"",
        }
        return JobTerms(**(given | changes))

    def make_enrolments(self, terms: JobTerms | None = None) -> Enrolments:
        return Enrolments(
            terms or self.terms(),
            security=self.hub_security,
            aggregation=self.aggregation(),
            proofs=self.proofs(),
            policy=self.policy,
            state=self.states["hub"],
            log=self.logs["hub"],
            clock=self.clock,
            random=lambda size: bytes(size),
        )

    def enrol(self) -> None:
        for name, silo in self.silos.items():
            self.enrolments.enrol(silo.enrol(self.enrolments.invite(name)))

    def agree(self) -> AgreedJob:
        self.enrol()
        for silo in self.silos.values():
            self.enrolments.consent(silo.consent(self.enrolments.job()))
        job = self.enrolments.agreed()
        assert job is not None
        return job

    def begin(self) -> World:
        """Agree on the job and start every party."""
        job = self.agree()
        self.aggregator = self.make_aggregator(job)
        for name, silo in self.silos.items():
            self.signing(name).begin(job.encoded, self.model_bytes, self.provenance.parent)
            silo.start(job.encoded, self.model_bytes)
        return self

    def make_aggregator(self, job: AgreedJob) -> Aggregator:
        return self.aggregator_kind(
            job,
            self.model_bytes,
            clock=self.clock,
            receipt_key=self.receipt_key,
            make_spool=self.make_spool,
            security=self.hub_security,
            aggregation=self.aggregation(),
            proofs=self.proofs(),
            policy=self.policy,
            state=self.states["hub"],
            log=self.logs["hub"],
        )

    # ------------------------------------------------------------------------------------------------------- a round

    def open(self) -> bytes:
        offer = self.keeper.open_round(self.aggregator.enrolled_job, self.aggregator.open_request())
        self.aggregator.opened(offer)
        self.offer = offer
        return offer

    def contribution(self, name: str, offer: bytes, value: float | None = None) -> bytes:
        silo = self.silos[name]
        trained = [array + array.dtype.type(UPDATES[name] if value is None else value) for array in silo.model]
        return silo.contribute(offer, trained, self.aggregator.voids)

    def send(self, offer: bytes, names: Sequence[str] | None = None) -> None:
        for name in self.names if names is None else names:
            self.aggregator.receive(name, self.contribution(name, offer))
            self.silos[name].acknowledged(RoundOffer.decode(body_of(offer)).context)

    def propose(self) -> bytes:
        """Have the keys checked, and close the roster."""
        check_keys(self.keeper.check, self.aggregator)
        return self.aggregator.propose()

    def confirm(self, proposal: bytes, confirming: Sequence[str] | None = None) -> None:
        """Have silos (default: all) confirm what is proposed for the open attempt."""
        for name in self.silos if confirming is None else confirming:
            self.aggregator.confirm(name, self.silos[name].confirm(self.offer, proposal, self.aggregator.voids))

    def answer(self, confirming: Sequence[str] | None = None) -> bytes:
        """The keeper's answer for everything received, confirmed by silos (default: all)."""
        self.confirm(self.propose(), confirming)
        return self.keeper.answer(self.aggregator.key_request())

    def finish(self, confirming: Sequence[str] | None = None) -> FinishedRound:
        return self.aggregator.finish(self.answer(confirming))

    def accept(self, finished: FinishedRound) -> None:
        for name, silo in self.silos.items():
            silo.accept(finished.offer, finished.release, finished.result, finished.receipts.of(name))

    def run_round(self, names: Sequence[str] | None = None) -> FinishedRound:
        self.send(self.open(), names)
        finished = self.finish()
        self.accept(finished)
        return finished

    def run(self) -> World:
        """Begin, and do every round."""
        self.begin()
        for _ in range(self.rounds):
            self.run_round()
        return self

    def statement(self) -> Envelope:
        """The statement about the finished job, with the aggregator's signature alone."""
        self.provenance.make(self.aggregator.job, self.aggregator.model)
        return self.provenance.own()

    def sign(self, name: str, envelope: Envelope | None = None) -> bytes:
        """The signature of a silo on what the aggregator states, or on ``envelope``."""
        silo = self.silos[name]
        return self.signing(name).sign((envelope or self.statement()).encode(), silo.job, silo.model)

    def signed(self, names: Sequence[str] | None = None) -> Envelope:
        """The statement, signed by silos (default: all)."""
        self.statement()
        for name in self.names if names is None else names:
            self.provenance.signed(name, self.sign(name))
        return self.provenance.envelope()

    def void(self, reason: str = "test") -> bytes:
        """End the attempt that is open; the aggregator knows of it."""
        void = self.keeper.void(self.aggregator.void_request(reason))
        self.aggregator.voided(void)
        return void

    # ---------------------------------------------------------------------------------------------------- inspection

    def kinds(self) -> list[str]:
        """What the log says happened, in order."""
        return [entry.kind for entry in self.log.entries()]

    def logged(self, kind: str) -> list[Mapping[str, Any]]:
        """The bodies of all entries of a kind."""
        return [entry.body for entry in self.log.entries() if entry.kind == kind]

    def moved(self) -> float:
        """By how much the aggregator's model has moved from the initial one, on average."""
        return float(np.mean([np.mean(a - b) for a, b in zip(self.aggregator.model, self.initial, strict=True)]))


def expected_mean(names: Sequence[str] = NAMES) -> float:
    """FedAvg of the silos' updates, by sample counts."""
    return sum(UPDATES[n] * SAMPLES[n] for n in names) / sum(SAMPLES[n] for n in names)
