"""The same app in Flower's simulation, whose nodes are actors of Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from flower_room import SILOS, FlowerRoom, mean

SCRIPT = """
import json, sys
from pathlib import Path
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.simulation import run_simulation
from flower_room import SILOS, Trained, initial
from quatrefoil.flower import ConfidentialStrategy, confidential_mod

folder = Path(sys.argv[1])
client, server = ClientApp(mods=[confidential_mod]), ServerApp()

@client.train()
def train(message, context):
    return Trained(list(SILOS)[int(context.node_config["partition-id"])]).train(message, context)

@server.main()
def main(grid, context):
    strategy = ConfidentialStrategy(folder / "aggregator.toml", evaluates=False)
    result = strategy.start(grid=grid, initial_arrays=initial(), num_rounds=2)
    values = [float(array.ravel()[0]) for array in result.arrays.to_numpy_ndarrays()]
    (folder / "simulated.json").write_text(json.dumps(values))

run_simulation(server, client, num_supernodes=3, backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}})
"""


@pytest.mark.slow
def test_a_job_runs_in_simulation(tmp_path: Path, room: FlowerRoom) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'quatrefoil[flower-simulation]'")
    for at, name in enumerate(SILOS):
        room.write_silo(name, samples=SILOS[name][1])
        (tmp_path / f"silo-{at}.toml").write_text((tmp_path / f"{name}.toml").read_text())
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1]), *sys.path])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "QUATREFOIL_SIMULATED_SILOS": str(tmp_path),
        "FLWR_TELEMETRY_ENABLED": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=600
    )
    assert (tmp_path / "simulated.json").exists(), ended.stdout + ended.stderr
    assert json.loads((tmp_path / "simulated.json").read_text()) == pytest.approx([2 * mean()] * 2, abs=1e-3)
