"""Real rounds of a job in one process, each step timed as if every party had a machine of its own.

Silos work side by side, so the slowest of them counts; aggregator and keeper serve them one after another.
Contributions go through real channels to another process and back into the aggregator here. Confirmations and the
published result are handed over directly: small messages whose way is left out. The keeper's evidence is that of a TPM
in software, whatever the plan names: what hardware takes for its evidence is not measured. Training itself is in no
figure.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from quatrefoil import stack
from quatrefoil.appraisal import Relied
from quatrefoil.audit import MemoryLog
from quatrefoil.audit.dsse import Notary
from quatrefoil.bench.quoting import Quoting, accepted
from quatrefoil.bench.runs.links import Links
from quatrefoil.bench.runs.measured import PhaseRun
from quatrefoil.bench.transport_near import Link
from quatrefoil.demo import baselines, models
from quatrefoil.demo.data import Labelled
from quatrefoil.demo.models import Parameters
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.federation.local import LocalJob, Party, check_keys
from quatrefoil.isolation import CollectingAttester, PolicyAppraiser
from quatrefoil.meter import Meter, MeteredAggregation
from quatrefoil.policy import Policy
from quatrefoil.transport import CertificateAuthority, PostQuantumTransport, system_clock
from quatrefoil.workload import FEDERATED


@dataclass(frozen=True)
class Training:
    """What is trained: every silo's records, the first model, and a silo's work of one round."""

    data: Mapping[str, Labelled]
    initial: Parameters
    train: Callable[[Parameters, Labelled], Parameters]

    @property
    def shape(self) -> Mapping[str, int]:
        """``silos`` and ``parameters``, as a phase of a workload says them."""
        return {"silos": len(self.data), "parameters": sum(array.size for array in self.initial)}


@dataclass(frozen=True)
class Trained:
    """``runs``: one for each federated kind. ``model``: after the last round; ``clear``: the same training in the
    clear."""

    runs: Mapping[str, PhaseRun]
    model: Parameters
    clear: Parameters


@dataclass
class _Clock:
    """Milliseconds and bytes by federated kind."""

    ms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(FEDERATED, 0.0))
    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FEDERATED, 0))

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.ms[kind] += (time.perf_counter() - begin) * 1e3

    @contextmanager
    def slowest(self, kind: str, times: list[float]) -> Iterator[None]:
        """``times`` is filled meanwhile: the largest counts."""
        yield
        self.ms[kind] += max(times)


def run_rounds(
    training: Training,
    *,
    policy: Policy,
    plan: bytes,
    aggregation: str,
    proofs: str,
    rounds: int,
    links: Links,
    folder: Path,
    progress: Callable[[str], None],
) -> Trained:
    """``plan``: its digest. ``aggregation`` and ``proofs``: its backends, "" for no proofs."""
    clock, meter = _Clock(), Meter()
    job = _job(training, policy, plan, aggregation, proofs, rounds, meter, folder)
    with ExitStack() as opened:
        ways = {name: opened.enter_context(links.protected()) for name in training.data}
        for number in range(1, rounds + 1):
            progress(f"round {number} of {rounds}")
            _round(job, training, ways, clock, meter)
    model = [np.asarray(array, np.float64) for array in job.aggregator.model]
    plain, clear = _plain_rounds(training, rounds, links)
    runs = {kind: PhaseRun(kind, plain[kind], clock.ms[kind], clock.bytes[kind]) for kind in FEDERATED}
    return Trained(runs, model, clear)


def _round(job: LocalJob, training: Training, ways: Mapping[str, Link], clock: _Clock, meter: Meter) -> None:
    """``LocalJob.run_round``, taken apart. ``meter``: the aggregator's, which adds a contribution as it receives it."""
    aggregator, keeper = job.aggregator, job.keeper
    with clock.of("keys"):
        offer = keeper.open_round(aggregator.enrolled_job, aggregator.open_request())
        aggregator.opened(offer)
    times: list[float] = []
    messages: dict[str, bytes] = {}
    with clock.slowest("collect", times):
        for name, silo in job.silos.items():
            trained = training.train([np.asarray(a, np.float64) for a in silo.model], training.data[name])
            begin = time.perf_counter()
            context = silo.check_offer(offer, aggregator.voids)
            messages[name] = silo.contribute(offer, trained, aggregator.voids)
            times.append((time.perf_counter() - begin) * 1e3)
    before = _adding_ms(meter)
    for name, message in messages.items():
        with clock.of("collect"):
            ways[name].ask(message)
            aggregator.receive(name, message)
            job.silos[name].acknowledged(context)
        clock.bytes["collect"] += len(message)
    added = _adding_ms(meter) - before
    clock.ms["collect"] -= added
    clock.ms["aggregate"] += added
    with clock.of("keys"):
        check_keys(keeper.check, aggregator)
        proposal = aggregator.propose()
    confirmed: list[float] = []
    with clock.slowest("keys", confirmed):
        for name, silo in job.silos.items():
            begin = time.perf_counter()
            signed = silo.confirm(offer, proposal, aggregator.voids)
            confirmed.append((time.perf_counter() - begin) * 1e3)
            aggregator.confirm(name, signed)
    with clock.of("keys"):
        request = aggregator.key_request()
        answer = keeper.answer(request)
    clock.bytes["keys"] += len(request) + len(answer)
    with clock.of("aggregate"):
        finished = aggregator.finish(answer)
    accepted_in: list[float] = []
    with clock.slowest("aggregate", accepted_in):
        for name, silo in job.silos.items():
            begin = time.perf_counter()
            silo.accept(finished.offer, finished.release, finished.result, finished.receipts.of(name))
            accepted_in.append((time.perf_counter() - begin) * 1e3)
            clock.bytes["aggregate"] += len(finished.result)


