"""The demo's job: its policy and workload files, and what its processes are given as ``--train`` and ``--initial``."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from quatrefoil.demo import baselines, models
from quatrefoil.demo.baselines import ROUNDS
from quatrefoil.demo.data import Labelled
from quatrefoil.demo.encoding import FEATURES
from quatrefoil.demo.models import Arrays, Parameters
from quatrefoil.federation.vectors import layout_of
from quatrefoil.workload import Workload

POLICIES = {"additive": "policy.toml", "ckks": "policy-ckks.toml"}
"""How the updates are added -> the demo's own policy for it."""

COMMITTEE = "policy-committee.toml"
"""The demo's own policy without a keeper."""

SEED = 0
"""Of the common first model."""


def built_in(name: str) -> Path:
    """A file that comes with the demo: one of :data:`POLICIES`, or ``workload.toml``."""
    return Path(str(files("quatrefoil.demo") / name))


def workload_for(parameters: Arrays, *, rounds: int = ROUNDS) -> Workload:
    """The demo's workload, sized for this model and number of rounds."""
    workload = Workload.load(built_in("workload.toml"))
    length = layout_of(parameters).length
    phases = [replace(phase, parameters=length) if phase.parameters else phase for phase in workload.phases]
    phases = [replace(phase, rounds=rounds) if phase.rounds > 1 else phase for phase in phases]
    return replace(workload, phases=tuple(phases))


def initial() -> Parameters:
    """The first model of the demo's job: the perceptron."""
    return models.initial("mlp", len(FEATURES), SEED)


def train(parameters: Arrays, data: Labelled) -> Parameters:
    """One hospital's work in one round."""
    return baselines.train_round(parameters, data)


def load(file: Path) -> Labelled:
    """A hospital's training records, as :func:`save` wrote them."""
    with np.load(file, allow_pickle=False) as arrays:
        return arrays["features"], arrays["labels"]


def save(file: Path, data: Labelled) -> None:
    np.savez(file, features=data[0], labels=data[1])
