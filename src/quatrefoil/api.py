"""Train your own model over several silos from Python: ``quatrefoil.run``."""

from __future__ import annotations

import contextlib
import json
import operator
import os
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil import stack
from quatrefoil.audit import Entry, Log, MemoryLog, TileLog, carry_over, log_policy
from quatrefoil.audit.commitments import SALT_BYTES, code_digest, data_commitment, list_files
from quatrefoil.audit.dsse import Notary, Verifier
from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import CallerError, QuatrefoilError
from quatrefoil.federation.commitments import Commitments
from quatrefoil.federation.local import LocalJob, Party
from quatrefoil.federation.local_witnesses import LocalWitnesses
from quatrefoil.federation.messages import Job
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.user_code import count_samples
from quatrefoil.federation.vectors import Arrays, layout_of
from quatrefoil.meter import Meter, MeteredAggregation, MeteredProofs, MeteredTransport
from quatrefoil.planner import Availability, Costs, Plan, plan
from quatrefoil.planner.host import availability
from quatrefoil.policy import Policy
from quatrefoil.transport import CertificateAuthority, Identity, PostQuantumTransport, TrustAnchor, system_clock
from quatrefoil.workload import Phase, Workload

_AGGREGATOR, _KEEPER = "aggregator", "keeper"

Train = Callable[[Arrays, Any], Sequence[NDArray[np.floating]]]


@dataclass(frozen=True)
class RoundSummary:
    """One finished round. ``error_bound``: the most by which an entry of the mean update differs from the exact one."""

    number: int
    contributors: tuple[str, ...]
    error_bound: float
    ms: float


@dataclass(frozen=True)
class Outcome:
    """What :func:`run` gives back. ``insecure``: stand-ins that were used; ``costs``: one row for each metered step.
    ``provenance``: the envelope about the model (docs/provenance.md), signed by parties that ``trust`` certified and
    whose keys are gone; ``salts``: by silo that committed to data, what opens its commitment."""

    parameters: Arrays
    plan: Plan
    rounds: tuple[RoundSummary, ...]
    costs: list[dict[str, str | int | float]]
    log: tuple[Entry, ...]
    provenance: bytes
    trust: TrustAnchor
    salts: Mapping[str, bytes] = field(repr=False)

    @property
    def insecure(self) -> tuple[str, ...]:
        return self.plan.insecure


