"""A consortium inside Flower on this machine: a keeper, a SuperLink, a SuperNode for each silo, and one app, written
twice: as any app of Flower is, and confidentially.

The app trains nothing, so that what is timed is what carries and protects. Tests use it to kill and restart parties.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quatrefoil.demo.processes import HOST, Processes, free_port
from quatrefoil.errors import DependencyMissing, HostError
from quatrefoil.planner import Costs

SOON = 120.0
COSTS = "costs.json"
_POLICY = """
name = "bench-flower"
threats = ["recorder", "network", "curious-aggregator", "colluding-silos", "byzantine-silo"]
on_excess = "clip"
[limits]
minimum_silos = 3
colluding_silos = 1
largest_sample_count = 1000
clip = 1.0
update_norm = 64.0
value_bits = 16
minimum_roster_group = 3
rounds = 100
[allow]
transport = ["pq-tls"]
enclave = ["software"]
aggregation = ["additive-rlwe"]
proofs = ["bounded-update"]
[insecure]
accept = ["software-keeper"]
"""

_PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{project}"
version = "0.1.0"
description = "bench"
license = "Apache-2.0"
dependencies = []
[tool.hatch.build.targets.wheel]
packages = ["."]
[tool.flwr.app]
publisher = "bench"
[tool.flwr.app.components]
serverapp = "{name}.server_app:app"
clientapp = "{name}.client_app:app"
[tool.flwr.app.config]
aggregator = ""
out = ""
rounds = 1
parameters = 1
silos = 1
"""

_CLIENT = """
import os, time
started = time.process_time()
import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
{imports}
loaded = time.process_time()
file = os.open({starts!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(file, f"{{started * 1e3:.1f}} {{(loaded - started) * 1e3:.1f}}\\n".encode())
os.close(file)

app = ClientApp(mods=[{mods}])

@app.train()
def train(message, context):
    given = message.content["arrays"]
    moved = {{name: Array(array.numpy() + np.float32(0.01)) for name, array in given.items()}}
    content = RecordDict({{"arrays": ArrayRecord(moved), "metrics": MetricRecord({{"num-examples": 100}})}})
    return Message(content, reply_to=message)
"""

_SERVER = """
import json, time
from pathlib import Path
import numpy as np
from flwr.app import Array, ArrayRecord
from flwr.serverapp import ServerApp
{imports}
app = ServerApp()
begun, ended = {{}}, {{}}

class Timed({strategy}):
    def configure_train(self, server_round, *given):
        begun.setdefault(server_round, time.perf_counter())
        return super().configure_train(server_round, *given)

    def aggregate_train(self, server_round, replies):
        found = super().aggregate_train(server_round, replies)
        ended[server_round] = time.perf_counter()
        return found

@app.main()
def main(grid, context):
    config = context.run_config
    while len(list(grid.get_node_ids())) < config["silos"]:
        time.sleep(0.2)
    begin = time.perf_counter()
    initial = ArrayRecord({{"w": Array(np.zeros(config["parameters"], np.float32))}})
    result = Timed({arguments}).start(grid=grid, initial_arrays=initial, num_rounds=config["rounds"])
    end = time.perf_counter()
    found = result.arrays.to_numpy_ndarrays()[0]
    times = [begun.get(1, begin), *(ended[number] for number in sorted(ended))]
    written = {{
        "seconds": end - begin,
        "before_s": times[0] - begin,
        "rounds_s": [later - earlier for earlier, later in zip(times, times[1:])],
        "after_s": end - times[-1],
        "first": float(found[0]),
    }}
    Path(config["out"] + ".part").write_text(json.dumps(written))
    Path(config["out"] + ".part").rename(config["out"])
"""

_STRATEGIES = {
    "plain": (
        "from flwr.serverapp.strategy import FedAvg",
        "FedAvg",
        'fraction_evaluate=0.0, min_train_nodes=config["silos"], min_available_nodes=config["silos"]',
    ),
    "confidential": (
        "from quatrefoil.flower import ConfidentialStrategy",
        "ConfidentialStrategy",
        'config["aggregator"], evaluates=False',
    ),
}
KINDS = tuple(_STRATEGIES)


