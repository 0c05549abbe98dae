"""The kernel's bench gives every figure for every copy of the hot loops, and leaves the process as it found it."""

from __future__ import annotations

import argparse
import json
import stat
from pathlib import Path

import numpy as np
import pytest

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.bench import instructions, kernel
from quatrefoil.cli import bench
from quatrefoil.contracts import SumShape
from quatrefoil.errors import DependencyMissing, HostError, ParametersRefused

LEVELS = _core.processor_levels()
LAYOUT = ParameterSet.named("sum-256-w16").layout


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "REPETITIONS", 1)
    monkeypatch.setattr(kernel, "_CEILING_BYTES", 1 << 20)


def run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    bench.configure(parser)
    bench.run(parser.parse_args(["kernel", *arguments]))


def test_every_copy_of_the_hot_loops_has_its_rows(quick: None) -> None:
    measured = kernel.measure_kernel(9_000, lambda _: None)
    assert [row["level"] for row in measured["operations"]] == LEVELS
    assert [row["level"] for row in measured["steps"]] == LEVELS
    for row in (measured["ceilings"], *measured["operations"], *measured["steps"]):
        assert all(value > 0 for key, value in row.items() if key != "level")
    for row in measured["operations"]:
        assert row["add_over_plain"] == pytest.approx(row["add_ms"] / row["plain_uint64_ms"])
        assert row["encrypt_m_per_s"] == pytest.approx(9_000 / row["encrypt_ms"] / 1e3)


def test_afterwards_the_best_copy_runs_and_a_round_is_kept(quick: None) -> None:
    with pytest.raises(RuntimeError), kernel.limited_to("portable"):
        raise RuntimeError("a step that fails")
    backend, shape = AdditiveAggregation(ParameterSet.named("sum-256-w16")), SumShape(10, 1.0, b"k" * 32)
    before = _core.masks_expanded()
    for _ in range(2):
        backend.encrypt(np.zeros(10), weight=1.0, shape=shape)
    assert _core.masks_expanded() == before + 1


@pytest.mark.parametrize("parameters", [0, -1])
def test_sizes_that_cannot_be_measured(parameters: int) -> None:
    with pytest.raises(ParametersRefused):
        kernel.measure_kernel(parameters, lambda _: None)


@pytest.mark.parametrize("step", ["", "sum", "Mask"])
def test_unknown_steps_are_refused(step: str) -> None:
    with pytest.raises(ValueError, match="no step"):
        _core.run_step(LAYOUT, step, 1)


def test_the_command_writes_what_it_shows(quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--parameters", "500", "--json", str(tmp_path / "kernel.json"))
    written = json.loads((tmp_path / "kernel.json").read_text())
    assert written["schema"] == "quatrefoil.bench-kernel/1" and written["instructions"] is None
    shown = capsys.readouterr().out
    assert "add over plain" in shown and "product of polynomials" in shown and all(level in shown for level in LEVELS)


def test_instructions_without_valgrind_are_an_error_and_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(instructions.shutil, "which", lambda _: None)
    with pytest.raises(DependencyMissing, match="valgrind is not installed"):
        run("--instructions", "--parameters", "500")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("script", ["echo 'cannot run here' >&2; exit 1", "echo 'no count' >&2"])
def test_a_valgrind_that_counts_nothing_is_an_error(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "valgrind"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(instructions.shutil, "which", lambda _: str(broken))
    with pytest.raises(HostError, match="valgrind counted nothing for keystream"):
        instructions.count_instructions(lambda _: None)


@pytest.mark.slow
@pytest.mark.skipif(instructions.shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_instructions_of_every_step_are_counted() -> None:
    rows = instructions.count_instructions(lambda _: None)
    assert [row["level"] for row in rows] == [level for level in instructions.COUNTED if level in LEVELS]
    assert all(row[step] > 1_000 for row in rows for step in kernel.STEPS)
