"""Policy and workload and costs to a plan. A pure function: no clock, no files, no devices.

For every phase, all combinations of allowed and available backends are tried. One is acceptable when it holds every
layer that the phase needs, answers every threat that the policy names and the phase is exposed to, and keeps to the
requirements. Of the acceptable ones, those with the fewest stand-ins win, of these those whose keeper or server is
isolated from its host, and of these the cheapest. The rounds of a workload share one aggregation backend, because what
one silo encrypts the others must be able to add; where rows are computed on, each phase has its own. When a phase has
no acceptable combination, nothing is planned: ``PhaseUnprotected`` says which phase, which threat, and what would do.
"""

from __future__ import annotations

from dataclasses import dataclass

from quatrefoil.errors import PhaseUnprotected
from quatrefoil.planner import reasons, threats
from quatrefoil.planner.availability import Availability
from quatrefoil.planner.costs import Costs
from quatrefoil.planner.options import Choice, Options
from quatrefoil.planner.plans import Plan, PlannedPhase
from quatrefoil.policy import ISOLATION, STAND_INS, Policy
from quatrefoil.workload import Phase, Workload


def plan(workload: Workload, policy: Policy, costs: Costs, available: Availability) -> Plan:
    """The plan, or ``PhaseUnprotected`` naming every phase that nothing available satisfies.

    ``PolicyInvalid`` when ``costs`` lack a figure for a backend that is allowed and available.
    """
    options = Options.of(workload, policy, costs, available)
    attempts = [_attempt(options, workload, backend) for backend in options.shared(workload)]
    routed = [attempt for attempt in attempts if not attempt.faults]
    if not routed:
        faults = min(attempts, key=lambda attempt: len(attempt.faults)).faults
        raise PhaseUnprotected(
            "; ".join(faults),
            hint="Take a threat out of the policy only if you accept it: the plan then lists it as unprotected",
        )
    best = min(routed, key=lambda attempt: attempt.rank)
    return assembled(options, workload, best.choices, best.shared)


def assembled(options: Options, workload: Workload, choices: tuple[Choice, ...], shared: str) -> Plan:
    """The plan of one choice for each phase, with what it answers, leaves open and refuses."""
    phases = tuple(_planned(options, *pair, shared) for pair in zip(workload.phases, choices, strict=True))
    everywhere = {t for phase in workload.phases for t in threats.exposed(phase.kind, phase.data, phase.site)}
    used = {pair for phase in phases for pair in zip(phase.layers, phase.backends, strict=True)}
    return Plan(
        workload=workload.name,
        workload_digest=workload.digest(),
        policy=options.policy.name,
        policy_digest=options.policy.digest(),
        unprotected=tuple(
            left
            for phase, planned in zip(workload.phases, phases, strict=True)
            for left in reasons.unprotected(options, phase, planned)
        ),
        insecure=tuple(sorted(name for name, pair in STAND_INS.items() if pair in used)),
        unexposed=tuple(threat for threat in options.policy.threats if threat not in everywhere),
        phases=phases,
    )


@dataclass(frozen=True)
class _Attempt:
    """The whole workload under one shared backend: a choice for each phase, or the faults of those without."""

    shared: str
    choices: tuple[Choice, ...]
    faults: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, int, float, int]:
        ranks = [choice.rank for choice in self.choices]
        return sum(r[0] for r in ranks), sum(r[1] for r in ranks), sum(r[2] for r in ranks), sum(r[3] for r in ranks)


def _attempt(options: Options, workload: Workload, shared: str) -> _Attempt:
    choices, faults = [], []
    for phase in workload.phases:
        found = options.limit_fault(phase, shared)
        acceptable = [] if found else [c for c in options.candidates(phase, shared) if not options.shortfall(phase, c)]
        if acceptable:
            choices.append(min(acceptable, key=lambda choice: choice.rank))
        else:
            faults.append(f"phase {phase.name!r} ({phase.kind}) {found or reasons.fault(options, phase, shared)}")
    return _Attempt(shared, tuple(choices), tuple(faults))


def _planned(options: Options, phase: Phase, choice: Choice, shared: str) -> PlannedPhase:
    answered = threats.answered(phase.kind, choice.backends)
    exposed = threats.exposed(phase.kind, phase.data, phase.site)
    return PlannedPhase(
        name=phase.name,
        kind=phase.kind,
        data=phase.data,
        layers=tuple(choice.backends),
        backends=tuple(choice.backends.values()),
        parameter_set=choice.parameter_set,
        threats=tuple(answered[threat].under(options.policy) for threat in exposed if threat in answered),
        predicted_ms=choice.cost.ms,
        predicted_bytes=choice.cost.bytes,
        rounds=phase.rounds,
        site=phase.site,
        isolation=ISOLATION[choice.backends["enclave"]] if "enclave" in choice.backends else "",
        refused=tuple(reasons.refusals(options, phase, choice, shared)),
        tradeoffs=tuple(reasons.tradeoffs(options, phase, choice, shared)),
        proven=choice.cost.proven,
    )


__all__ = ["assembled", "plan"]
