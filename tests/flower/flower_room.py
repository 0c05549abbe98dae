"""A consortium for jobs in Flower: certificates, a keeper as a process, silos' and the aggregator's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import Result
from memory_grid import MemoryGrid, Node

from logs import entries_of
from quatrefoil.demo.processes import Processes
from quatrefoil.flower import ConfidentialStrategy, confidential_mod

SILOS = {"ambon": (0.25, 30), "bari": (-0.5, 10), "cusco": (0.125, 60)}
ROUNDS = 2
SOON = 60.0

POLICY = """
name = "toy"
threats = ["recorder", "network", "curious-aggregator", "colluding-silos", "byzantine-silo"]
on_excess = "refuse"
[limits]
minimum_silos = 2
colluding_silos = 0
largest_sample_count = 1000
clip = 1.0
update_norm = 4.0
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
"""

WORKLOAD = "name = 'toy'\n" + "".join(
    f"[[phases]]\nname = '{kind}'\nkind = '{kind}'\ndata = '{data}'\n"
    + ("parameters = 11\n" if kind != "keys" else "")
    + f"silos = 3\nrounds = {ROUNDS}\nlatency_ms = 100000\n"
    for kind, data in (("collect", "update"), ("aggregate", "update"), ("keys", "key"))
)

Train = Callable[[list[np.ndarray], dict[str, Any]], list[np.ndarray]]


def mean(*names: str) -> float:
    chosen = names or tuple(SILOS)
    return sum(SILOS[n][0] * SILOS[n][1] for n in chosen) / sum(SILOS[n][1] for n in chosen)


def initial() -> ArrayRecord:
    return ArrayRecord({"layer.weight": Array(np.zeros((2, 3))), "layer.bias": Array(np.zeros(5, np.float32))})


class Trained:
    """An app that moves every parameter by its silo's step; ``before`` is called in each training."""

    def __init__(self, name: str, before: Callable[[], None] = lambda: None, mods: tuple[Any, ...] = ()) -> None:
        self.step, self.samples = SILOS[name]
        self.before = before
        self.trainings: list[dict[str, Any]] = []
        self.evaluated: list[list[np.ndarray]] = []
        self.app = ClientApp(mods=[confidential_mod, *mods])
        self.app.train()(self.train)
        self.app.evaluate()(self.evaluate)

    def train(self, message: Message, _: Context) -> Message:
        self.before()
        self.trainings.append(dict(message.content["config"]))
        given = message.content["arrays"]
        moved = {name: Array(array.numpy() + array.numpy().dtype.type(self.step)) for name, array in given.items()}
        metrics = MetricRecord({"num-examples": self.samples, "loss": abs(self.step), "told-nobody": 0.123456789})
        return Message(RecordDict({"arrays": ArrayRecord(moved), "metrics": metrics}), reply_to=message)

    def evaluate(self, message: Message, _: Context) -> Message:
        model = message.content["arrays"].to_numpy_ndarrays()
        self.evaluated.append(model)
        return Message(RecordDict({"metrics": MetricRecord({"first": float(model[0][0, 0])})}), reply_to=message)


class FlowerRoom(Processes):
    """``with``: the keeper runs. ``run`` is a ServerApp's strategy on the files in ``folder``."""

    def __init__(self, folder: Path, costs: Path, policy: str = POLICY) -> None:
        (folder / "policy.toml").write_text(policy)
        (folder / "workload.toml").write_text(WORKLOAD)
        super().__init__(
            folder,
            policy=folder / "policy.toml",
            workload=folder / "workload.toml",
            silos=dict.fromkeys(SILOS, folder),
            cwd=folder,
        )
        for name, (_, samples) in SILOS.items():
            self.write_silo(name, samples=samples)
        (folder / "aggregator.toml").write_text(
            'identity = "identities/aggregator"\nroot = "root.pem"\npolicy = "policy.toml"\n'
            'workload = "workload.toml"\n'
            f'state = "state/aggregator"\nkeeper = "127.0.0.1:{self.keeper_port}"\nsilos = {sorted(SILOS)}\n'
            f'job = "toy"\ncosts = "{costs}"\ndeadline = {SOON}\ngive-up = {SOON}\n'
        )

    def write_silo(self, name: str, *, identity: str = "", samples: int = 1, aggregator: str = "aggregator") -> None:
        (self.folder / f"{name}.toml").write_text(
            f'identity = "identities/{identity or name}"\nroot = "root.pem"\npolicy = "policy.toml"\n'
            f'state = "state/{name}"\naggregator = "{aggregator}"\nsamples = {samples}\nmetrics = ["loss", "first"]\n'
        )

    def node(self, name: str, app: Trained | None = None) -> Node:
        return Node((app or Trained(name)).app, {"quatrefoil": str(self.folder / f"{name}.toml")})

    def grid(self, apps: dict[str, Trained] | None = None, *, run: int = 77) -> MemoryGrid:
        nodes = {at: self.node(name, (apps or {}).get(name)) for at, name in enumerate(SILOS, start=101)}
        return MemoryGrid(nodes, run)

    def run(self, grid: MemoryGrid, **options: Any) -> Result:
        try:
            strategy = options.pop("strategy", ConfidentialStrategy)(self.folder / "aggregator.toml")
            return strategy.start(
                grid=grid, initial_arrays=initial(), num_rounds=options.pop("rounds", ROUNDS), **options
            )
        finally:
            grid.close()

    def kinds(self, name: str) -> list[str]:
        return [entry.kind for entry in entries_of(self.log(name))]

    def __enter__(self) -> FlowerRoom:
        self.start_keeper()
        self.wait_for("keeper", "listens on", SOON)
        return self


def is_model(arrays: ArrayRecord, wanted: float) -> bool:
    return all(np.allclose(array, wanted, atol=1e-3) for array in arrays.to_numpy_ndarrays())
