"""Fixtures of parties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from party_site import LIMITS, WORKLOAD, Site

from job_policies import POLICY
from quatrefoil.planner.calibration import calibrate
from quatrefoil.planner.host import availability
from support import Consortium


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    people = Consortium(folder / "ca")
    for role in ("keeper", "aggregator", "silo"):
        people.identity(role, role)
    (folder / "policy.toml").write_text(POLICY.format(backend="additive-rlwe", accept='"software-keeper"', **LIMITS))
    (folder / "workload.toml").write_text(WORKLOAD)
    (folder / "site_of_tests.py").write_text("def train(parameters, data):\n    return parameters\n")
    np.savez(folder / "model.npz", np.zeros(4))
    np.savez(folder / "data.npz", x=np.zeros((5, 4)))
    calibrate(availability(), lambda: None, bytes, seconds=0.1).save(folder / "costs.json")
    return Site(folder, people)


@pytest.fixture
def here(site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is the site's, where the training module lies."""
    monkeypatch.chdir(site.folder)
    monkeypatch.syspath_prepend(str(site.folder))
    return site.folder