def run(
    workload: Workload | Path | str,
    policy: Policy | Path | str,
    *,
    train: Train,
    data: Mapping[str, Any],
    initial: Sequence[NDArray[np.floating]],
    samples: Mapping[str, int] | None = None,
    costs: Costs | None = None,
    threads: int = 1,
    log: Log | None = None,
    committed: Mapping[str, Sequence[Path | str]] | None = None,
    parent: Outcome | None = None,
    away: Mapping[int, Collection[str]] | None = None,
    on_round: Callable[[FinishedRound, Arrays], None] | None = None,
    on_message: Callable[[str, bytes], None] | None = None,
) -> Outcome:
    """Train ``initial`` over the silos of ``data`` in this process, on the route that the policy chooses.

    ``train(parameters, data)`` is called for each silo and round with a list of NumPy arrays and returns the new ones;
    it must not change what it is given. ``samples`` counts each silo's data (default: the length of its arrays); the
    counts weigh the average and every party learns them. ``costs``: a calibration of this host (default: a short one
    is made). ``committed``: by silo, the files and folders that its data came from, to be committed to in the statement
    of provenance; ``parent``: the run that ``initial`` came out of. ``away``: by round, silos that do not take part in
    it, to try what a dropout does. ``on_round`` and ``on_message`` see what was published and what the aggregator
    received.

    All parties are in this process, so nobody is protected from whoever runs it: use it to try and to test, and
    `quatrefoil keeper|aggregator|silo` to be protected. Raises ``PhaseUnprotected`` when nothing available satisfies
    the policy, ``UpdateRefused`` when an update does not fit it.
    """
    workload = workload if isinstance(workload, Workload) else Workload.load(workload)
    policy = policy if isinstance(policy, Policy) else Policy.load(policy)
    available = availability(keeper=())  # in this process, nothing isolates it
    record = log if log is not None else MemoryLog()
    log_policy(policy, record)
    chosen = plan_logged(
        workload, policy, costs or stack.measure_host(available, kinds=workload.kinds), available, record
    )
    collect = training_phase(workload, parameters=layout_of(initial).length, silos=len(data))
    counts = {name: _samples_of(name, content, samples, policy) for name, content in data.items()}
    _check_away(away or {}, set(data), collect.rounds)
    salts = {silo: os.urandom(SALT_BYTES) for silo in committed or {}}
    commits = _commitments(train, list(data), committed or {}, salts)
    meter = Meter()
    with contextlib.ExitStack() as opened, tempfile.TemporaryDirectory() as folder:
        parties = _Parties(Path(folder), chosen, policy, threads, meter)
        signed_log = _signed_log(parties, log, record, opened) if policy.witnesses else None
        record = signed_log or record
        job = LocalJob(
            workload.name,
            silos={name: (parties.make(name, "silo"), count) for name, count in counts.items()},
            aggregator=parties.make(_AGGREGATOR, "aggregator"),
            **_keeping(parties, policy, chosen),
            policy=policy,
            witnesses=None if signed_log is None else parties.witnesses(signed_log),
            plan=chosen.digest(),
            initial=list(initial),
            rounds=collect.rounds,
            log=record,
            clock=system_clock,
            random=os.urandom,
            commits=commits,
            parent=None if parent is None else parent.provenance,
            ancestors=None if parent is None else Verifier(parent.trust, clock=system_clock),
        )
        running = opened.pop_all()

    def train_silo(name: str, parameters: Arrays) -> Sequence[NDArray[np.floating]]:
        with meter.timed("training"):
            return train(parameters, data[name])

    rounds = []
    with running:
        for number in range(1, collect.rounds + 1):
            begin = time.perf_counter()
            finished = job.run_round(train_silo, away=(away or {}).get(number, ()), on_message=on_message)
            ms = (time.perf_counter() - begin) * 1e3
            rounds.append(RoundSummary(finished.number, finished.contributors, finished.error_bound, ms))
            if on_round is not None:
                on_round(finished, job.aggregator.model)
        envelope = job.provenance().encode()
        entries = tuple(record.entries())
        return Outcome(
            job.aggregator.model, chosen, tuple(rounds), meter.as_rows(), entries, envelope, parties.trust, salts
        )


def _keeping(parties: _Parties, policy: Policy, chosen: Plan) -> dict[str, Any]:
    """The keeper and what it is believed by; nobody where a committee of silos holds the keys."""
    if policy.key_authority.is_committee:
        return dict.fromkeys(("keeper", "attester", "appraiser"))
    backend = chosen.backend("enclave")
    return {
        "keeper": parties.make(_KEEPER, "keeper"),
        "attester": stack.attester_of(policy, backend, None),
        "appraiser": stack.appraiser_of(policy, backend, None, clock=system_clock),
    }


def _signed_log(parties: _Parties, given: Log | None, begun: Log, opened: contextlib.ExitStack) -> TileLog:
    """A log of the aggregator's own for witnesses to cosign, with what was logged before; it lives as long as a run."""
    if given is not None:
        raise CallerError(
            "the policy asks for witnesses, who cosign the aggregator's own log, and another log is given",
            hint="Leave `log` out: one is made, and its entries are in the Outcome",
        )
    signed = opened.enter_context(parties.log(Path(opened.enter_context(tempfile.TemporaryDirectory()))))
    carry_over(begun, signed)
    return signed


def plan_logged(workload: Workload, policy: Policy, costs: Costs, available: Availability, log: Log) -> Plan:
    """The plan, after its entry in the log; a refused plan is an entry too, and raised."""
    try:
        chosen = plan(workload, policy, costs, available)
    except QuatrefoilError as refusal:
        log.append("plan-refused", {"policy": policy.digest().hex(), "reason": refusal.problem})
        raise
    entry = {"digest": chosen.digest().hex(), "policy": policy.digest().hex(), "insecure": list(chosen.insecure)}
    # The route hashes to the digest; why it was chosen is beside it, for people.
    reasons = json.dumps(chosen.to_json(), indent=1, sort_keys=True, default=str).encode()
    log.append("plan", entry, {"plan": chosen.route().encode(), "reasons": reasons})
    return chosen


