"""The demo from beginning to end: one job in real processes, the same training over repeated splits, the attack."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from quatrefoil import api, stack
from quatrefoil.demo import baselines, job, leakage, metrics, models
from quatrefoil.demo.baselines import ROUNDS, Score
from quatrefoil.demo.data import Hospital, Split, load_hospitals, split_all, summary
from quatrefoil.demo.leakage import Leakage, ObservedRound
from quatrefoil.demo.models import Kind, Parameters
from quatrefoil.demo.processes import Processes
from quatrefoil.demo.result import Channel, DemoResult, LayerCost, ModelResult, PhaseFollowed, Trainings
from quatrefoil.federation import parts
from quatrefoil.federation.vectors import layout_of, unflatten
from quatrefoil.planner import Costs, plan
from quatrefoil.planner.host import availability
from quatrefoil.policy import Policy
from quatrefoil.workload import Workload

SPLITS = 10
TITLES: Mapping[Kind, str] = {"logistic": "logistic regression", "mlp": "perceptron, 16 hidden"}
HEADLINE: Kind = "mlp"
PATIENCE = 120.0

Tell = Callable[[str], None]
"""Told what is being done, before it is done."""


def built_in(name: str) -> Path:
    """A file that comes with the demo: ``policy.toml`` or ``workload.toml``."""
    return Path(str(files("quatrefoil.demo") / name))


def workload_for(parameters: Parameters) -> Workload:
    """The demo's workload, sized for this model."""
    workload = Workload.load(built_in("workload.toml"))
    length = layout_of(parameters).length
    phases = [replace(phase, parameters=length) if phase.parameters else phase for phase in workload.phases]
    return replace(workload, phases=tuple(phases))


def run_demo(policy_file: Path, *, splits: int, tell: Tell) -> DemoResult:
    """Everything that ``quatrefoil demo`` shows."""
    begin = time.perf_counter()
    hospitals = load_hospitals()
    policy = Policy.load(policy_file)
    tell("measuring this machine for the planner")
    available = availability()
    costs = stack.measure_host(available)
    start = job.initial()
    chosen = plan(workload_for(start), policy, costs, available)
    tell(f"plan {chosen.digest().hex()[:16]}: training across {len(hospitals)} hospitals in real processes")
    with tempfile.TemporaryDirectory() as folder:
        job_run = run_job(Path(folder), policy_file, split_all(hospitals, 0), costs)
    compared = {kind: _Compared(kind, hospitals, policy, costs) for kind in models.KINDS}
    compared[HEADLINE].runs[0] = job_run.model
    for seed in range(splits):
        tell(f"split {seed + 1}/{splits}: alone, pooled, federated, encrypted")
        for one in compared.values():
            one.add(seed)
    tell("attacking what each party holds")
    attack = attack_round(split_all(hospitals, 0), start, job_run)
    titles = {hospital.name: hospital.title for hospital in hospitals.values()}
    return DemoResult(
        headline=HEADLINE,
        models={kind: one.result(titles) for kind, one in compared.items()},
        data=summary(hospitals),
        splits=splits,
        rounds=ROUNDS,
        differing_predictions=sum(one.differing for one in compared.values()),
        predictions=sum(one.predictions for one in compared.values()),
        weight_difference=max(one.weight_difference for one in compared.values()),
        weight_bound=max(one.weight_bound for one in compared.values()),
        attack=attack,
        channels=job_run.channels,
        costs=[*compared[HEADLINE].costs(), job_run.cost],
        plan=[PhaseFollowed(p.name, p.layers, sorted({answer.threat for answer in p.threats})) for p in chosen.phases],
        unprotected=[f"{one.threat} in phase {one.phase}: {one.why}" for one in chosen.unprotected],
        insecure=chosen.insecure,
        seconds=time.perf_counter() - begin,
    )


@dataclass(frozen=True)
class JobRun:
    """What the job in real processes left: its model, its channels, and its first round as the aggregator saw it."""

    model: Parameters
    channels: Sequence[Channel]
    cost: LayerCost
    ciphertexts: Mapping[str, bytes]
    mean: Parameters


def run_job(folder: Path, policy_file: Path, splits: Mapping[str, Split], costs: Costs) -> JobRun:
    """Train as keeper, aggregator and one process a hospital, over channels on loopback."""
    start = job.initial()
    costs.save(folder / "costs.json")
    data = {name: folder / f"{name}.npz" for name in splits}
    for name, file in data.items():
        job.save(file, splits[name].train)
    with Processes(folder, policy=policy_file, workload=built_in("workload.toml"), silos=data) as parties:
        record = folder / "record"
        parties.start_keeper()
        parties.start_aggregator(
            initial="quatrefoil.demo.job:initial",
            job="hospital-training",
            arguments=["--costs", str(folder / "costs.json"), "--record", str(record)],
        )
        for name in data:
            parties.start_silo(name, train="quatrefoil.demo.job:train")
        parties.wait("aggregator", PATIENCE)
        for name in data:
            parties.wait(name, PATIENCE)
        result = parties.result("aggregator")
        with np.load(folder / "model.npz") as arrays:
            model = [arrays[name] for name in arrays.files]
        messages = {name: (record / "round-1" / f"{name}.bin").read_bytes() for name in data}
        mean = np.frombuffer((record / "round-1" / "mean.bin").read_bytes(), "<f8")
    layout = layout_of(start)
    sent = sum(len(message) for message in messages.values())
    plain = len(data) * 8 * layout.length
    clear_ms = _clear_round_ms(start, splits)
    return JobRun(
        model=model,
        channels=[Channel(f"aggregator - {one['peer']}", one["group"]) for one in result["channels"]],
        cost=LayerCost(
            "whole round, all processes",
            float(np.median([one["ms"] for one in result["rounds"]])),
            clear_ms,
            sent + plain,
            2 * plain,
        ),
        ciphertexts={name: parts.split(message, 3)[2] for name, message in messages.items()},
        mean=[np.asarray(array, np.float64) for array in unflatten(mean, layout)],
    )