class FlowerSite(Processes):
    """A consortium of which each silo has a SuperNode."""

    def __init__(self, folder: Path, silos: int) -> None:
        (folder / "policy.toml").write_text(_POLICY)
        self.names = [f"silo-{number}" for number in range(silos)]
        super().__init__(
            folder,
            policy=folder / "policy.toml",
            workload=folder / "workload.toml",
            silos=dict.fromkeys(self.names, folder),
            cwd=folder,
        )
        self.programs = Path(sys.executable).parent
        if not (self.programs / "flower-superlink").exists():
            raise DependencyMissing("flwr is not installed", hint="pip install 'quatrefoil[flower]'")
        self.port = free_port()
        self.environment = {
            "FLWR_HOME": str(folder / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",  # Flower's programs start each other by name
        }

    def begin(self, parameters: int, rounds: int, costs: Costs) -> None:
        """Write every file; start keeper, SuperLink and SuperNodes. ``costs``: what the aggregator plans with."""
        os.environ.update(self.environment)  # Flower's programs and what they start read it
        self._write(parameters, rounds)
        costs.save(self.folder / COSTS)
        self.start_keeper()
        self.wait_for("keeper", "listens on", SOON)
        self.superlink()
        for name in self.names:
            self.node(name)

    def superlink(self) -> None:
        """Start the SuperLink, which keeps all in memory, and wait until it listens."""
        self.flower("superlink", "--insecure", "--port", self.port, "--disable-runtime-dependency-installation")
        self.until(self._answers, "the SuperLink does not listen")

    def starts(self, kind: str) -> Path:
        """Where each process of an app's silos writes how much it worked before it was loaded, and for that."""
        return self.folder / f"{kind}.starts"

    def node(self, name: str) -> None:
        """Start the SuperNode of a silo."""
        config = f'quatrefoil="{self.folder / name}.toml" silo="{name}"'
        where = ("--superlink", f"{HOST}:{self.port}", "--port", free_port())
        self.flower("supernode", "--insecure", *where, "--node-config", config, name=f"node-{name}")

    def flower(self, program: str, *arguments: object, name: str = "") -> None:
        """Start one of Flower's programs."""
        self._spawn(name or program, [str(self.programs / f"flower-{program}"), *map(str, arguments)])

    def start(self, kind: str, parameters: int, rounds: int) -> Path:
        """Begin a run of an app; where its ServerApp will write."""
        out = self.folder / f"{kind}.json"
        config = (
            f'aggregator="{self.folder / "aggregator.toml"}" out="{out}" rounds={rounds} '
            f"parameters={parameters} silos={len(self.names)}"
        )
        app = str(self.folder / "apps" / kind)
        self._spawn("run", [str(self.programs / "flwr"), "run", app, "bench", "--run-config", config])
        self.wait("run", SOON)
        return out

    def run(self, kind: str, parameters: int, rounds: int) -> dict[str, Any]:
        """A whole run; what its ServerApp wrote."""
        out = self.start(kind, parameters, rounds)
        self.until(out.exists, f"the {kind} app did not end", seconds=SOON * 30)
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    def _write(self, parameters: int, rounds: int) -> None:
        phases = (("collect", "update"), ("aggregate", "update"), ("keys", "key"))
        self.workload.write_text(
            'name = "bench"\n'
            + "".join(
                f'[[phases]]\nname = "{kind}"\nkind = "{kind}"\ndata = "{data}"\n'
                + (f"parameters = {parameters}\n" if data == "update" else "")
                + f"silos = {len(self.names)}\nrounds = {rounds}\nlatency_ms = 10000000\n"
                for kind, data in phases
            )
        )
        common = 'root = "root.pem"\npolicy = "policy.toml"\n'
        for name in self.names:
            (self.folder / f"{name}.toml").write_text(
                f'{common}identity = "identities/{name}"\nstate = "state/{name}"\naggregator = "aggregator"\n'
                f'samples = 100\ncosts = "{name}.costs"\n'
            )
        (self.folder / "aggregator.toml").write_text(
            f'{common}identity = "identities/aggregator"\nworkload = "workload.toml"\nstate = "state/aggregator"\n'
            f'keeper = "{HOST}:{self.keeper_port}"\nsilos = {json.dumps(self.names)}\njob = "bench"\n'
            f'costs = "{COSTS}"\njson = "aggregator.json"\ndeadline = 3600\ngive-up = 3600\n'
        )
        for kind, (imports, strategy, arguments) in _STRATEGIES.items():
            package = self.folder / "apps" / kind / f"bench_{kind}"
            package.mkdir(parents=True)
            (package.parent / "pyproject.toml").write_text(_PROJECT.format(name=package.name, project=f"bench-{kind}"))
            (package / "__init__.py").touch()
            mod = kind == "confidential"
            imported = "from quatrefoil.flower import confidential_mod" if mod else ""
            client = _CLIENT.format(
                imports=imported, mods="confidential_mod" if mod else "", starts=str(self.starts(kind))
            )
            (package / "client_app.py").write_text(client)
            server = _SERVER.format(imports=imports, strategy=strategy, arguments=arguments)
            (package / "server_app.py").write_text(server)
        home = Path(self.environment["FLWR_HOME"])
        home.mkdir()
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "bench"\n[superlink.bench]\naddress = "{HOST}:{self.port}"\ninsecure = true\n'
        )

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1.0).close()
        except OSError:
            return False
        return True

    def until(self, holds: Callable[[], bool], what: str, seconds: float = SOON) -> None:
        """Wait for something, or ``HostError`` with what every program said last."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                said = {name: self.output(name) for name in self.running}
                raise HostError(f"{what}: {said}", hint="See what its programs print")
            time.sleep(0.1)


__all__ = ["KINDS", "FlowerSite"]
