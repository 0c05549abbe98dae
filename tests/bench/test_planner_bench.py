"""Predictions beside runs: what is compared with what, by made-up runs; and that real rounds are as they are priced."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.planner.made_up import TRAINING, make_available, make_costs, policy

from quatrefoil.bench import planner as bench
from quatrefoil.bench.around_rounds import _moved
from quatrefoil.bench.planner import compared, measure_planner
from quatrefoil.bench.runs.cases import built_in
from quatrefoil.bench.runs.links import linked
from quatrefoil.bench.runs.measured import PhaseRun
from quatrefoil.bench.runs.rounds import Training, run_rounds
from quatrefoil.errors import CallerError
from quatrefoil.planner import PlannedPhase, plan
from quatrefoil.planner.estimate import SIGNED, VERIFIED, VERIFIED_EACH
from quatrefoil.policy import Policy
from quatrefoil.transport import PostQuantumTransport


def planned(kind: str, layers: dict[str, str], ms: float, sent: int, rounds: int = 1) -> PlannedPhase:
    data = {"keys": "key", "collect": "update", "aggregate": "update", "audit": "log"}.get(kind, "record")
    chosen = {"layers": tuple(layers), "backends": tuple(layers.values()), "predicted_ms": ms, "predicted_bytes": sent}
    given = {field.name: () for field in fields(PlannedPhase)}  # whatever else a phase says
    return PlannedPhase(**{**given, "name": "one", "kind": kind, "data": data, "rounds": rounds, **chosen})  # type: ignore[arg-type]


SERVED = {"transport": "pq-tls", "enclave": "tdx"}
ENCRYPTED = {"transport": "pq-tls", "aggregation": "ckks"}


def test_all_passes_of_a_phase_are_compared_together() -> None:
    row = compared("w", "routed", planned("collect", ENCRYPTED, 10.0, 7, rounds=15), PhaseRun("one", 5.0, 160.0, 105))
    assert row["predicted_ms"] == 150.0 and row["measured_ms"] == 160.0 and row["passes"] == 15
    assert row["ratio"] == pytest.approx(150 / 160) and row["within"] is True and row["bytes_ratio"] == 1.0


@pytest.mark.parametrize("kind", ["infer", "score", "summarise", "count"])
def test_where_the_models_computing_is_left_out_it_is_taken_from_the_run(kind: str) -> None:
    run = PhaseRun("one", 80.0, 90.0, 1)
    served, encrypted = (compared("w", "r", planned(kind, way, 10.0, 1), run) for way in (SERVED, ENCRYPTED))
    assert served["measured_ms"] == 10.0 and served["within"] is True
    assert served["compared_with"] == "what protection added" and "model's own computing" in served["excluded"]
    assert encrypted["measured_ms"] == 90.0 and encrypted["within"] is False
    assert encrypted["compared_with"] == "all of the phase"


@pytest.mark.parametrize(
    ("predicted", "within"), [(75.0, True), (125.0, True), (74.9, False), (125.1, False), (0.0, False), (1e6, False)]
)
def test_within_a_quarter_of_the_run(predicted: float, within: bool) -> None:
    row = compared("w", "r", planned("audit", {}, predicted, 0), PhaseRun("one", 1.0, 100.0, 0))
    assert row["within"] is within and row["bytes_ratio"] is None


@pytest.mark.parametrize(("plain", "ms"), [(10.0, 10.0), (10.0, 9.0)])
def test_a_run_that_added_nothing_has_no_ratio_to_claim(plain: float, ms: float) -> None:
    row = compared("w", "r", planned("infer", SERVED, 5.0, 1), PhaseRun("one", plain, ms, 1))
    assert row["ratio"] is None and row["within"] is None


@pytest.mark.parametrize(
    "changed", [{"names": []}, {"repeats": 0}, {"seconds": 0.0}, {"seconds": float("nan")}, {"seconds": 3601.0}]
)
def test_what_measures_nothing_is_refused(changed: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"names": ["credit-scoring"], "repeats": 3, "progress": lambda _: None, **changed}
    with pytest.raises(CallerError, match="measure nothing"):
        measure_planner(**asked)


def test_a_workload_that_is_not_there() -> None:
    with pytest.raises(CallerError, match="no workload 'none' is run"):
        measure_planner(["none"], 1, lambda _: None)


class MadeUp:
    """Takes twice as long as it is planned for, in every phase."""

    def execute(self, workload: Any, plan: Any) -> tuple[PhaseRun, ...]:
        return tuple(PhaseRun(p.name, 0.0, 2 * p.predicted_ms * p.rounds, p.predicted_bytes) for p in plan.phases)


def test_every_phase_of_the_plan_has_a_row() -> None:
    costs, available = make_costs(), make_available()
    case = bench.Case(TRAINING, policy({"recorder"}), lambda _: None)  # type: ignore[arg-type, return-value]
    rows = list(bench._compared(case, MadeUp(), costs, available, every_route=False))  # type: ignore[arg-type]
    assert [row["phase"] for row in rows] == [phase.name for phase in TRAINING.phases]
    assert all(row["ratio"] == pytest.approx(0.5) and row["within"] is False for row in rows)
    together = bench._together(case, costs, available, rows)
    assert together["ratio"] == pytest.approx(0.5) and together["planning_ms"] > 0
    assert plan(TRAINING, case.policy, costs, available).phases[1].predicted_ms == pytest.approx(
        rows[1]["predicted_ms"] / 3
    )


# ------------------------------------------------------------------------------------------- statements of a round


def test_a_round_signs_and_verifies_as_often_as_it_is_priced_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collecting: a silo verifies twice and signs once, and is verified once. Keys: as the constants say. The sum: two
    signatures, and at most five of the eight that are verified where each of the silos takes it on its own machine."""
    silos, rounds, calls = 3, 2, Counter[str]()
    for name in ("sign", "sign_bare", "verify", "verify_bare", "seal"):
        real = getattr(PostQuantumTransport, name)

        def counted(self: Any, *given: Any, _real: Any = real, _name: str = name, **named: Any) -> Any:
            calls[_name.partition("_")[0]] += 1
            return _real(self, *given, **named)

        monkeypatch.setattr(PostQuantumTransport, name, counted)
    found: list[Counter[str]] = []
    for number in (0, 1):
        calls.clear()
        place = tmp_path / str(number)
        (place / "rounds").mkdir(parents=True)
        data = {f"silo-{n}": (np.zeros((1, 1)), np.zeros(1)) for n in range(silos)}
        with linked(place / "links", "hybrid-768") as links:
            run_rounds(
                Training(data, [np.zeros(5)], _moved),
                policy=Policy.load(built_in("hospital-group")),
                plan=bytes(32),
                aggregation="additive-rlwe",
                proofs="bounded-update",
                rounds=1 + number * (rounds - 1),
                links=links,
                folder=place / "rounds",
                progress=lambda _: None,
            )
        found.append(Counter(calls))
    a_round = {name: found[1][name] - found[0][name] for name in ("sign", "verify", "seal")}
    assert a_round["seal"] == silos
    assert a_round["sign"] == silos + (SIGNED - 1 + silos) + 2, "each silo confirms with a signature of its own"
    confirmed, collected, taken = 2 * (silos - 1), 3 * silos, 1 + 4 * silos
    assert a_round["verify"] == collected + VERIFIED + VERIFIED_EACH * silos + confirmed + taken
