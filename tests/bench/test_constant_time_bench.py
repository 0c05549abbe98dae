"""The t-test finds what differs and nothing else, and the bench gives a row for each step; never how long one took."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from quatrefoil import _core, cli
from quatrefoil.bench import constant_time
from quatrefoil.bench.constant_time import CASES, CONTROL, LEAK, NOT_CLAIMED, SUSPICIOUS, largest_t, verdict
from quatrefoil.errors import ParametersRefused

MEASUREMENTS = 20_000


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def classes(generator: np.random.Generator) -> np.ndarray:
    return generator.random(MEASUREMENTS) < 0.5


def test_times_of_one_law_are_not_told_apart(generator: np.random.Generator, classes: np.ndarray) -> None:
    assert largest_t(generator.gamma(3, 100, MEASUREMENTS), classes)[0] < SUSPICIOUS


def test_a_shift_of_a_hundredth_is_found(generator: np.random.Generator, classes: np.ndarray) -> None:
    t, _ = largest_t(generator.normal(10_000, 500, MEASUREMENTS) + 100 * classes, classes)
    assert t >= LEAK


def test_a_shift_under_interruptions_is_found_by_the_crops(generator: np.random.Generator, classes: np.ndarray) -> None:
    """A few times are a thousand times as long, which hides a shift from a test of all of them."""
    times = generator.normal(10_000, 50, MEASUREMENTS) + 20 * classes
    times[generator.random(MEASUREMENTS) < 0.01] *= 1000
    t, of = largest_t(times, classes)
    assert t >= LEAK and of.startswith("lowest")


def test_a_difference_in_spread_alone_is_found(generator: np.random.Generator, classes: np.ndarray) -> None:
    times = generator.normal(10_000, 50, MEASUREMENTS) * 1.0
    times = 10_000 + (times - 10_000) * np.where(classes, 1.2, 1.0)
    t, of = largest_t(times, classes)
    assert t >= LEAK and of == "spread"


def test_constant_times_say_nothing(classes: np.ndarray) -> None:
    assert largest_t(np.full(MEASUREMENTS, 7.0), classes)[0] == 0.0


def test_the_verdict_is_by_the_thresholds() -> None:
    assert [verdict(t) for t in (0.0, 4.4, 4.5, 9.9, 10.0)] == ["none seen", "none seen", "unclear", "unclear", "leak"]


def test_every_case_is_of_a_step_that_can_be_timed() -> None:
    steps = set(_core.timed_steps())
    assert {case.step for case in (CONTROL, *CASES, *NOT_CLAIMED)} == steps


def test_a_row_for_each_case_and_copy_and_the_processor_is_left_as_it_was() -> None:
    said: list[str] = []
    rows = constant_time.measure_constant_time(1000, said.append, levels=["portable"])
    assert [(row["step"], row["fixed"]) for row in rows] == [(c.step, c.what) for c in (CONTROL, *CASES, *NOT_CLAIMED)]
    assert all(row["level"] == "portable" and row["t"] >= 0 and row["ticks_fixed"] > 0 for row in rows)
    assert {row["step"] for row in rows if not row["claimed"]} == {
        "leaky control",
        "encryption, values",
        "encryption, float32",
    }
    assert len(said) == len(rows)


@pytest.mark.parametrize("measurements", [0, -1, 999])
def test_too_few_measurements_are_refused(measurements: int) -> None:
    with pytest.raises(ParametersRefused, match="are fewer than 1000"):
        constant_time.measure_constant_time(measurements, lambda _: None)


def test_the_kernel_refuses_steps_and_classes_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="no step"):
        _core.time_step("nothing", 0, b"\0", bytes(32))
    for step, word in (
        ("encryption, values", 1 << 63 | 0x7FF << 52),
        ("encryption, float32", 0x7FC00000),
        ("key sum", 43),
    ):
        with pytest.raises(ValueError, match="does not take the word"):
            _core.time_step(step, word, b"\0", bytes(32))
    with pytest.raises(ValueError, match="class 2"):
        _core.time_step("key sum", 0, b"\0\1\2", bytes(32))
    with pytest.raises(ValueError, match="31 bytes"):
        _core.time_step("key sum", 0, b"\0", os.urandom(31))
    assert len(_core.time_step("key sum", 0, b"\0\1\1", bytes(32))) == 3
    assert len(_core.time_step("key sum", 0, b"", bytes(32))) == 0


def test_the_command_says_when_it_could_see_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"level": "portable", "step": case.step, "fixed": case.what, "claimed": case in CASES, "t": 3.0}
        | {"measurements": 900, "of": "all", "ticks_fixed": 9.0, "ticks_random": 9.0, "verdict": "none seen"}
        for case in (CONTROL, CASES[0])
    ]
    monkeypatch.setattr("quatrefoil.cli.bench_constant_time.measure_constant_time", lambda *_: rows)
    assert cli.main(["bench", "constant-time", "--json", str(tmp_path / "times.json")]) == 0
    assert "this run saw nothing" in capsys.readouterr().out
    content = json.loads((tmp_path / "times.json").read_text())
    assert content["schema"] == "quatrefoil.bench-constant-time/1" and content["rows"] == rows
    assert (content["suspicious"], content["leak"]) == (SUSPICIOUS, LEAK)
