"""What the bench inside Flower makes of what its parties wrote; tests/flower runs it whole."""

from __future__ import annotations

from typing import Any

import pytest

from quatrefoil.bench.flower import STEPS, layers_of, measure_flower, messages_of, require_mean, starts_of
from quatrefoil.cli.bench_flower import _sentences
from quatrefoil.errors import HostError, ParametersRefused


def row(step: str, ms: float, cpu_ms: float, size: int = 0, calls: int = 1) -> dict[str, Any]:
    return {"step": step, "calls": calls, "ms": ms, "cpu_ms": cpu_ms, "bytes": size}


SILOS = [
    row("proofs.prove", 1600.0, 300.0, 280_000),  # two silos that shared one core
    row("proofs.prove", 1400.0, 340.0, 280_000),
    row("flower.message", 2000.0, 500.0, 900),
    row("flower.message", 4000.0, 700.0, 900),
    row("training", 9.0, 9.0),
]
AGGREGATOR = [row("flower.exchange", 14_000.0, 30.0, 2_000, calls=2), row("proofs.verify", 1.0, 1.0)]


def test_a_layer_is_the_mean_of_the_silos_in_processor_time_and_on_the_clock() -> None:
    layers = {one["step"]: one for one in layers_of(SILOS, 2)}
    assert list(layers) == list(STEPS)
    assert (layers["proofs.prove"]["cpu_ms"], layers["proofs.prove"]["ms"]) == (320.0, 1500.0)
    assert layers["proofs.prove"]["bytes"] == 280_000
    assert layers["aggregation.encrypt"]["ms"] == 0.0


def test_what_flower_takes_to_carry_a_message_is_without_what_the_silo_did_with_it() -> None:
    found = messages_of(SILOS, AGGREGATOR, 2)
    assert found["per_silo"] == 1 and found["bytes_per_silo"] == 1000
    assert found["carried_s_per_message"] == pytest.approx((14.0 - 6.0) / 2)
    assert found["silo_cpu_ms_per_message"] == pytest.approx(600.0)


@pytest.mark.parametrize(
    ("silos", "aggregator"),
    [(SILOS[:3], AGGREGATOR), (SILOS, AGGREGATOR[1:]), ([], []), (SILOS, [row("flower.exchange", 1, 1, calls=3)])],
)
def test_messages_that_were_lost_or_repeated_are_in_no_figure(
    silos: list[dict[str, Any]], aggregator: list[dict[str, Any]]
) -> None:
    with pytest.raises(HostError, match="exchanged"):
        messages_of(silos, aggregator, 2)


def test_starts_are_counted_a_silo() -> None:
    assert starts_of([(1000.0, 300.0), (1200.0, 200.0)], 2) == {
        "per_silo": 1.0,
        "flower_cpu_ms": 1100.0,
        "app_cpu_ms": 250.0,
    }


@pytest.mark.parametrize(("first", "rounds"), [(0.0, 1), (0.01, 2), (0.0112, 1), (float("nan"), 1)])
def test_a_wrong_model_is_not_measured(first: float, rounds: int) -> None:
    require_mean("plain", 0.01 * rounds, rounds)
    with pytest.raises(HostError, match="the confidential model is"):
        require_mean("confidential", first, rounds)


@pytest.mark.parametrize("shape", [(2, 1, 1), (3, 0, 1), (3, 1, 0)])
def test_shapes_that_no_job_has_are_refused_before_anything_starts(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ParametersRefused, match="at least 3 silos"):
        measure_flower(*shape, progress=lambda line: pytest.fail(line))


def test_what_is_printed_says_which_time_is_whose() -> None:
    starts = starts_of([(1000.0, 300.0)], 1)
    said = " ".join(
        _sentences(
            {
                "silos": 2,
                "layers_cpu_ms_per_silo_and_round": 320.0,
                "layers_ms_per_silo_and_round": 1500.0,
                "messages": messages_of(SILOS, AGGREGATOR, 2),
                "starts": {"plain": starts, "confidential": starts},
                "calibration_s": 4.0,
            }
        )
    )
    assert "320 ms of processor time" in said and "1500 ms on the clock, while 2 silos" in said
    assert "4.0 s to carry one" in said and "4.0 s of calibration" in said
