"""``quatrefoil bench flower``, small: a real SuperLink, three SuperNodes, the same app twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from quatrefoil import cli

pytestmark = pytest.mark.slow


def test_it_says_what_two_rounds_took_plain_and_confidential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("PATH", "FLWR_HOME", "FLWR_TELEMETRY_ENABLED"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # the bench sets them, and no other test gets them
    monkeypatch.setenv("FLWR_SUPEREXEC_TASK_POLL_INTERVAL", "0.5")
    file = tmp_path / "found.json"
    assert (
        cli.main(["bench", "flower", "--silos", "3", "--parameters", "5000", "--rounds", "2", "--json", str(file)]) == 0
    )
    found = json.loads(file.read_text())
    for kind in ("plain", "confidential"):
        phases = found["phases"][kind]
        assert len(phases["rounds_s"]) == 2 and all(seconds > 0 for seconds in phases["rounds_s"])
        total = phases["before_s"] + sum(phases["rounds_s"]) + phases["after_s"]
        assert total == pytest.approx(found[f"{kind}_s"])
    assert found["plain_s"] < found["confidential_s"]
    assert {row["step"] for row in found["layers"] if row["cpu_ms"] > 0} >= {"aggregation.encrypt", "proofs.prove"}
    messages = found["messages"]["per_silo"]
    assert messages == found["starts"]["confidential"]["per_silo"] == 1 + 2 + 2 * 2 + 2
    assert found["starts"]["plain"]["per_silo"] == 2
    assert found["messages"]["bytes_per_silo"] > 2 * 4 * 5000
    said = capsys.readouterr()
    assert "of processor time a silo and round" in said.out and "the app, plain" in said.err
