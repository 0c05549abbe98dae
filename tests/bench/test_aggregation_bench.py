"""The bench gives every figure that others read, right in shape and in sum; never how fast."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from quatrefoil.aggregation.he.context import context
from quatrefoil.bench.aggregation import measure
from quatrefoil.cli import bench
from quatrefoil.errors import ParametersRefused

FIGURES = ("plain_ms", "encrypt_ms", "serialise_ms", "deserialise_all_ms", "add_ms", "combine_keys_ms", "decrypt_ms")


@pytest.fixture
def without_tenseal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tenseal", None)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    return parser.parse_args(arguments)


def test_a_row_for_each_parameter_set_and_the_missing_peer_is_said(without_tenseal: None) -> None:
    said: list[str] = []
    rows = measure(9_000, 3, 1, said.append)
    assert [row["backend"] for row in rows] == [
        "additive-rlwe/sum-256-w16",
        "additive-rlwe/sum-2048-w32",
        "additive-rlwe/sum-32-w12",
        "ckks/ckks-sum-4096",
    ]
    assert any("tenseal is not installed" in line for line in said)
    for row in rows:
        assert (row["parameters"], row["silos"], row["threads"]) == (9_000, 3, 1)
        assert row["overhead"] == pytest.approx(sum(row[name] for name in FIGURES[1:]) / row["plain_ms"])
        assert 0 < row["max_abs_error"] <= row["error_bound"]
    assert rows[0]["bytes_per_silo"] == 96 + 2 * 32_768


def test_a_million_parameters_take_at_most_a_twentieth_more_than_float32() -> None:
    from quatrefoil.aggregation import ParameterSet
    from quatrefoil.aggregation.ciphertext import HEADER_BYTES

    size = ParameterSet.named("sum-256-w16").layout.block_bytes(1_000_000) + HEADER_BYTES
    assert size <= 1.05 * 4_000_000


def test_twelve_bits_take_at_most_seven_tenths_of_float32() -> None:
    from quatrefoil.aggregation import ParameterSet
    from quatrefoil.aggregation.ciphertext import HEADER_BYTES

    size = ParameterSet.named("sum-32-w12").layout.block_bytes(1_000_000) + HEADER_BYTES
    assert size <= 0.7 * 4_000_000


def test_sets_too_small_for_the_roster_are_left_out(without_tenseal: None) -> None:
    said: list[str] = []
    rows = measure(10, 257, 1, said.append)
    assert [row["backend"] for row in rows] == ["additive-rlwe/sum-2048-w32"]
    assert "ckks-sum-4096 adds at most 256 silos, so it is not measured" in said


def test_without_seal_its_row_is_missing_and_that_is_said(
    without_tenseal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "seal", None)
    context.cache_clear()
    said: list[str] = []
    rows = measure(10, 2, 1, said.append)
    context.cache_clear()
    assert not any(row["backend"].startswith("ckks") for row in rows)
    assert any("seal-python is not installed" in line for line in said)


@pytest.mark.slow
def test_the_peer_is_measured_on_the_same_data() -> None:
    pytest.importorskip("tenseal")
    *_, peer = measure(5_000, 2, 1, lambda _: None)
    assert peer["backend"] == "tenseal"
    assert peer["max_abs_error"] < 1e-6
    assert peer["encrypt_serialise_over_additive"] > 0


@pytest.mark.parametrize(("parameters", "silos"), [(0, 3), (-1, 3), (10, 1), (10, 0), (10, 2049)])
def test_sizes_that_cannot_be_measured(parameters: int, silos: int) -> None:
    with pytest.raises(ParametersRefused):
        measure(parameters, silos, 1, lambda _: None)


def test_the_command_writes_what_it_shows(
    without_tenseal: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    bench.run(parse("aggregation", "--parameters", "500", "--silos", "2", "--json", str(file)))
    written = json.loads(file.read_text())
    assert written["schema"] == "quatrefoil.bench-aggregation/1" and "machine" in written
    assert all(name in row for row in written["rows"] for name in FIGURES)
    shown = capsys.readouterr().out
    assert "sum-256-w16" in shown and "ckks-sum-4096 takes" in shown and "Peer tenseal: not installed" in shown


def test_standard_output_holds_nothing_but_json_when_asked(
    without_tenseal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run(parse("aggregation", "--parameters", "500", "--silos", "2", "--json", "-"))
    assert json.loads(capsys.readouterr().out)["rows"]


def test_a_layer_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse()
    assert stopped.value.code == 2


def test_streams_are_measured_within_their_bound(tmp_path: Path) -> None:
    (row,) = run_bench(tmp_path, "aggregation", "--stream", "--parameters", "20000", "--silos", "2")
    assert row["parameters"] == 20_000 and 0 < row["max_abs_error"] <= row["error_bound"]
    assert row["bytes_per_silo"] > 4 * 20_000 and row["peak_rss_mib"] > 0


def test_accuracy_is_measured_for_the_sum_in_the_clear_and_each_rounding(tmp_path: Path) -> None:
    rows = run_bench(tmp_path, "accuracy", "--rounds", "3", "--seeds", "1", "--silos", "2")
    assert [row["sum"] for row in rows] == ["clear", "sum-256-w16", "sum-32-w12"]
    assert rows[0]["difference"] == 0 and all(row["accuracy"] > 0.3 and row["loss"] > 0 for row in rows)


def run_bench(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """The rows that a bench writes."""
    bench.run(parse(*arguments, "--json", str(folder / "rows.json")))
    rows: list[dict[str, Any]] = json.loads((folder / "rows.json").read_text())["rows"]
    return rows
