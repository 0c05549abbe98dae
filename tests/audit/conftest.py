from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from party_logs import run_job

from quatrefoil.audit.bundling import make_bundle
from quatrefoil.policy import Policy


@pytest.fixture(scope="session")
def made_job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Policy]:
    folder = tmp_path_factory.mktemp("job")
    policy = run_job(folder)
    make_bundle(sorted(folder.iterdir()), folder / "bundle.zip")
    return folder, policy


@pytest.fixture
def job(made_job: tuple[Path, Policy], tmp_path: Path) -> Path:
    """Every party's state folder by its name, and ``bundle.zip`` of all, for a test to damage."""
    return Path(shutil.copytree(made_job[0], tmp_path / "job"))


@pytest.fixture(scope="session")
def policy(made_job: tuple[Path, Policy]) -> Policy:
    return made_job[1]
