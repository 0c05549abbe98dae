"""What needs Flower runs in an environment of its own (`make test`): its pins are not those of the others."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from quatrefoil.planner.calibration import calibrate
from quatrefoil.planner.host import availability

_NEEDING = (
    "jobs",
    "hostility",
    "imports",
    "keeper_kills",
    "written_app",
    "bench_apps",
    "bench",
    "deployment",
    "simulation",
    "seats",
    "seat_deployment",
    "seat_witnesses",
)
NEED_FLOWER = [f"test_flower_{name}.py" for name in _NEEDING]
collect_ignore = [] if find_spec("flwr") else NEED_FLOWER

if not collect_ignore:
    with warnings.catch_warnings():  # Flower's own imports warn, and here warnings are errors
        warnings.simplefilter("ignore")
        for module in (
            "app",
            "clientapp",
            "serverapp.strategy",
            "common.serde",
            "supercore.run",
            "supercore.task_identity",
        ):
            import_module(f"flwr.{module}")


def pytest_report_header() -> str:
    return f"flwr is not installed here: not collected: {', '.join(collect_ignore)}" if collect_ignore else ""


@pytest.fixture(scope="session")
def costs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One calibration for all jobs: they test behaviour, not speed."""
    file = tmp_path_factory.mktemp("costs") / "costs.json"
    calibrate(availability(), lambda: None, bytes, seconds=0.1).save(file)
    return file


@pytest.fixture
def room(tmp_path: Path, costs_file: Path) -> Iterator[Any]:
    """A consortium whose keeper runs."""
    from flower_room import FlowerRoom

    with FlowerRoom(tmp_path, costs_file) as made:
        yield made
