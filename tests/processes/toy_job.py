"""A job of three toy silos as real processes, one folder a test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from logs import entries_of
from quatrefoil.demo.processes import Processes

HERE = Path(__file__).parent
SILOS = {"ambon": (0.25, 30), "bari": (-0.5, 10), "cusco": (0.125, 60)}
ROUNDS = 4

POLICY = """
name = "toy"
threats = ["recorder", "network", "curious-aggregator", "colluding-silos"]
on_excess = "refuse"
[limits]
minimum_silos = 2
colluding_silos = 0
largest_sample_count = 1000
clip = 1.0
value_bits = 16
minimum_roster_group = 1
rounds = 20
[allow]
transport = ["pq-tls"]
enclave = ["software"]
aggregation = ["additive-rlwe"]
proofs = ["bounded-update"]
[insecure]
accept = ["software-keeper"]
[audit]
witnesses = 2
receipts = "ml-dsa+ed25519"
"""

WORKLOAD = f"""
name = "toy"
[[phases]]
name = "collect"
kind = "collect"
data = "update"
parameters = 11
silos = 3
rounds = {ROUNDS}
latency_ms = 10000
[[phases]]
name = "aggregate"
kind = "aggregate"
data = "update"
parameters = 11
silos = 3
rounds = {ROUNDS}
latency_ms = 10000
[[phases]]
name = "keys"
kind = "keys"
data = "key"
silos = 3
rounds = {ROUNDS}
latency_ms = 10000
"""


class ToyJob(Processes):
    """Short-hands for the toy job."""

    def aggregator(self, *arguments: str) -> None:
        costs = ("--costs", str(self.folder / "costs.json")) if (self.folder / "costs.json").exists() else ()
        self.start_aggregator(initial="toy:initial", job="toy", arguments=[*costs, *arguments])

    def silo(self, name: str, function: str = "train", *arguments: str) -> None:
        self.start_silo(
            name, train=f"toy:{function}", arguments=["--out", str(self.folder / f"{name}.npz"), *arguments]
        )

    def hold(self) -> None:
        """Keep every training waiting, and so the round open."""
        (self.folder / "hold").touch()

    def go_on(self) -> None:
        (self.folder / "hold").unlink()

    def model(self, name: str = "model") -> list[np.ndarray]:
        with np.load(self.folder / f"{name}.npz") as arrays:
            return [arrays[key] for key in arrays.files]

    def stored(self, name: str) -> list[str]:
        """Kinds of the log entries of a party, in order."""
        return [entry.kind for entry in entries_of(self.log(name))]


@pytest.fixture(scope="session")
def costs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One calibration for all jobs: they test behaviour, not speed."""
    from quatrefoil.planner.calibration import calibrate
    from quatrefoil.planner.host import availability

    file = tmp_path_factory.mktemp("costs") / "costs.json"
    calibrate(availability(), lambda: None, bytes, seconds=0.1).save(file)
    return file


@pytest.fixture
def job(tmp_path: Path, costs_file: Path) -> Iterator[ToyJob]:
    shutil.copy(HERE / "toy.py", tmp_path)
    shutil.copy(costs_file, tmp_path / "costs.json")
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "workload.toml").write_text(WORKLOAD)
    data = {}
    for name, (step, samples) in SILOS.items():
        data[name] = tmp_path / f"data-{name}.npz"
        np.savez(data[name], steps=np.full(samples, step))
    parties = ToyJob(
        tmp_path, policy=tmp_path / "policy.toml", workload=tmp_path / "workload.toml", silos=data, cwd=tmp_path
    )
    with parties:
        yield parties


def mean(*names: str) -> float:
    """FedAvg of one round over these silos."""
    chosen = names or tuple(SILOS)
    return sum(SILOS[n][0] * SILOS[n][1] for n in chosen) / sum(SILOS[n][1] for n in chosen)
