"""One app inside Flower, plainly and confidentially: a real SuperLink, a SuperNode for each silo, a ServerApp.

The app trains nothing, so that what is timed is what carries and protects: Flower's own average of the same arrays, and
the protocol with proofs. Layers' costs are of the silos' own calls, each in its own process with one thread. Needs the
extra ``flower``.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quatrefoil.demo.processes import HOST, Processes, free_port
from quatrefoil.errors import DependencyMissing, HostError, ParametersRefused

SOON = 120.0
STEPS = ("aggregation.encrypt", "proofs.prove", "transport.sign", "transport.seal", "flower.seal", "flower.open")

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
import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
{imports}
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

@app.main()
def main(grid, context):
    config = context.run_config
    while len(list(grid.get_node_ids())) < config["silos"]:
        time.sleep(0.2)
    begin = time.perf_counter()
    initial = ArrayRecord({{"w": Array(np.zeros(config["parameters"], np.float32))}})
    result = {strategy}.start(grid=grid, initial_arrays=initial, num_rounds=config["rounds"])
    found = result.arrays.to_numpy_ndarrays()[0]
    written = {{"seconds": time.perf_counter() - begin, "first": float(found[0])}}
    Path(config["out"] + ".part").write_text(json.dumps(written))
    Path(config["out"] + ".part").rename(config["out"])
"""

_STRATEGIES = {
    "plain": (
        "from flwr.serverapp.strategy import FedAvg",
        'FedAvg(fraction_evaluate=0.0, min_train_nodes=config["silos"], min_available_nodes=config["silos"])',
    ),
    "confidential": (
        "from quatrefoil.flower import ConfidentialStrategy",
        'ConfidentialStrategy(config["aggregator"], evaluates=False)',
    ),
}


def measure_flower(silos: int, parameters: int, rounds: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of each, and what each layer took of a silo, in milliseconds and bytes for the whole run."""
    if silos < 3 or parameters < 1 or rounds < 1:
        raise ParametersRefused("Flower is measured with at least 3 silos, 1 parameter and 1 round", hint="Give more")
    with tempfile.TemporaryDirectory(prefix="quatrefoil-flower-") as name, FlowerSite(Path(name), silos) as site:
        progress(f"{silos} SuperNodes around a SuperLink")
        site.begin(parameters, rounds)
        found = {}
        for kind in _STRATEGIES:
            progress(f"the app, {kind}")
            found[kind] = site.run(kind, parameters, rounds)
        expected = 0.01 * rounds
        for kind, result in found.items():
            if abs(result["first"] - expected) > 1e-3 * rounds:
                raise HostError(
                    f"the {kind} model is {result['first']}, not {expected}", hint="This is a fault: tell us"
                )
        layers = site.layers()
    return {
        "silos": silos,
        "parameters": parameters,
        "rounds": rounds,
        "plain_s": found["plain"]["seconds"],
        "confidential_s": found["confidential"]["seconds"],
        "layers": layers,
        "layers_ms_per_silo_and_round": sum(row["ms"] for row in layers) / rounds,
    }


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

    def begin(self, parameters: int, rounds: int) -> None:
        """Write every file; start keeper, SuperLink and SuperNodes."""
        os.environ.update(self.environment)  # Flower's programs and what they start read it
        self._write(parameters, rounds)
        self.start_keeper()
        self.wait_for("keeper", "listens on", SOON)
        self.flower("superlink", "--insecure", "--port", self.port, "--disable-runtime-dependency-installation")
        self.until(self._answers, "the SuperLink does not listen")
        for name in self.names:
            self.node(name)

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

    def layers(self) -> list[dict[str, Any]]:
        """Of one silo, the mean over all: milliseconds and bytes of each layer."""
        sums: dict[str, dict[str, float]] = {step: {"ms": 0.0, "bytes": 0.0} for step in STEPS}
        for name in self.names:
            for line in (self.folder / f"{name}.costs").read_text().splitlines():
                row = json.loads(line)
                if row["step"] in sums:
                    for key in ("ms", "bytes"):
                        sums[row["step"]][key] += row[key] / len(self.names)
        return [{"step": step, **found} for step, found in sums.items()]

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
            "deadline = 3600\ngive-up = 3600\n"
        )
        for kind, (imports, strategy) in _STRATEGIES.items():
            package = self.folder / "apps" / kind / f"bench_{kind}"
            package.mkdir(parents=True)
            (package.parent / "pyproject.toml").write_text(_PROJECT.format(name=package.name, project=f"bench-{kind}"))
            (package / "__init__.py").touch()
            mod = kind == "confidential"
            imported = "from quatrefoil.flower import confidential_mod" if mod else ""
            client = _CLIENT.format(imports=imported, mods="confidential_mod" if mod else "")
            (package / "client_app.py").write_text(client)
            (package / "server_app.py").write_text(_SERVER.format(imports=imports, strategy=strategy))
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


__all__ = ["measure_flower"]
