"""The bench of committees gives every figure that others read; never how fast."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from quatrefoil.bench.committee import measure_committee
from quatrefoil.cli import bench
from quatrefoil.contracts import Threshold
from quatrefoil.errors import ParametersRefused, PolicyInvalid

FIGURES = (
    "deal_ms",
    "prove_ms",
    "prove_shared_ms",
    "verify_shared_ms",
    "check_share_ms",
    "add_shares_ms",
    "recover_ms",
)


def run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    bench.run(parser.parse_args(["committee", *arguments]))


def test_every_figure_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--parameters", "900", "--json", str(tmp_path / "row.json"))
    row = json.loads((tmp_path / "row.json").read_text())
    assert row["schema"] == "quatrefoil.bench-committee/1"
    assert (row["members"], row["recovery"], row["privacy"], row["packing"]) == (8, 5, 3, 2)
    assert all(row[figure] > 0 for figure in FIGURES)
    assert row["sealed_bytes"] == 8 * (32 + 8 * 2048 + 16) and row["answer_bytes"] == 60 + 8 * 2048
    assert row["liars_named"] == [1] and row["proof_shared_bytes"] > row["proof_bytes"]
    assert "Keys shared among 8" in capsys.readouterr().out


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match="no keys"):
        run("--members", "4")
    with pytest.raises(ParametersRefused, match="0 parameters"):
        measure_committee(0, Threshold(5, 3, 1), 0, lambda _: None)