def training_phase(workload: Workload, *, parameters: int, silos: int) -> Phase:
    """The workload's collect phase, if it says of the model and the silos what is the case."""
    phases = [phase for phase in workload.phases if phase.kind == "collect"]
    if len(phases) != 1:
        raise CallerError(
            f"workload {workload.name} has {len(phases)} collect phases, training needs one", hint="See docs/policy.md"
        )
    for name, found in (("parameters", parameters), ("silos", silos)):
        if (written := getattr(phases[0], name)) != found:
            raise CallerError(
                f"workload {workload.name} says {written} {name}, there are {found}",
                hint=f"Write {name} = {found} in its phases, so that the plan is priced for what runs",
            )
    return phases[0]


def _commitments(
    train: Train, silos: Sequence[str], committed: Mapping[str, Sequence[Path | str]], salts: Mapping[str, bytes]
) -> dict[str, Commitments]:
    if unknown := sorted(set(committed) - set(silos)):
        raise CallerError(f"{', '.join(unknown)} cannot commit: there is no data of it", hint="Name silos of the data")
    code = code_digest(train) or b""

    def data(silo: str) -> bytes:
        if silo not in committed:
            return b""
        return data_commitment(list_files([Path(path) for path in committed[silo]]), salts[silo])

    return {silo: Commitments(data(silo), code) for silo in silos}


def _check_away(away: Mapping[int, Collection[str]], silos: Collection[str], rounds: int) -> None:
    for number, names in away.items():
        unknown = sorted(set(names) - set(silos))
        if unknown or not 1 <= number <= rounds:
            raise CallerError(
                f"{', '.join(unknown) or 'nobody'} cannot be away in round {number} of {rounds}",
                hint="Name silos of the data, and rounds of the workload",
            )


def _samples_of(name: str, content: Any, samples: Mapping[str, int] | None, policy: Policy) -> int:
    if name in (_AGGREGATOR, _KEEPER):
        raise CallerError(f"a silo cannot be called {name}: the {name} is", hint="Give its data another name")
    if samples is not None and name not in samples:
        raise CallerError(f"no number of samples is given for {name}", hint="Give one for every silo, or none at all")
    given = count_samples(content) if samples is None else samples[name]
    limit = policy.limits.largest_sample_count
    try:
        count = operator.index(given)
    except TypeError:
        raise CallerError(f"the samples of {name} are {given!r}, not a whole number", hint="Count its rows") from None
    if not 1 <= count <= limit:
        raise CallerError(
            f"{name} counts {count} samples, outside 1 to the policy's {limit}",
            hint="Correct the count, or raise limits.largest_sample_count",
        )
    return count


class _Parties:
    """Identities of a consortium that lives as long as one run, and backends on the plan's route."""

    def __init__(self, folder: Path, chosen: Plan, policy: Policy, threads: int, meter: Meter) -> None:
        self._authority = CertificateAuthority.create(folder / "ca", "in-process", clock=system_clock)
        self.trust: TrustAnchor = self._authority.trust
        self._chosen = chosen
        self._policy = policy
        self._threads = threads
        self._meter = meter
        self._identities: dict[str, Identity] = {}
        self._security: dict[str, TransportSecurity] = {}

    def log(self, folder: Path) -> TileLog:
        """The aggregator's own log."""
        return TileLog(folder, self._identity(_AGGREGATOR, "aggregator"), self.trust)

    def witnesses(self, log: TileLog) -> Callable[[Job], LocalWitnesses]:
        """What makes a witness of that log of every silo."""
        return lambda job: LocalWitnesses(
            job,
            silos={member.name: self._security[member.name] for member in job.roster},
            aggregator=self._security[_AGGREGATOR],
            trust=self.trust,
            policy=self._policy,
            log=log,
            clock=system_clock,
        )

    def _identity(self, name: str, role: str) -> Identity:
        if name not in self._identities:
            self._identities[name] = self._authority.issue(name, role)
        return self._identities[name]

    def make(self, name: str, role: str) -> Party:
        identity = self._identity(name, role)
        security: TransportSecurity = PostQuantumTransport(
            identity, self.trust, clock=system_clock, policy=stack.channel_policy_of(self._policy)
        )
        self._security[name] = security
        aggregation = stack.aggregation_of(self._policy, self._chosen.backend("aggregation"), threads=self._threads)
        proofs = stack.proofs_of(self._policy, self._chosen.optional("proofs"), threads=self._threads)
        return Party(
            MeteredTransport(security, self._meter),
            Notary(identity, self.trust, clock=system_clock),
            MeteredAggregation(aggregation, self._meter),
            None if proofs is None else MeteredProofs(proofs, self._meter),
        )
