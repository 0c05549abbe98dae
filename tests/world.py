"""A small consortium for tests: parties, their backends and a job, with every input in the test's hands."""

from __future__ import annotations

import atexit
import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from quatrefoil.aggregation import AdditiveAggregation, CkksAggregation, CkksSumSet, ParameterSet
from quatrefoil.audit import MemoryLog, TileLog
from quatrefoil.audit.dsse import Envelope, Notary
from quatrefoil.audit.receipts import ABSENT, Receipt, RoundReceipt, issue_batch
from quatrefoil.contracts import (
    IntegrityProof,
    IsolationAppraiser,
    IsolationAttester,
    PrivateAggregation,
    VerifiedStatement,
)
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import AgreedJob, sha256
from quatrefoil.federation.commitments import NOTHING, Commitments
from quatrefoil.federation.enrolment import Enrolments, JobTerms
from quatrefoil.federation.keeper import Keeper
from quatrefoil.federation.local import check_keys
from quatrefoil.federation.messages import (
    Confirmation,
    KeyRequest,
    Member,
    RosterProposal,
    RoundOffer,
    SealedContribution,
)
from quatrefoil.federation.provenance import AggregatorProvenance, SiloProvenance
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.spool import MemorySpool, Spool
from quatrefoil.federation.vectors import encode_arrays, layout_of, model_digest
from quatrefoil.insecure import PlainAggregation, SoftwareIsolation
from quatrefoil.policy import Policy
from quatrefoil.proofs import BoundedUpdateProofs
from quatrefoil.state import MemoryState, SqliteState, State
from quatrefoil.transport import Identity, PostQuantumTransport
from quatrefoil.transport.statement import Signed
from quatrefoil.wire import WireObject
from support import Consortium, clock_at

Message = TypeVar("Message", bound=WireObject)

POLICY = """
name = "test"
threats = ["recorder", "network", "curious-aggregator", "colluding-silos"{threat}]
on_excess = "{on_excess}"
[limits]
minimum_silos = {minimum_silos}
colluding_silos = {colluding_silos}
largest_sample_count = {largest_sample_count}
clip = {clip}
value_bits = 16
minimum_roster_group = {difference}
rounds = {rounds}
{norm}
[allow]
transport = ["pq-tls"]
enclave = ["software"]
aggregation = ["{backend}"]
proofs = ["bounded-update"]
[insecure]
accept = [{accept}]
[audit]
receipts = "{receipts}"
witnesses = {witnesses}
"""

NAMES = ("ambon", "bari", "cusco", "dakar")
MORE_NAMES = (*NAMES, "elba", "faro", "graz")
SAMPLES = {"ambon": 100, "bari": 50, "cusco": 200, "dakar": 10, "elba": 40, "faro": 80, "graz": 120}
UPDATES = {"ambon": 0.25, "bari": -0.5, "cusco": 0.125, "dakar": 0.75, "elba": -0.25, "faro": 0.5, "graz": 0.375}
"""By how much a silo's training moves every parameter, whatever it starts from."""
START = datetime(2030, 1, 1, tzinfo=UTC)
PLAN = bytes(range(32))
RECEIPT_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
"""The aggregator's second key, in worlds whose policy asks for one."""
TRUSTED, STRANGER = "test-consortium", "stranger"
"""Names of two roots; every party of a :class:`World` trusts the first only."""


def policy(backend: str = "additive-rlwe", **changes: object) -> Policy:
    accept = '"software-keeper"' + (', "plain-aggregation"' if backend == "plain" else "")
    values = {
        "minimum_silos": 3,
        "colluding_silos": 1,
        "difference": 1,
        "on_excess": "refuse",
        "clip": 1.0,
        "rounds": 20,
        "largest_sample_count": 1000,
        "update_norm": None,
        "update_norm_factor": None,
        "update_norm_floor": None,
        "update_layer_norms": None,
        "update_direction": None,
        "proofs": False,
        "receipts": "ml-dsa",
        "witnesses": 0,
    } | changes
    norms = {key: values.pop(key) for key in tuple(values) if key.startswith("update_")}
    values["norm"] = "\n".join(f"{key} = {value}" for key, value in norms.items() if value is not None)
    values["threat"] = ', "byzantine-silo"' if values.pop("proofs") else ""
    return Policy.parse(POLICY.format(backend=backend, accept=accept, **values), source="test")


