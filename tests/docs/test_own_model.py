"""The scikit-learn example in both ways: in one process, and as real processes over channels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quatrefoil.demo.processes import Processes

SILOS = ("north", "south", "west")
ROUNDS = 20
SECONDS = 100.0


@pytest.fixture
def example(clone: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's folder, with its data under ``data``; the current folder, as for a user."""
    folder = clone / "examples" / "own_model"
    monkeypatch.chdir(folder)
    subprocess.run([sys.executable, "make_data.py", "data"], env=environment, check=True, capture_output=True)
    return folder


def accuracy(model: list[np.ndarray], file: Path) -> float:
    with np.load(file) as held_out:
        predicted = held_out["features"] @ model[0][0] + model[1][0] > 0
        return float(np.mean(predicted == (held_out["labels"] == 1)))


def read(file: Path) -> list[np.ndarray]:
    with np.load(file) as arrays:
        return [arrays[name] for name in arrays.files]


def test_in_one_process(example: Path, environment: dict[str, str]) -> None:
    ran = subprocess.run(
        [sys.executable, "federate.py", "data"], env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert ran.returncode == 0, ran.stderr
    lines = dict(line.split(":", 1) for line in ran.stdout.splitlines() if ":" in line)
    start, federated = float(lines["start"].split()[0]), float(lines["federated"].split(",")[0])
    assert start < 0.7 and federated > 0.93
    assert f"after {ROUNDS} encrypted rounds" in lines["federated"]
    # A user sees who was kept from what, what nobody kept, and what stood in for the real thing.
    assert "answered in aggregate: curious-aggregator, by aggregation/additive-rlwe" in ran.stdout
    assert "NOT PROTECTED in aggregate: byzantine-silo" in ran.stdout
    assert "INSECURE stand-in used: software-keeper" in ran.stdout
    assert "Unaudited" in ran.stdout


def test_as_real_processes(example: Path, tmp_path: Path) -> None:
    silos = {name: Path("data") / f"{name}.npz" for name in SILOS}
    policy = example.parent / "policies" / "hospitals.toml"
    with Processes(tmp_path / "job", policy=policy, workload=example / "workload.toml", silos=silos) as parties:
        parties.start_keeper()
        parties.start_aggregator(initial="train:initial", job="own-model")
        for name in SILOS:
            parties.start_silo(name, train="train:train", arguments=["--out", f"{name}.model.npz"])
        for name in ("aggregator", *SILOS):
            parties.wait(name, SECONDS)
        result = parties.result("aggregator")
    model = read(tmp_path / "job" / "model.npz")
    assert accuracy(model, example / "data" / "held-out.npz") > 0.93
    for name in SILOS:
        assert all(np.array_equal(a, b) for a, b in zip(model, read(Path(f"{name}.model.npz")), strict=True))
    assert [one["contributors"] for one in result["rounds"]] == [list(SILOS)] * ROUNDS
    assert {one["group"] for one in result["channels"]} == {"X25519MLKEM768"}
    assert {one["peer"] for one in result["channels"]} == {"keeper", *SILOS}
    assert result["insecure"] == ["software-keeper"]
