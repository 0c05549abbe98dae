"""One model trained in the four ways that the demo compares, over splits that are added one by one.

Federated in the clear clips updates as the policy says, like the silos do, so that the last two columns differ by the
layers alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from quatrefoil import api
from quatrefoil.demo import baselines, job, metrics, models
from quatrefoil.demo.baselines import ROUNDS, Aggregate, Score
from quatrefoil.demo.data import Hospital, Split, split_all
from quatrefoil.demo.fidelity import Fidelity, fidelity, kept_within, mean_errors
from quatrefoil.demo.inversion import shaped_like
from quatrefoil.demo.models import Arrays, Kind, Parameters
from quatrefoil.demo.result import LayerCost, ModelResult, Trainings
from quatrefoil.federation import parts
from quatrefoil.federation.norms import next_norm
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.vectors import layout_of
from quatrefoil.planner import Costs
from quatrefoil.policy import Limits, Policy

TITLES: Mapping[Kind, str] = {"logistic": "logistic regression", "mlp": "perceptron, 16 hidden"}


class Compared:
    """One model over several splits. ``trained``: by split, a model that was trained elsewhere under the same policy,
    whose predictions are then the ones that count."""

    def __init__(
        self,
        kind: Kind,
        hospitals: Mapping[str, Hospital],
        policy: Policy,
        costs: Costs,
        *,
        rounds: int = ROUNDS,
    ) -> None:
        self.kind = kind
        self.trained: dict[int, Parameters] = {}
        self.differing = self.predictions = self.clipped = 0
        self.fidelity: Fidelity | None = None
        self._hospitals = hospitals
        self._policy = policy
        self._costs = costs
        self._rounds = rounds
        self._rows: dict[str, list[Trainings]] = {}
        self._metered: dict[str, tuple[float, int]] = {}

    def add(self, seed: int) -> None:
        """Train and score on one more split."""
        splits = split_all(self._hospitals, seed)
        silos = [split.train for split in splits.values()]
        start = self._start(splits)
        alone = {name: baselines.alone(start, split.train, rounds=self._rounds) for name, split in splits.items()}
        pooled = baselines.pooled(start, silos, rounds=self._rounds)
        clear = clipped_mean(self._policy.limits)
        federated = baselines.federated(start, silos, clear, rounds=self._rounds).parameters
        here, errors, bounds = self._run(start, splits)
        encrypted = self.trained.get(seed, here)
        self.note(fidelity(errors, bounds, here, federated))
        self._count(federated, encrypted, splits)
        for name, split in splits.items():
            scores = [baselines.score(model, split.test) for model in (alone[name], pooled, federated, encrypted)]
            self._rows.setdefault(name, []).append(Trainings(*scores))
        common = [baselines.score_own(dict.fromkeys(splits, model), splits) for model in (pooled, federated, encrypted)]
        self._rows.setdefault("together", []).append(Trainings(baselines.score_own(alone, splits), *common))
        self._rows.setdefault("anywhere", []).append(Trainings(baselines.score_everywhere(alone, splits), *common))

    def note(self, one: Fidelity) -> None:
        """Take the exactness of one more training into account."""
        self.fidelity = one if self.fidelity is None else self.fidelity.worst_of(one)

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
        start = self._start(splits)
        plain = len(splits) * 8 * layout_of(start).length
        training, added, signed = self._layer("training"), self._layer("aggregation"), self._layer("transport")
        proven = self._layer("proofs")
        return [
            LayerCost("training", training[0], training[0], 0, 0),
            LayerCost("aggregation: encrypt, add, decrypt", added[0], _clear_mean_ms(start, splits), added[1], plain),
            *([LayerCost("proofs: prove, verify, check key", proven[0], 0.0, proven[1], 0)] if proven[1] else []),
            LayerCost("transport: sign, verify, seal", signed[0], 0.0, signed[1], 0),
        ]

    def _start(self, splits: Mapping[str, Split]) -> Parameters:
        return models.initial(self.kind, next(iter(splits.values())).train[0].shape[1], job.SEED)

    def _run(self, start: Parameters, splits: Mapping[str, Split]) -> tuple[Parameters, list[float], list[float]]:
        """The job in this process: its model, and each round's error and bound."""
        means: list[NDArray[np.float64]] = []
        silos = {name: split.train for name, split in splits.items()}
        outcome = api.run(
            job.workload_for(start, rounds=self._rounds),
            self._policy,
            train=baselines.train_round,
            data=silos,
            initial=start,
            costs=self._costs,
            on_round=lambda finished, _: means.append(published_mean(finished)),
        )
        self._metered = {str(row["step"]): (float(row["ms"]), int(row["bytes"])) for row in outcome.costs}
        clipped = [entry.body.get("values", 0) for entry in outcome.log if entry.kind == "clipped"]
        self.clipped += sum(int(str(count)) for count in clipped)
        errors = mean_errors(start, list(silos.values()), means, self._policy.limits)
        model = [np.asarray(array, np.float64) for array in outcome.parameters]
        return model, errors, [one.error_bound for one in outcome.rounds]

    def _count(self, clear: Parameters, encrypted: Parameters, splits: Mapping[str, Split]) -> None:
        features = np.concatenate([split.test[0] for split in splits.values()])
        probabilities = [models.predict_probability(model, features) for model in (clear, encrypted)]
        self.differing += metrics.differing_predictions(*probabilities)
        self.predictions += len(features)

    def _layer(self, layer: str) -> tuple[float, int]:
        found = [cost for step, cost in self._metered.items() if step.split(".")[0] == layer]
        return sum(ms for ms, _ in found) / self._rounds, sum(size for _, size in found) // self._rounds


def published_mean(finished: FinishedRound) -> NDArray[np.float64]:
    """The mean update of a round, as every silo receives it."""
    return np.frombuffer(parts.split(finished.result, 2)[1], "<f8")


def clipped_mean(limits: Limits) -> Aggregate:
    """``baselines.clear_mean`` over updates that are kept within the clip bound and the norm of a policy, which may
    follow the means of a training: its rounds are asked for in order."""
    norm = limits.update_norm

    def mean(updates: Sequence[Parameters], counts: Sequence[int], number: int) -> Parameters:
        nonlocal norm
        norm = limits.update_norm if number == 0 else norm
        kept = [shaped_like(kept_within(_flat(update), clip=limits.clip, norm=norm), update) for update in updates]
        found = baselines.clear_mean(kept, counts, number)
        norm = next_norm(limits, norm, _flat(found))
        return found

    return mean


def _flat(arrays: Arrays) -> NDArray[np.float64]:
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)


def clear_round_ms(start: Parameters, splits: Mapping[str, Split]) -> float:
    """Milliseconds of one round of the same training and mean, in the clear and in one process."""
    silos = [split.train for split in splits.values()]
    return _milliseconds(lambda: baselines.federated(start, silos, baselines.clear_mean)) / ROUNDS


def _clear_mean_ms(start: Arrays, splits: Mapping[str, Split]) -> float:
    counts = [len(split.train[1]) for split in splits.values()]
    update = [np.asarray(array, np.float64) for array in start]

    def rounds() -> None:
        for number in range(ROUNDS):
            baselines.clear_mean([update] * len(counts), counts, number)

    return _milliseconds(rounds) / ROUNDS


def _milliseconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e3


def _mean(rows: Sequence[Trainings]) -> Trainings:
    def column(name: str) -> Score:
        return baselines.mean([getattr(row, name) for row in rows])

    return Trainings(column("alone"), column("pooled"), column("federated"), column("encrypted"))
