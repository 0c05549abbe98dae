"""A real SuperLink, SuperNodes and ServerApp as processes; some of them are killed in the middle of a round."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from logs import entries_of
from quatrefoil import cli
from quatrefoil.bench.flower_site import FlowerSite
from quatrefoil.demo.processes import free_port
from quatrefoil.planner import Costs

LONG = 600.0

HELD = """
import time
from pathlib import Path
import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from quatrefoil.flower import confidential_mod
app = ClientApp(mods=[confidential_mod])

@app.train()
def train(message, context):
    folder = Path("FOLDER")
    number, silo = message.content["config"]["server-round"], context.node_config["silo"]
    (folder / f"training-{number}-{silo}").touch()
    while (folder / f"hold-{number}").exists():
        time.sleep(0.1)
    given = message.content["arrays"]
    moved = {name: Array(array.numpy() + np.float32(0.01)) for name, array in given.items()}
    content = RecordDict({"arrays": ArrayRecord(moved), "metrics": MetricRecord({"num-examples": 100})})
    return Message(content, reply_to=message)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Flower's programs are told goes no further than a test, and they look for work twice a second."""
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("FLWR_HOME", "")
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    monkeypatch.setenv("FLWR_SUPEREXEC_TASK_POLL_INTERVAL", "0.5")


def server_app(port: int) -> int | None:
    """The process of the ServerApp that a SuperLink at this port has started."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(b"flwr-serverapp" in part for part in command) and f"127.0.0.1:{port}".encode() in command:
            return int(process.name)
    return None


class HeldSite(FlowerSite):
    """Its silos train in each round until ``hold-N`` is gone."""

    def begin_held(self, costs: Path) -> None:
        self.begin(parameters=11, rounds=2, costs=Costs.load(costs))
        client = self.folder / "apps" / "confidential" / "bench_confidential" / "client_app.py"
        client.write_text(HELD.replace("FOLDER", str(self.folder)))
        for number in (1, 2):
            (self.folder / f"hold-{number}").touch()

    def trains(self, number: int) -> bool:
        return all((self.folder / f"training-{number}-{name}").exists() for name in self.names)

    def require_each_round_once(self) -> None:
        """No update that was accepted is lost or added twice, and each round's key was released once."""
        finished = [one.body["round"] for one in entries_of(self.log("aggregator")) if one.kind == "round-finished"]
        assert finished == [1, 2]
        for name in self.names:
            accepted = [one.body["round"] for one in entries_of(self.log(name)) if one.kind == "round-accepted"]
            assert accepted == [1, 2], name
        released = [one.body["round"] for one in entries_of(self.log("keeper")) if one.kind == "key-release"]
        assert released == [1, 2]


def test_a_job_goes_on_after_a_supernode_and_the_server_app_were_killed_in_a_round(
    tmp_path: Path, costs_file: Path
) -> None:
    with HeldSite(tmp_path, 3) as site:
        site.begin_held(costs_file)
        out = site.start("confidential", 11, 2)
        site.until(lambda: site.trains(1), "nobody trains", LONG)
        site.kill("node-silo-1")
        (tmp_path / "training-1-silo-1").unlink()
        site.node("silo-1")
        site.until(lambda: site.trains(1), "the silo that was killed does not train again", LONG)
        (tmp_path / "hold-1").unlink()

        site.until(lambda: site.trains(2), "the second round does not begin", LONG)
        killed = server_app(site.port)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        (tmp_path / "hold-2").unlink()
        assert not out.exists()
        result = site.run("confidential", 11, 2)

        assert result["first"] == pytest.approx(0.02, abs=1e-3)
        site.require_each_round_once()
        for name in site.names:
            assert [entry.kind for entry in entries_of(site.log(name))].count("contribution") == 2


def test_a_run_whose_silos_all_stop_ends_and_its_server_app_says_who_and_why(tmp_path: Path, costs_file: Path) -> None:
    with FlowerSite(tmp_path, 3) as site:
        site.begin(parameters=11, rounds=1, costs=Costs.load(costs_file))
        for name in site.names:
            file = tmp_path / f"{name}.toml"
            file.write_text(file.read_text().replace("samples = 100", "samples = 101"))
        out = site.start("confidential", 11, 1)
        site.until(lambda: server_app(site.port) is not None, "the ServerApp does not begin", LONG)
        site.until(lambda: server_app(site.port) is None, "the ServerApp does not end", LONG)
        listed = [str(site.programs / "flwr"), "list", "bench", "--format", "json"]
        said = subprocess.run(listed, capture_output=True, text=True, timeout=LONG, check=True).stdout
        assert "finished:failed" in said
        assert "0 of at least 3 silos contributed in time; missing silo-0, silo-1, silo-2; " in said, said
        for name in site.names:
            assert f"{name} stopped: UpdateRefused: the app trained on 100 samples" in said, said
        assert not out.exists()


def test_a_job_goes_on_after_the_keeper_and_the_superlink_were_killed_in_a_round(
    tmp_path: Path, costs_file: Path
) -> None:
    with HeldSite(tmp_path, 3) as site:
        site.begin_held(costs_file)
        out = site.start("confidential", 11, 2)
        site.until(lambda: site.trains(1), "nobody trains", LONG)
        site.kill("keeper")
        (tmp_path / "keeper.out").unlink()
        site.start_keeper()
        site.wait_for("keeper", "listens on", LONG)
        (tmp_path / "hold-1").unlink()

        # The SuperLink keeps everything in memory: its runs, nodes and messages are gone with it.
        site.until(lambda: site.trains(2), "the second round does not begin", LONG)
        assert server_app(site.port) is not None
        site.kill("superlink")
        site.until(lambda: server_app(site.port) is None, "the ServerApp outlives its SuperLink", LONG)
        (tmp_path / "hold-2").unlink()
        site.superlink()
        # One that does not know them ends its SuperNodes (401): whoever runs them starts them again.
        nodes = [site.running[f"node-{name}"] for name in site.names]
        site.until(lambda: all(node.poll() is not None for node in nodes), "SuperNodes outlive their SuperLink", LONG)
        for name in site.names:
            site.node(name)
        assert not out.exists()
        result = site.run("confidential", 11, 2)

        assert result["first"] == pytest.approx(0.02, abs=1e-3)
        site.require_each_round_once()


def test_the_app_that_is_written_runs_as_its_readme_says(tmp_path: Path) -> None:
    app = tmp_path / "tumours"
    assert cli.main(["flower", "new", str(app)]) == 0
    environment = {
        **os.environ,
        "PORT": str(free_port()),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    ended = subprocess.run(["./trial.sh"], cwd=app, env=environment, capture_output=True, text=True, timeout=2 * LONG)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert "round 3/3: 3 silos added" in said and "the model is trial/model.npz" in said
    with np.load(app / "trial" / "model.npz") as model:
        assert {name: model[name].shape for name in model.files} == {"weights": (30,), "intercept": (1,)}
        assert np.abs(model["weights"]).max() > 0.05
    statement = json.loads((app / "trial/state/aggregator/provenance.json").read_text())
    assert len(statement["signatures"]) == 4