def _adding_ms(meter: Meter) -> float:
    return meter.steps["aggregation.add"].ms if "aggregation.add" in meter.steps else 0.0


def _job(
    training: Training,
    policy: Policy,
    plan: bytes,
    aggregation: str,
    proofs: str,
    rounds: int,
    meter: Meter,
    folder: Path,
) -> LocalJob:
    authority = CertificateAuthority.create(folder / "ca", "bench", clock=system_clock)
    machine = Quoting()

    def party(name: str, role: str) -> Party:
        identity = authority.issue(name, role)
        channels = stack.channel_policy_of(policy)
        security = PostQuantumTransport(identity, authority.trust, clock=system_clock, policy=channels)
        adding = stack.aggregation_of(policy, aggregation, threads=1)
        notary = Notary(identity, authority.trust, clock=system_clock)
        return Party(
            security,
            notary,
            MeteredAggregation(adding, meter) if role == "aggregator" else adding,
            stack.proofs_of(policy, proofs, threads=1),
        )

    relied = Relied(accepted(), Collateral(keys=(machine.spki,)))
    return LocalJob(
        "bench",
        silos={name: (party(name, "silo"), len(labels)) for name, (_, labels) in training.data.items()},
        aggregator=party("aggregator", "aggregator"),
        keeper=party("keeper", "keeper"),
        attester=CollectingAttester(machine),
        appraiser=PolicyAppraiser("tpm", relied, isolated=False, clock=system_clock),
        policy=policy,
        plan=plan,
        initial=training.initial,
        rounds=rounds,
        log=MemoryLog(),
        clock=system_clock,
        random=os.urandom,
    )


def _plain_rounds(training: Training, rounds: int, links: Links) -> tuple[dict[str, float], Parameters]:
    """The same rounds in the clear: every silo sends its update over TCP, and the aggregator takes the mean."""
    clock, model = _Clock(), [np.array(array, np.float64) for array in training.initial]
    counts = [len(labels) for _, labels in training.data.values()]
    with ExitStack() as opened:
        ways = [opened.enter_context(links.bare()) for _ in training.data]
        for number in range(rounds):
            updates = [models.difference(training.train(model, data), model) for data in training.data.values()]
            for way, update in zip(ways, updates, strict=True):
                with clock.of("collect"):
                    way.ask(b"".join(array.tobytes() for array in update))
            with clock.of("aggregate"):
                model = models.apply(model, baselines.clear_mean(updates, counts, number))
    return clock.ms, model
