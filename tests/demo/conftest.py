"""Read once: the four hospitals, one split of them, and one real round of the perceptron on it."""

from __future__ import annotations

import pytest

from quatrefoil.demo import baselines, data, job, models
from quatrefoil.demo.models import Parameters
from quatrefoil.demo.scene import Scene
from quatrefoil.planner import Costs
from quatrefoil.planner.calibration import calibrate
from quatrefoil.planner.host import availability
from quatrefoil.policy import Policy


@pytest.fixture(scope="session")
def hospitals() -> dict[str, data.Hospital]:
    return data.load_hospitals()


@pytest.fixture(scope="session")
def splits(hospitals) -> dict[str, data.Split]:
    return data.split_all(hospitals, seed=0)


@pytest.fixture(scope="session")
def train(splits) -> dict[str, data.Labelled]:
    return {name: split.train for name, split in splits.items()}


@pytest.fixture(scope="session")
def start(train) -> Parameters:
    return baselines.start_of("mlp", list(train.values()), seed=0)


@pytest.fixture(scope="session")
def updates(start, train) -> dict[str, Parameters]:
    return {name: models.difference(baselines.train_round(start, one), start) for name, one in train.items()}


@pytest.fixture(scope="session")
def costs() -> Costs:
    """Measured in a moment: what is tested here does not depend on them."""
    return calibrate(availability(), lambda: None, bytes, seconds=0.1)


@pytest.fixture(scope="session")
def policy() -> Policy:
    return Policy.load(job.built_in("policy.toml"))


@pytest.fixture(scope="session")
def scene(splits, policy, costs) -> Scene:
    return Scene(splits, job.initial(), policy, costs)
