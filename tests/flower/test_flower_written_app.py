"""The app that ``quatrefoil flower new`` writes, with the files that its trial.sh prepares: it trains what it says.

Its keeper is a process and its silos are its own ClientApp; only Flower's programs are left out (the deployment tests
start them).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from memory_grid import MemoryGrid, Node

from quatrefoil import cli
from quatrefoil.demo.processes import HOST, Commands, command_line, free_port

pytest.importorskip("sklearn", reason="the app that is written trains on a table of scikit-learn")

NAME = "written_app"
SILOS = ("north", "south", "west")


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / NAME
    assert cli.main(["flower", "new", str(folder)]) == 0
    monkeypatch.syspath_prepend(folder)
    yield folder
    for module in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[module]


def trial(app: Path, *arguments: str, path: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    programs = path or f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = {**os.environ, "PATH": programs, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run(["./trial.sh", *arguments], cwd=app, env=told, capture_output=True, text=True)


def run_app(app: Path) -> Any:
    client, server = import_module(f"{NAME}.client_app").app, import_module(f"{NAME}.server_app").app
    nodes = {
        at: Node(
            client,
            {"quatrefoil": str(app / "trial" / f"{name}.toml"), "partition-id": at, "num-partitions": len(SILOS)},
        )
        for at, name in enumerate(SILOS)
    }
    grid = MemoryGrid(nodes)
    config = {"aggregator": str(app / "trial/aggregator.toml"), "rounds": 3, "learning-rate": 0.5}
    try:
        server(grid, Context(grid.run.run_id, 0, {}, RecordDict(), config))
    finally:
        grid.close()
    return import_module(f"{NAME}.task")


def test_it_trains_a_model_that_is_better_than_its_first_and_is_signed_by_everybody(app: Path, tmp_path: Path) -> None:
    keeper = free_port()
    prepared = trial(app, "prepare", PORT=str(keeper - 1))
    assert prepared.returncode == 0, prepared.stderr
    with Commands(tmp_path, cwd=app) as commands:
        identity = ["--identity", "trial/keeper", "--root", "trial/ca/root.pem", "--policy", "policy.toml"]
        listening = ["--state", "trial/state/keeper", "--listen", f"{HOST}:{keeper}"]
        commands._spawn("keeper", command_line("keeper", *identity, *listening))
        commands.wait_for("keeper", "listens on", 60)
        task = run_app(app)
    with np.load(app / "trial/model.npz") as model:
        trained = [model["weights"], model["intercept"]]
    first = task.accuracy(task.initial().values(), *task.load_held_out())
    assert first < 0.7 < 0.9 < task.accuracy(trained, *task.load_held_out())
    statement = json.loads((app / "trial/state/aggregator/provenance.json").read_text())
    assert len(statement["signatures"]) == 1 + len(SILOS)


def test_what_was_prepared_is_kept_and_another_port_is_taken_up(app: Path) -> None:
    assert trial(app, "prepare", PORT="20000").returncode == 0
    before = {file: file.read_bytes() for file in (app / "trial").rglob("*") if file.suffix in (".pem", ".key")}
    assert before and 'keeper = "127.0.0.1:20001"' in (app / "trial/aggregator.toml").read_text()
    again = trial(app, "prepare", PORT="21000")
    assert again.returncode == 0 and "certificates" not in again.stdout
    assert {file: file.read_bytes() for file in before} == before
    assert 'keeper = "127.0.0.1:21001"' in (app / "trial/aggregator.toml").read_text()


def test_a_program_that_is_not_there_ends_the_trial_with_what_it_said(app: Path) -> None:
    failed = trial(app, "prepare", path="/usr/bin:/bin")
    assert failed.returncode == 1 and "no certificates could be made" in failed.stderr
    assert "quatrefoil" in failed.stderr and not (app / "trial/ready").exists()
    assert trial(app, "prepare").returncode == 0


LISTENS = """#!/usr/bin/env python3
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
time.sleep(60)
"""
SLEEPS = "#!/bin/sh\nexec sleep 60\n"


def stubs(folder: Path, **programs: str) -> str:
    """A path on which Flower's programs, and the keeper, are these."""
    folder.mkdir()
    for name, content in {"quatrefoil": SLEEPS, "flower-supernode": SLEEPS, **programs}.items():
        file = folder / name.replace("_", "-")
        file.write_text(content)
        file.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_a_program_that_ends_at_once_ends_the_trial(app: Path, tmp_path: Path) -> None:
    assert trial(app, "prepare").returncode == 0
    path = stubs(tmp_path / "programs", flower_superlink="#!/bin/sh\necho the port is taken\nexit 1\n")
    failed = trial(app, path=path, PORT=str(free_port()))
    assert failed.returncode == 1
    assert "superlink has ended" in failed.stderr and "the port is taken" in failed.stderr


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("touch trial/model.npz", "done: the model is trial/model.npz"),
        ("exit 3", "the run failed"),
        ("true", "the run left no model"),
    ],
)
def test_the_trial_ends_well_only_with_a_model(app: Path, tmp_path: Path, run: str, said: str) -> None:
    assert trial(app, "prepare").returncode == 0
    (app / "trial" / "model.npz").touch()  # of an earlier trial
    path = stubs(tmp_path / "programs", flower_superlink=LISTENS, flwr=f"#!/bin/sh\necho $*\n{run}\n")
    ended = trial(app, path=path, PORT=str(free_port()))
    assert said in ended.stdout + ended.stderr
    assert (ended.returncode == 0) is ("done" in said)
    assert f'run . trial --stream --run-config aggregator="{app}/trial/aggregator.toml"' in ended.stdout