def additive() -> PrivateAggregation:
    return AdditiveAggregation(ParameterSet.named("sum-256-w16"))


def ckks() -> PrivateAggregation:
    return CkksAggregation(CkksSumSet.named("ckks-sum-4096"))


def plain() -> PrivateAggregation:
    return PlainAggregation(accept_insecure="plain-aggregation")


@cache
def bounded_updates() -> IntegrityProof:
    return BoundedUpdateProofs(ParameterSet.named("sum-256-w16"))


BACKENDS: dict[str, Callable[[], PrivateAggregation]] = {"additive-rlwe": additive, "ckks": ckks, "plain": plain}


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
    return _Remembering(holder, consortium(TRUSTED).trust, clock=clock or Clock())


def notary(holder: Identity, clock: Clock | None = None) -> Notary:
    """What ``holder`` signs statements of provenance with."""
    return Notary(holder, consortium(TRUSTED).trust, clock=clock or Clock())


class _Remembering(PostQuantumTransport):
    """Verifies a statement once for all parties of a test: they trust the same root and have the same clock."""

    _verified: ClassVar[dict[tuple[bytes, datetime], VerifiedStatement]] = {}

    def verify(self, signed: bytes) -> VerifiedStatement:
        key = (signed, self._clock())
        if key not in self._verified:
            self._verified[key] = super().verify(signed)
        return self._verified[key]


def body_of(signed: bytes) -> bytes:
    """What was signed, without asking by whom."""
    return Signed.decode(signed).body


def changed(signed: bytes, kind: type[Message], holder: Identity, **changes: object) -> bytes:
    """A signed message with some fields changed, signed anew by ``holder``: what a lying party would send."""
    return speaking_as(holder).sign(dataclasses.replace(kind.decode(body_of(signed)), **changes).encode())


def signer_of(signed: bytes) -> str:
    """Whose certificate it has, without asking who certified that."""
    subject = x509.load_der_x509_certificate(Signed.decode(signed).certificate).subject
    return str(subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def agreeing(context: bytes, contributions: Sequence[SealedContribution], names: Sequence[str]) -> tuple[bytes, ...]:
    """Confirmations of these contributions by silos that confirm anything: what is refused then, a keeper refuses."""
    sent = {signer_of(sealed.contribution): sha256(sealed.contribution) for sealed in contributions}
    proposal = RosterProposal(context, tuple(sorted(sent)), tuple(sent[name] for name in sorted(sent)))
    confirmation = Confirmation(context, proposal.digest()).encode()
    return tuple(speaking_as(identity(name, "silo")).sign(confirmation) for name in names)


def asked_for(context: bytes, contributions: Sequence[SealedContribution], names: Sequence[str] = NAMES) -> KeyRequest:
    """A request for the key of these contributions, to which the silos called ``names`` agree whatever it is."""
    return KeyRequest(context, tuple(contributions), agreeing(context, contributions, names))


def reissued(world: World, silo: str, receipts: bytes, at: int = -1, **changes: object) -> bytes:
    """The receipts of one silo, joined, with some fields of one changed and signed anew by the aggregator, in a batch
    with the same changes for everybody: what a lying aggregator would send."""
    one = parts.split_list(receipts, 16)
    told = RoundReceipt.decode(Receipt.decode(one[at]).payload)
    names = [member.name for member in world.aggregator.job.roster]
    shared = {
        key: value
        for key, value in changes.items()
        if key in ("round", "attempt", "context", "job", "ending", "result", "policy", "plan", "time", "issuer")
    }
    others: dict[str, object] = {"verdict": ABSENT, "contribution": b"", "reason": ""}
    lies = [
        dataclasses.replace(told, **({"silo": name} | (changes if name == silo else others | shared))) for name in names
    ]
    batch = issue_batch(lies, world.hub_security, classical=world.receipt_key)
    one[at] = batch.receipt(names.index(silo))
    return parts.join(one)


def damaged(data: bytes, position: int = -1) -> bytes:
    """``data`` with one bit turned."""
    content = bytearray(data)
    content[position] ^= 1
    return bytes(content)


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
