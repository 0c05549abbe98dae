"""What the demo's silo processes are given as ``--train`` and ``--initial``: the hospitals' own model and data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quatrefoil.demo import baselines, models
from quatrefoil.demo.data import Labelled
from quatrefoil.demo.encoding import FEATURES
from quatrefoil.demo.models import Arrays, Parameters

SEED = 0
"""Of the common first model."""


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
