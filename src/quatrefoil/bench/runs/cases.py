"""The three workloads that really run: their files, and the data that their phases are about.

Rows are as many as a workload's phases say; the first ones of the data where they say fewer. The night's records are
drawn from the real patients with replacement, because there are only 920: what computing on them takes depends on no
value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.analytics import LinearModel
from quatrefoil.bench.runs import credit, network
from quatrefoil.bench.runs.execution import Contents
from quatrefoil.bench.runs.inference import Inference
from quatrefoil.bench.runs.rounds import Training
from quatrefoil.bench.runs.tables import Counting, Moments, Scoring
from quatrefoil.demo import encoding, models
from quatrefoil.demo.data import Labelled, load_hospitals, split_all
from quatrefoil.errors import CallerError
from quatrefoil.policy import Policy
from quatrefoil.workload import Phase, Workload

_SEED = 0
_EPOCHS = 300
_QUICK_ROUNDS = 2
_QUICK_BATCH = 200


@dataclass(frozen=True)
class Case:
    """``contents``: of a workload of these phases, in whatever sizes."""

    workload: Workload
    policy: Policy
    contents: Callable[[Workload], Contents]


def case(name: str) -> Case:
    """The case whose workload has this name, or ``CallerError``."""
    if name not in CASES:
        raise CallerError(f"no workload {name!r} is run", hint=f"Choose of {', '.join(CASES)}")
    policy, contents = CASES[name]
    return Case(Workload.load(built_in(name)), Policy.load(built_in(policy)), contents)


def for_a_quick_run(one: Case, kinds: Collection[str]) -> Case:
    """With few rounds, and few rows or requests in phases of ``kinds``: to see that everything runs."""
    phases = tuple(
        replace(
            phase,
            rounds=min(phase.rounds, _QUICK_ROUNDS),
            batch=min(phase.batch, _QUICK_BATCH) if phase.kind in kinds else phase.batch,
        )
        for phase in one.workload.phases
    )
    return replace(one, workload=replace(one.workload, phases=phases))


def built_in(name: str) -> Path:
    """A file of the workloads or of their policies; ``examples`` has the same."""
    return Path(str(files("quatrefoil.bench.runs") / "files" / f"{name}.toml"))


def hospital(workload: Workload) -> Contents:
    """Rounds over the training records of the four hospitals; then each patient is asked about."""
    hospitals = load_hospitals()
    data = {name: split.train for name, split in split_all(hospitals, _SEED).items()}
    patients = np.concatenate([one.features for one in hospitals.values()])
    start = network.initial(patients.shape[1], _SEED)
    rows = _phase(workload, "answer").batch
    return Contents(
        training=Training(data, start, network.train), inferences={"answer": Inference(_first(patients, rows))}
    )


def credit_scoring(workload: Workload) -> Contents:
    """The bureau's scorecard is a logistic regression over all applications."""
    known = credit.load_credit()
    model = _logistic(credit.FEATURES, (known.features, known.good))
    numbers = tuple(credit.RANGES)
    paid = known.good.astype(np.int64)

    def counted(phase: str, column: str) -> Counting:
        values = np.column_stack([paid, known.categories[column]])
        rows = _phase(workload, phase).batch
        return Counting((credit.TARGET, column), _first(values, rows), (2, len(credit.CATEGORIES[column])))

    return Contents(
        tables={
            "score": Scoring(_first(known.features, _phase(workload, "score").batch), model),
            "portfolio": Moments(
                numbers, _first(known.features[:, : len(numbers)], _phase(workload, "portfolio").batch)
            ),
            "paid-back-by-account": counted("paid-back-by-account", "status_of_existing_checking_account"),
            "paid-back-by-history": counted("paid-back-by-history", "credit_history"),
        }
    )


def nightly(workload: Workload) -> Contents:
    """Scores of the hospitals' logistic regression; moments of what was found, of each finding all categories but one,
    because the last follows from the others; and a table of two findings for a registry."""
    hospitals = load_hospitals().values()
    features = np.concatenate([one.features for one in hospitals])
    labels = np.concatenate([one.labels for one in hospitals])
    model = _logistic(encoding.FEATURES, (features, labels))
    known = [(*encoding.CATEGORIES["restecg"], "missing"), encoding.CATEGORIES["cp"]]
    findings = [
        [encoding.FEATURES.index(f"{column}: {category}") for category in categories]
        for column, categories in zip(("restecg", "cp"), known, strict=True)
    ]
    watched = (
        *encoding.RANGES,
        *encoding.BINARY,
        *(f"{column}: {category}" for column, categories in encoding.CATEGORIES.items() for category in categories[1:]),
    )
    places = [encoding.FEATURES.index(name) for name in watched]
    drawn = np.random.default_rng(_SEED).integers(0, len(features), max(phase.batch for phase in workload.phases))
    night = features[drawn]
    ecg, pain = (night[:, columns].argmax(axis=1).astype(np.int64) for columns in findings)
    return Contents(
        tables={
            "score": Scoring(night[: _phase(workload, "score").batch], model),
            "drift": Moments(watched, night[: _phase(workload, "drift").batch, places]),
            "registry": Counting(
                ("restecg", "cp"), np.column_stack([ecg, pain])[: _phase(workload, "registry").batch], (4, 4)
            ),
        }
    )


CASES: Mapping[str, tuple[str, Callable[[Workload], Contents]]] = {
    "hospital-training-and-serving": ("hospital-group", hospital),
    "credit-scoring": ("bank", credit_scoring),
    "nightly-analytics": ("night", nightly),
}
"""Workload -> its policy, and what its phases are about."""


def _logistic(names: tuple[str, ...], data: Labelled) -> LinearModel:
    weights, bias = models.train(models.initial("logistic", len(names), _SEED), data, epochs=_EPOCHS)
    return LinearModel("logistic", names, tuple(map(float, weights[0])), float(bias[0]))


def _phase(workload: Workload, name: str) -> Phase:
    return next(phase for phase in workload.phases if phase.name == name)


def _first(values: NDArray[Any], rows: int) -> NDArray[Any]:
    if rows > len(values):
        raise CallerError(f"the workload asks for {rows} rows, and there are {len(values)}", hint="Ask for fewer")
    return values[:rows]
