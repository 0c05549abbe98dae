"""The bench of committees gives every figure that others read; never how fast."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from quatrefoil.bench.committee import SIZES, measure_committee
from quatrefoil.cli import bench
from quatrefoil.contracts import Threshold
from quatrefoil.errors import ParametersRefused, PolicyInvalid

FIGURES = (
    "deal_ms",
    "seal_ms",
    "open_ms",
    "keeper_seal_ms",
    "keeper_open_ms",
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
    content = json.loads((tmp_path / "row.json").read_text())
    assert content["schema"] == "quatrefoil.bench-committee/2"
    (row,) = content["rows"]
    assert (row["members"], row["recovery"], row["privacy"], row["packing"]) == (8, 5, 3, 2)
    assert all(row[figure] > 0 for figure in FIGURES)
    assert row["shares_bytes"] == 8 * (32 + 8 * 2048 + 16) and row["answer_bytes"] == 60 + 8 * 2048
    assert row["sealed_bytes"] > row["shares_bytes"] and row["sealed_bytes"] > 8 * row["keeper_sealed_bytes"] / 4
    assert row["liars_named"] == [1] and row["proof_shared_bytes"] > row["proof_bytes"]
    assert "Keys shared among a committee" in capsys.readouterr().out


def test_larger_committees_are_measured_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("quatrefoil.cli.bench_committee.SIZES", (16,))
    run("--parameters", "900", "--sizes", "--json", str(tmp_path / "rows.json"))
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [(row["members"], row["recovery"], row["privacy"]) for row in rows] == [(8, 5, 3), (16, 11, 7)]
    assert rows[1]["sealed_bytes"] > rows[0]["sealed_bytes"] and rows[1]["liars_named"] == [1]
    assert "of 16" in capsys.readouterr().out


@pytest.mark.parametrize("members", SIZES)
def test_there_is_a_threshold_for_every_size(members: int) -> None:
    fitting = Threshold.fitting(members=members, silent=members // 4, liars=1, colluding=3 * members // 8)
    assert fitting.privacy >= 3 * members // 8 and fitting.recovery <= members - members // 4 - 1


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match="no keys"):
        run("--members", "4")
    with pytest.raises(ParametersRefused, match="0 parameters"):
        measure_committee(0, Threshold(5, 3, 1), 0, lambda _: None)
