"""Three whole workloads, each phase on its own route, beside one choice of layers for all phases that answers the same.

Everything that is compared has run here, in full and checked, and every choice answers every threat that the policy
names: one that leaves some open, or that cannot run, is listed with what it lacks and without a time. A phase that is
the same under two choices is one measurement. A choice counts as one for all phases only where no phase takes a layer
that it does not name: where a phase cannot do without such a layer and others are spared it, somebody has routed by
hand. Such a choice is listed with its time, apart. What is saved is said of what protection adds to the work in the
clear: 1 - added by routing / added by the cheapest such choice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quatrefoil import stack
from quatrefoil.bench.runs.cases import CASES, Case, case, for_a_quick_run
from quatrefoil.bench.runs.execution import Run
from quatrefoil.bench.runs.measured import PhaseRun
from quatrefoil.errors import CallerError
from quatrefoil.planner import Availability, Costs, Plan, plan
from quatrefoil.planner.blanket import Blanket, all_choices, price
from quatrefoil.planner.host import availability
from quatrefoil.workload import Phase, Workload

Progress = Callable[[str], None]

ENCLAVE = "sev-snp"
CONDITION = (
    f"planned as if keeper and server had {ENCLAVE}; their evidence here is that of a TPM in software, and nothing "
    "isolates them: what the hardware itself takes is not in any figure"
)

CONTROLS: Mapping[str, tuple[str, ...]] = {
    "hospital-training-and-serving": ("channels", "collect", "aggregate", "keys", "audit"),
    "credit-scoring": ("channel", "score", "audit"),
    "nightly-analytics": ("channel", "registry", "audit"),
}
"""Phases of each workload that mix nothing: routing has nothing to save on them."""

_AND = "+"
_COUNTED = ("infer", "score", "summarise", "count")


@dataclass(frozen=True)
class Choice:
    """One way through a workload: ``name``, its plan, and what every phase of it took."""

    name: str
    plan: Plan
    runs: tuple[PhaseRun, ...]

    @property
    def ms(self) -> float:
        return sum(run.ms for run in self.runs)

    @property
    def plain_ms(self) -> float:
        return sum(run.plain_ms for run in self.runs)

    @property
    def added_ms(self) -> float:
        return sum(run.added_ms for run in self.runs)


def measure_routing(
    names: Sequence[str], repeats: int, progress: Progress, *, quick: bool = False, costs: Costs | None = None
) -> dict[str, Any]:
    """``rows``: one for each workload; ``controls``: parts of them that mix nothing. ``costs``: to plan with; measured
    here if none are given."""
    if not names or repeats < 1:
        raise CallerError("no workload, or no run, measures nothing", hint=f"Choose of {', '.join(CASES)}, and 3")
    cases = [for_a_quick_run(case(name), _COUNTED) if quick else case(name) for name in names]
    available = availability(keeper=(ENCLAVE,), server=(ENCLAVE,))
    if costs is None:
        progress("measuring this host for the planner")
        costs = stack.measure_host(available)
    rows, controls = [], []
    with tempfile.TemporaryDirectory(prefix="quatrefoil-bench-") as folder:
        for one in cases:
            name = one.workload.name
            progress(f"{name}: preparing")
            contents = one.contents(one.workload)
            with Run(Path(folder) / name, contents, one.policy, repeats=repeats, progress=progress) as run:
                rows.append(_row(one, run, costs, available))
                controls.append(_row(_part(one, CONTROLS[name]), run, costs, available))
    return {"condition": CONDITION, "quick": quick, "repeats": repeats, "rows": rows, "controls": controls}


def saved_fraction(routed: float, blankets: Collection[float]) -> float | None:
    """Of what is added: the share that routing does not add. None where no blanket choice answers the same threats, or
    the cheapest adds nothing."""
    cheapest = min(blankets, default=0.0)
    return 1 - routed / cheapest if cheapest > 0 else None


def _row(one: Case, run: Run, costs: Costs, available: Availability) -> dict[str, Any]:
    workload = one.workload
    made = plan(workload, one.policy, costs, available)
    routed = Choice("routed", made, run.execute(workload, made))
    priced = [price(workload, one.policy, costs, available, layers) for layers in all_choices()]
    equal = [
        Choice(_name(blanket), blanket.plan, run.execute(workload, blanket.plan))
        for blanket in priced
        if blanket.plan is not None and not blanket.unanswered and not blanket.broken
    ]
    further = {choice.name: used for choice in equal if (used := _further(choice))}
    blankets = [choice for choice in equal if choice.name not in further]
    saved = saved_fraction(routed.added_ms, [blanket.added_ms for blanket in blankets])
    return {
        "workload": workload.name,
        "policy": one.policy.name,
        "threats": list(one.policy.threats),
        "shape": {phase.name: _shape(phase) for phase in workload.phases},
        "plain_ms": routed.plain_ms,
        "routed_ms": routed.ms,
        "blanket_ms": {blanket.name: blanket.ms for blanket in blankets},
        "cheapest": min(blankets, key=lambda blanket: blanket.added_ms).name if blankets else None,
        "saved_fraction": saved,
        "not_one_choice": {
            choice.name: {"takes": further[choice.name], "ms": choice.ms, "routed": _same(choice, routed)}
            for choice in equal
            if choice.name in further
        },
        "unanswered": {_name(b): [f"{u.threat} in {u.phase}" for u in b.unanswered] for b in priced if b.unanswered},
        "cannot": {_name(b): [*b.cannot, *b.broken] for b in priced if b.cannot or b.broken},
        "plan": made.route().digest().hex(),
        "phases": [_phase_row(position, phase, routed, blankets) for position, phase in enumerate(workload.phases)],
    }


def _phase_row(position: int, phase: Phase, routed: Choice, blankets: Sequence[Choice]) -> dict[str, Any]:
    run, planned = routed.runs[position], routed.plan.phases[position]
    return {
        "phase": phase.name,
        "kind": phase.kind,
        "site": phase.site,
        "backends": list(planned.backends),
        "plain_ms": run.plain_ms,
        "routed_ms": run.ms,
        "routed_bytes": run.bytes,
        "predicted_ms": planned.predicted_ms * planned.rounds,
        "blanket": {
            blanket.name: {
                "backends": list(blanket.plan.phases[position].backends),
                "ms": blanket.runs[position].ms,
                "bytes": blanket.runs[position].bytes,
            }
            for blanket in blankets
        },
    }


def _further(choice: Choice) -> list[str]:
    """Layers that some phase takes and the choice does not name, because that phase cannot do without: where others are
    spared them, that is a route by phase, and no one choice for all."""
    named = set(choice.name.split(_AND))
    return [f"{layer} in {phase.name}" for phase in choice.plan.phases for layer in phase.layers if layer not in named]


def _same(choice: Choice, routed: Choice) -> bool:
    return [phase.backends for phase in choice.plan.phases] == [phase.backends for phase in routed.plan.phases]


def _name(blanket: Blanket) -> str:
    return _AND.join(blanket.layers)


def _shape(phase: Phase) -> str:
    sizes = {
        "silos": phase.silos,
        "parameters": phase.parameters,
        "hidden": phase.hidden,
        "batch": phase.batch,
        "bytes": phase.message_bytes,
        "rounds": phase.rounds if phase.rounds > 1 else 0,
    }
    return f"{phase.kind}: " + ", ".join(f"{value} {size}" for size, value in sizes.items() if value)


def _part(one: Case, names: Collection[str]) -> Case:
    phases = tuple(phase for phase in one.workload.phases if phase.name in names)
    return replace(one, workload=Workload(f"{one.workload.name}-part", phases))


__all__ = ["CONDITION", "CONTROLS", "measure_routing", "saved_fraction"]