def attack_round(splits: Mapping[str, Split], start: Parameters, job_run: JobRun) -> Leakage:
    """Gradient inversion on the job's first round, in every place where something of it can be read."""
    train = {name: split.train for name, split in splits.items()}
    updates = {name: models.difference(baselines.train_round(start, data), start) for name, data in train.items()}
    return leakage.measure(ObservedRound(start, train, updates, job_run.ciphertexts, job_run.mean), seed=job.SEED)


class _Compared:
    """One model trained in the four ways, over splits that are added one by one."""

    def __init__(self, kind: Kind, hospitals: Mapping[str, Hospital], policy: Policy, costs: Costs) -> None:
        self.kind = kind
        self.runs: dict[int, Parameters] = {}
        self.differing = self.predictions = 0
        self.weight_difference = self.weight_bound = 0.0
        self._hospitals = hospitals
        self._policy = policy
        self._costs = costs
        self._rows: dict[str, list[Trainings]] = {}
        self._metered: dict[str, tuple[float, int]] = {}

    def add(self, seed: int) -> None:
        """Train and score on one more split."""
        splits = split_all(self._hospitals, seed)
        silos = [split.train for split in splits.values()]
        start = models.initial(self.kind, silos[0][0].shape[1], job.SEED)
        alone = {name: baselines.alone(start, split.train) for name, split in splits.items()}
        pooled = baselines.pooled(start, silos)
        federated = baselines.federated(start, silos, baselines.clear_mean).parameters
        encrypted = self._encrypted(start, splits, seed)
        self._compare(federated, encrypted, splits)
        for name, split in splits.items():
            held_out = split.test
            scores = [baselines.score(model, held_out) for model in (alone[name], pooled, federated, encrypted)]
            self._rows.setdefault(name, []).append(Trainings(*scores))
        common = [baselines.score_own(dict.fromkeys(splits, model), splits) for model in (pooled, federated, encrypted)]
        self._rows.setdefault("together", []).append(Trainings(baselines.score_own(alone, splits), *common))
        self._rows.setdefault("anywhere", []).append(Trainings(baselines.score_everywhere(alone, splits), *common))

    def result(self, titles: Mapping[str, str]) -> ModelResult:
        """The means over the splits so far."""
        return ModelResult(
            title=TITLES[self.kind],
            hospitals={title: _mean(self._rows[name]) for name, title in titles.items()},
            together=_mean(self._rows["together"]),
            anywhere=_mean(self._rows["anywhere"]),
        )

    def costs(self) -> list[LayerCost]:
        """Milliseconds and bytes a round of each metered layer, all parties together, from the last split."""
        splits = split_all(self._hospitals, 0)
        start = models.initial(self.kind, next(iter(splits.values())).train[0].shape[1], job.SEED)
        plain = len(splits) * 8 * layout_of(start).length
        mean_ms = _clear_mean_ms(start, splits)
        encryption, messages = self._layer("aggregation"), self._layer("transport")
        training = self._layer("training")[0]
        return [
            LayerCost("training", training, training, 0, 0),
            LayerCost("encrypt, add, decrypt", encryption[0], mean_ms, encryption[1], plain),
            LayerCost("sign, verify, seal", messages[0], 0.0, messages[1], 0),
        ]

    def _encrypted(self, start: Parameters, splits: Mapping[str, Split], seed: int) -> Parameters:
        outcome = api.run(
            workload_for(start),
            self._policy,
            train=baselines.train_round,
            data={name: split.train for name, split in splits.items()},
            initial=start,
            costs=self._costs,
        )
        self._metered = {str(row["step"]): (float(row["ms"]), int(row["bytes"])) for row in outcome.costs}
        self.weight_bound = max(self.weight_bound, sum(one.error_bound for one in outcome.rounds))
        return self.runs.get(seed, [np.asarray(array, np.float64) for array in outcome.parameters])

    def _compare(self, clear: Parameters, encrypted: Parameters, splits: Mapping[str, Split]) -> None:
        features = np.concatenate([split.test[0] for split in splits.values()])
        probabilities = [models.predict_probability(model, features) for model in (clear, encrypted)]
        self.differing += metrics.differing_predictions(*probabilities)
        self.predictions += len(features)
        difference = models.largest(models.difference(encrypted, clear))
        self.weight_difference = max(self.weight_difference, difference)

    def _layer(self, layer: str) -> tuple[float, int]:
        found = [cost for step, cost in self._metered.items() if step.split(".")[0] == layer]
        return sum(ms for ms, _ in found) / ROUNDS, sum(size for _, size in found) // ROUNDS


def _clear_mean_ms(start: Parameters, splits: Mapping[str, Split]) -> float:
    counts = [len(split.train[1]) for split in splits.values()]
    begin = time.perf_counter()
    for number in range(ROUNDS):
        baselines.clear_mean([start] * len(counts), counts, number)
    return (time.perf_counter() - begin) * 1e3 / ROUNDS


def _clear_round_ms(start: Parameters, splits: Mapping[str, Split]) -> float:
    begin = time.perf_counter()
    baselines.federated(start, [split.train for split in splits.values()], baselines.clear_mean)
    return (time.perf_counter() - begin) * 1e3 / ROUNDS


def _mean(rows: Sequence[Trainings]) -> Trainings:
    def column(name: str) -> Score:
        return baselines.mean([getattr(row, name) for row in rows])

    return Trainings(column("alone"), column("pooled"), column("federated"), column("encrypted"))
