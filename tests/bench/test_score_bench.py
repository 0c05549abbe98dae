"""The bench of encrypted scoring gives every way a row, correct scores in each, and says when the peer is missing."""

from __future__ import annotations

import argparse
import json
import sys

import pytest

from quatrefoil.bench.score import PUBLIC, SETS, measure_score
from quatrefoil.bench.score_network import measure_network
from quatrefoil.cli import bench
from quatrefoil.errors import CallerError


def run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    bench.run(parser.parse_args(["score", *arguments]))


def test_every_way_has_a_row_and_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tenseal")
    run("--rows", "20", "--columns", "3", "--hidden", "4", "--repeats", "1", "--json", "-")
    found = json.loads(capsys.readouterr().out)
    rows, network = found["rows"], found["network"]
    assert [row["way"] for row in rows][1:4] == list(SETS)
    for secret, public, name in zip(rows[1:3], rows[4:6], PUBLIC, strict=True):
        assert public["way"] == f"{name}, public key" and public["error_bound"] > secret["error_bound"]
    assert [row["way"] for row in rows][6:] == ["tenseal, a vector a row", "tenseal, a vector a column"]
    for row in rows[1:]:
        assert row["max_abs_error"] <= (row["error_bound"] if row["error_bound"] is not None else 1e-3)
        assert row["total_ms"] == pytest.approx(row["encrypt_ms"] + row["compute_ms"] + row["decrypt_ms"])
    assert all(row["over_ours"] == pytest.approx(row["total_ms"] / rows[1]["total_ms"]) for row in rows[6:])
    assert rows[3]["max_abs_error"] == 0.0
    ways = [row["way"] for row in network]
    assert ways == ["plain ONNX Runtime", "plain numpy", "ckks-network-8192", "tenseal, a vector"]
    assert network[2]["max_abs_error"] <= network[2]["error_bound"] < 1e-2
    assert all(row["sent_bytes"] > row["answer_bytes"] > 100_000 for row in network[2:])
    assert network[0]["max_abs_error"] < 1e-4 and network[3]["max_abs_error"] < 1e-3


def test_the_missing_peer_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "tenseal", None)
    run("--rows", "5", "--columns", "2", "--hidden", "2", "--repeats", "1")
    shown = capsys.readouterr()
    assert "Peer tenseal: not installed" in shown.out and "quatrefoil[bench]" in shown.err


@pytest.mark.parametrize("shape", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (10**7, 1, 1), (1, 1000, 1)])
def test_sizes_that_are_not_measured(shape: tuple[int, int, int]) -> None:
    with pytest.raises(CallerError, match="are not measured"):
        measure_score(*shape, lambda _: None)


@pytest.mark.parametrize("shape", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1025, 1, 1), (1, 257, 1)])
def test_networks_that_are_not_measured(shape: tuple[int, int, int]) -> None:
    with pytest.raises(CallerError, match="are not measured"):
        measure_network(*shape, lambda _: None)
