"""What the planner predicts beside what runs: phase by phase, on three whole workloads, with costs measured before.

The same plan is predicted and run. A phase's prediction is compared with all that the phase took; where predictions
leave the model's own computing out (``excluded``), with what protection added to the same work in the clear. All passes
of a phase count together. Proofs of answers are made when nobody waits, and no phase here has them: they are compared
apart, and counted apart.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from quatrefoil.bench.calibrated import measure_costs
from quatrefoil.bench.planner_proofs import measure_predicted_proofs
from quatrefoil.bench.routing import CONDITION, ENCLAVE
from quatrefoil.bench.runs.cases import CASES, Case, case, for_a_quick_run
from quatrefoil.bench.runs.execution import Run
from quatrefoil.bench.runs.measured import PhaseRun
from quatrefoil.errors import CallerError
from quatrefoil.planner import Availability, Costs, Plan, plan
from quatrefoil.planner.blanket import all_choices, price
from quatrefoil.planner.estimate import SERVED
from quatrefoil.planner.host import availability
from quatrefoil.planner.plans import PlannedPhase
from quatrefoil.workload import Workload

REACH = 0.25
"""How far a prediction may be from the run, as a part of the run."""

PLANNINGS = 50
Progress = Callable[[str], None]
Row = dict[str, Any]


class Runs(Protocol):
    """What runs a workload under any plan of it."""

    def execute(self, workload: Workload, plan: Plan) -> Sequence[PhaseRun]: ...


def measure_planner(
    names: Sequence[str],
    repeats: int,
    progress: Progress,
    *,
    seconds: float = 20.0,
    quick: bool = False,
    every_route: bool = False,
    costs: Costs | None = None,
) -> dict[str, Any]:
    """``rows``: one for each phase and route, which ``within`` and ``compared`` count. ``workloads``: one for each, as
    routed. ``answers``: proofs of answers, as of ``measure_predicted_proofs``. ``costs``: to predict from; measured
    before, for about ``seconds``, where none are given. ``every_route``: also those under one choice of layers for all
    phases."""
    if not names or repeats < 1 or not 0 < seconds <= 3600:
        raise CallerError(
            f"{len(names)} workloads, {repeats} runs and {seconds:g} s measure nothing",
            hint=f"Choose of {', '.join(CASES)}, 3 runs and 20 s",
        )
    cases = [for_a_quick_run(case(name), ("infer",)) if quick else case(name) for name in names]
    available = availability(keeper=(ENCLAVE,), server=(ENCLAVE,))
    if costs is None:
        costs = measure_costs(available, seconds=seconds, threads=(1,), progress=progress)
    rows: list[Row] = []
    workloads: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="quatrefoil-bench-") as folder:
        for one in cases:
            name = one.workload.name
            progress(f"{name}: preparing")
            with Run(
                Path(folder) / name, one.contents(one.workload), one.policy, repeats=repeats, progress=progress
            ) as run:
                found = list(_compared(one, run, costs, available, every_route=every_route))
            rows += found
            workloads.append(_together(one, costs, available, found))
    return {
        "condition": CONDITION,
        "quick": quick,
        "reach": REACH,
        "within": sum(row["within"] is True for row in rows),
        "compared": sum(row["within"] is not None for row in rows),
        "workloads": workloads,
        "rows": rows,
        "answers": measure_predicted_proofs(costs, repeats, REACH, progress, quick=quick),
    }


def _compared(one: Case, run: Runs, costs: Costs, available: Availability, *, every_route: bool) -> Iterator[Row]:
    """The routed plan, and then what other choices have that is not in it."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for route, made in _plans(one, costs, available, every_route=every_route):
        for phase, planned in zip(run.execute(one.workload, made), made.phases, strict=True):
            if (planned.name, planned.backends) not in seen:
                seen.add((planned.name, planned.backends))
                yield compared(one.workload.name, route, planned, phase)


def _plans(one: Case, costs: Costs, available: Availability, *, every_route: bool) -> Iterator[tuple[str, Plan]]:
    yield "routed", plan(one.workload, one.policy, costs, available)
    for layers in all_choices() if every_route else ():
        blanket = price(one.workload, one.policy, costs, available, layers)
        if blanket.plan is not None and not blanket.cannot and not blanket.unanswered:
            yield "+".join(layers), blanket.plan


def compared(workload: str, route: str, planned: PlannedPhase, run: PhaseRun) -> Row:
    """``ratio``: of the prediction to what it is compared with; None where that is nothing."""
    predicted = planned.predicted_ms * planned.rounds
    added_only = planned.kind in SERVED and "aggregation" not in planned.layers
    measured = run.added_ms if added_only else run.ms
    ratio = predicted / measured if measured > 0 else None
    sent = planned.predicted_bytes * planned.rounds
    return {
        "workload": workload,
        "route": route,
        "phase": planned.name,
        "kind": planned.kind,
        "backends": list(planned.backends),
        "passes": planned.rounds,
        "predicted_ms": predicted,
        "measured_ms": measured,
        "compared_with": "what protection added" if added_only else "all of the phase",
        "ms": run.ms,
        "plain_ms": run.plain_ms,
        "ratio": ratio,
        "within": None if ratio is None else abs(ratio - 1) <= REACH,
        "predicted_bytes": sent,
        "bytes": run.bytes,
        "bytes_ratio": sent / run.bytes if run.bytes else None,
        "excluded": planned.excluded or None,
    }


def _together(one: Case, costs: Costs, available: Availability, rows: Sequence[Row]) -> Row:
    routed = [row for row in rows if row["route"] == "routed"]
    predicted, measured = (sum(row[name] for row in routed) for name in ("predicted_ms", "measured_ms"))
    ratio = predicted / measured if measured > 0 else None
    return {
        "workload": one.workload.name,
        "policy": one.policy.name,
        "predicted_ms": predicted,
        "measured_ms": measured,
        "ratio": ratio,
        "within": None if ratio is None else abs(ratio - 1) <= REACH,
        "planning_ms": _planning_ms(one, costs, available),
    }


def _planning_ms(one: Case, costs: Costs, available: Availability) -> float:
    """Of one plan, the slowest of many."""
    times = []
    for _ in range(PLANNINGS):
        begin = time.perf_counter()
        plan(one.workload, one.policy, costs, available)
        times.append((time.perf_counter() - begin) * 1e3)
    return max(times)


__all__ = ["REACH", "Runs", "compared", "measure_planner"]
