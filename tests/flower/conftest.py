"""What needs Flower runs in an environment of its own (`make test`): its pins are not those of the others."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.util import find_spec

collect_ignore = (
    []
    if find_spec("flwr")
    else ["test_flower_jobs.py", "test_flower_records.py", "test_flower_hostility.py", "test_flower_deployment.py"]
)

if not collect_ignore:
    with warnings.catch_warnings():  # Flower's own imports warn, and here warnings are errors
        warnings.simplefilter("ignore")
        for module in (
            "app",
            "clientapp",
            "serverapp",
            "serverapp.strategy",
            "common.serde",
            "supercore.run",
            "supercore.task_identity",
        ):
            import_module(f"flwr.{module}")


def pytest_report_header() -> str:
    return "" if not collect_ignore else f"flwr is not installed here: not collected: {', '.join(collect_ignore)}"
