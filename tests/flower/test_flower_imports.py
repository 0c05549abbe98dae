"""Each message to a silo is a new process: what its half imports is paid for every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

NOT_A_SILOS = (
    "quatrefoil.analytics",
    "quatrefoil.api",
    "quatrefoil.appraisal",
    "quatrefoil.cli",
    "quatrefoil.endorsements",
    "quatrefoil.federation.aggregator",
    "quatrefoil.flower.strategy",
    "quatrefoil.ohttp",
    "quatrefoil.parties.aggregator",
    "quatrefoil.planner",
    "quatrefoil.services.aggregator",
    "quatrefoil.serving",
    "seal",
)
"""What only other parties need, or a job that names it: a keeper's evidence, CKKS."""


def loaded_by(name: str) -> set[str]:
    code = f"from quatrefoil.flower import {name}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout))


def test_a_silo_loads_nothing_that_only_other_parties_need() -> None:
    loaded = loaded_by("confidential_mod")
    assert "quatrefoil.flower.mod" in loaded
    assert [name for name in NOT_A_SILOS if name in loaded] == []


@pytest.mark.parametrize("name", ["quatrefoil.planner", "quatrefoil.federation.aggregator"])
def test_the_aggregators_half_loads_what_it_needs(name: str) -> None:
    assert name in NOT_A_SILOS and name in loaded_by("ConfidentialStrategy")


@pytest.mark.parametrize("name", ["ConfidentialStrategy", "confidential_mod", "seat"])
def test_parties_run_without_the_commands(name: str) -> None:
    assert [module for module in loaded_by(name) if module.startswith("quatrefoil.cli")] == []
