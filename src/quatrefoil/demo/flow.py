"""The demo from beginning to end: one job in real processes, the same training over repeated splits, the attack."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

from quatrefoil import stack
from quatrefoil.aggregation import ParameterSet
from quatrefoil.demo import baselines, fidelity, inversion, job, leakage, models, serving
from quatrefoil.demo.baselines import ROUNDS
from quatrefoil.demo.data import Hospital, Split, load_hospitals, split_all, summary
from quatrefoil.demo.inversion import Packing, Read
from quatrefoil.demo.leakage import Leakage, ObservedRound
from quatrefoil.demo.loopback import JobRun, run_job
from quatrefoil.demo.models import Kind, Parameters
from quatrefoil.demo.poisoning import poison_both
from quatrefoil.demo.result import DemoResult, LayerCost
from quatrefoil.demo.scene import Scene
from quatrefoil.demo.serving import Served
from quatrefoil.demo.trainings import Compared, clear_round_ms, clipped_mean
from quatrefoil.demo.ward import CLINIC
from quatrefoil.errors import CallerError
from quatrefoil.federation.vectors import layout_of
from quatrefoil.planner import Costs, Plan, plan
from quatrefoil.planner.host import availability
from quatrefoil.policy import PARAMETER_SETS, Policy

SPLITS = 10
HEADLINE: Kind = "mlp"

Tell = Callable[[str], None]
"""Told what is being done, before it is done."""


@dataclass(frozen=True)
class Prepared:
    """A demo that has its data, its costs and its plan, and has run nothing yet."""

    policy_file: Path
    policy: Policy
    hospitals: Mapping[str, Hospital]
    costs: Costs
    plan: Plan


def prepare(policy_file: Path, *, tell: Tell) -> Prepared:
    """Load, measure this machine, plan. ``PolicyError`` when nothing here satisfies the policy."""
    policy = Policy.load(policy_file)
    hospitals = load_hospitals()
    tell("measuring this machine for the planner")
    available = availability(keeper=())
    workload = job.workload_for(job.initial())
    costs = stack.measure_host(available, kinds=workload.kinds)
    return Prepared(policy_file, policy, hospitals, costs, plan(workload, policy, costs, available))


def run_demo(prepared: Prepared, *, splits: int, tell: Tell) -> DemoResult:
    """Everything that ``quatrefoil demo`` shows; ``splits``: how often training is repeated, at least 1."""
    if splits < 1:
        raise CallerError(f"{splits} splits are none", hint="Pass at least 1")
    begin = time.perf_counter()
    hospitals, policy, costs = prepared.hospitals, prepared.policy, prepared.costs
    first = split_all(hospitals, 0)
    job_run = train(prepared, first, tell=tell)
    compared = {kind: Compared(kind, hospitals, policy, costs) for kind in models.KINDS}
    compared[HEADLINE].trained[0] = job_run.model
    compared[HEADLINE].note(fidelity_of(job_run, first, policy))
    for seed in range(splits):
        tell(f"split {seed + 1}/{splits}: alone, pooled, federated, encrypted")
        for one in compared.values():
            one.add(seed)
    tell("attacking what each party holds")
    attack = attack_round(first, job_run, policy, reader(policy, prepared.plan.backend("aggregation")))
    tell("training with one hospital that poisons, without proofs and with them")
    poisoned = poison_both(Scene(first, job.initial(), Policy.load(job.built_in("policy.toml")), costs))
    absent = serving.missing()
    served = None if absent else serve(prepared, job_run.model, first, tell=tell)
    titles = {hospital.name: hospital.title for hospital in hospitals.values()}
    return DemoResult(
        headline=HEADLINE,
        models={kind: one.result(titles) for kind, one in compared.items()},
        data=summary(hospitals),
        splits=splits,
        rounds=ROUNDS,
        differing_predictions=sum(one.differing for one in compared.values()),
        predictions=sum(one.predictions for one in compared.values()),
        fidelity=_worst([one.fidelity for one in compared.values() if one.fidelity is not None]),
        clipped_values=sum(one.clipped for one in compared.values()),
        attack=attack,
        poisoned=poisoned,
        channels=job_run.channels,
        costs=[*compared[HEADLINE].costs(), whole_round(job_run, first)],
        plan=prepared.plan,
        seconds=time.perf_counter() - begin,
        served=served,
        not_served=absent,
    )


def train_and_serve(prepared: Prepared, *, tell: Tell) -> Served:
    """The job in real processes, and what comes after it; nothing else of the demo."""
    serving.require_everything()
    first = split_all(prepared.hospitals, 0)
    return serve(prepared, train(prepared, first, tell=tell).model, first, tell=tell)


def train(prepared: Prepared, splits: Mapping[str, Split], *, tell: Tell) -> JobRun:
    tell(f"plan {prepared.plan.digest().hex()[:16]}: training across {len(splits)} hospitals in real processes")
    with tempfile.TemporaryDirectory() as folder:
        backend = prepared.plan.backend("aggregation")
        return run_job(Path(folder), prepared.policy_file, splits, prepared.costs, backend=backend)


def serve(prepared: Prepared, model: Parameters, splits: Mapping[str, Split], *, tell: Tell) -> Served:
    """The trained model served, and asked by one hospital about its held-out patients."""
    return serving.serve_and_ask(model, prepared.hospitals[CLINIC].title, splits[CLINIC], tell=tell)


def fidelity_of(job_run: JobRun, splits: Mapping[str, Split], policy: Policy) -> fidelity.Fidelity:
    """How exact the job in real processes was, from the means that it published."""
    silos = [split.train for split in splits.values()]
    start = job.initial()
    errors = fidelity.mean_errors(start, silos, job_run.means, policy.limits)
    clear = baselines.federated(start, silos, clipped_mean(policy.limits)).parameters
    return fidelity.fidelity(errors, job_run.bounds, job_run.model, clear)


def attack_round(splits: Mapping[str, Split], job_run: JobRun, policy: Policy, read: Read) -> Leakage:
    """Gradient inversion on the job's first round, in every place where something of it can be read."""
    start = job.initial()
    train = {name: split.train for name, split in splits.items()}
    clip = clipped_mean(policy.limits)  # of one update alone: the update, clipped
    updates: dict[str, Parameters] = {
        name: clip([models.difference(baselines.train_round(start, data), start)], [1], 0)
        for name, data in train.items()
    }
    mean = inversion.shaped_like(job_run.means[0], start)
    return leakage.measure(ObservedRound(start, train, updates, job_run.received, mean), read=read, seed=job.SEED)


def reader(policy: Policy, backend: str) -> Read:
    """The best that an aggregator can make of what it receives under this aggregation backend."""
    if backend == "plain":
        return inversion.plain_as_update
    if backend == "ckks":
        return inversion.ckks_as_update
    parameters = ParameterSet.named(PARAMETER_SETS[policy.limits.value_bits])
    return partial(inversion.ciphertext_as_update, packing=Packing.of(parameters))


def whole_round(job_run: JobRun, splits: Mapping[str, Split]) -> LayerCost:
    """A round of the job in real processes: wall time, and the bytes of contributions and published means."""
    start = job.initial()
    means = len(splits) * 8 * layout_of(start).length
    clear_ms = clear_round_ms(start, splits)
    return LayerCost("whole round, in processes", job_run.round_ms, clear_ms, job_run.sent + means, 2 * means)


def _worst(found: Sequence[fidelity.Fidelity]) -> fidelity.Fidelity:
    return reduce(fidelity.Fidelity.worst_of, found)
