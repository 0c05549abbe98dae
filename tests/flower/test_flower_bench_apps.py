"""The confidential app of the bench, over messages in memory: it leads to the mean, and every figure is there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from memory_grid import MemoryGrid, Node

from quatrefoil.bench.flower import layers_of, messages_of, read_rows, read_starts, require_mean, starts_of
from quatrefoil.bench.flower_site import COSTS, SOON, FlowerSite
from quatrefoil.planner import Costs

SILOS, ROUNDS, PARAMETERS = 3, 2, 50


@pytest.fixture
def site(tmp_path: Path, costs_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlowerSite]:
    with FlowerSite(tmp_path, SILOS) as made:
        made._write(PARAMETERS, ROUNDS)
        monkeypatch.syspath_prepend(tmp_path / "apps" / "confidential")
        Costs.load(costs_file).save(tmp_path / COSTS)
        made.start_keeper()
        made.wait_for("keeper", "listens on", SOON)
        yield made
    for module in [name for name in sys.modules if name.startswith("bench_confidential")]:
        del sys.modules[module]


def test_the_confidential_app_leads_to_the_mean_and_every_figure_of_the_bench_is_there(site: FlowerSite) -> None:
    client = import_module("bench_confidential.client_app").app
    server = import_module("bench_confidential.server_app").app
    grid = MemoryGrid(
        {at: Node(client, {"quatrefoil": str(site.folder / f"{name}.toml")}) for at, name in enumerate(site.names)}
    )
    out = site.folder / "confidential.json"
    given = {"aggregator": str(site.folder / "aggregator.toml"), "out": str(out)}
    config = {**given, "rounds": ROUNDS, "parameters": PARAMETERS, "silos": SILOS}
    try:
        server(grid, Context(grid.run.run_id, 0, {}, RecordDict(), config))
    finally:
        grid.close()

    found = json.loads(out.read_text())
    require_mean("confidential", found["first"], ROUNDS)
    assert len(found["rounds_s"]) == ROUNDS
    assert found["before_s"] + sum(found["rounds_s"]) + found["after_s"] == pytest.approx(found["seconds"])
    rows = [row for name in site.names for row in read_rows(site.folder / f"{name}.costs")]
    assert all(row["cpu_ms"] > 0 and row["bytes"] > 0 for row in layers_of(rows, SILOS) if row["step"] != "flower.open")
    messages = messages_of(rows, json.loads((site.folder / "aggregator.json").read_text())["costs"], SILOS)
    assert messages["per_silo"] == 3 + 2 * ROUNDS + 2 and messages["carried_s_per_message"] > 0
    starts = starts_of(read_starts(site.starts("confidential")), SILOS)  # one process here for all of them
    assert starts["per_silo"] == pytest.approx(1 / SILOS) and starts["flower_cpu_ms"] > 0
