"""What a workload costs under one choice of layers for all its phases, instead of one for each: what routing is
compared with. A pure function, like ``routing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from quatrefoil.errors import CallerError
from quatrefoil.planner import reasons, threats
from quatrefoil.planner.availability import Availability
from quatrefoil.planner.costs import Costs
from quatrefoil.planner.options import Choice, Options
from quatrefoil.planner.plans import Plan, Unprotected
from quatrefoil.planner.routing import assembled
from quatrefoil.policy import LAYERS, Policy
from quatrefoil.workload import Phase, Workload


@dataclass(frozen=True)
class Blanket:
    """One choice, priced. ``plan``: what every phase would use, None where one cannot run. ``cannot``: which phases do
    not, and why. ``unanswered``: threats that the policy names and that this choice leaves open; empty where it answers
    the same threats as a plan does. ``broken``: requirements that it does not keep to."""

    layers: tuple[str, ...]
    plan: Plan | None
    cannot: tuple[str, ...]
    unanswered: tuple[Unprotected, ...]
    broken: tuple[str, ...] = ()

    @property
    def ms(self) -> float:
        """All passes of all phases, one after the other. ``CallerError`` where a phase cannot run."""
        if self.plan is None:
            raise CallerError(f"{'+'.join(self.layers)} has no price", hint=self.cannot[0])
        return self.plan.ms

    def to_json(self) -> dict[str, Any]:
        """Plain values; keys are named in docs/policy.md."""
        return {
            "layers": list(self.layers),
            "ms": None if self.plan is None else round(self.plan.ms, 4),
            "bytes": None if self.plan is None else self.plan.bytes_sent,
            "cannot": list(self.cannot),
            "unanswered": [{"threat": u.threat, "phase": u.phase, "why": u.why} for u in self.unanswered],
            "broken": list(self.broken),
            "phases": [] if self.plan is None else self.plan.to_json()["phases"],
        }


def all_choices() -> tuple[tuple[str, ...], ...]:
    """Every choice of layers, as :func:`price` takes them, the smallest first. Channels are in each: hardly a phase
    runs without."""
    others = [layer for layer in LAYERS if layer != "transport"]
    return tuple(("transport", *more) for count in range(len(others) + 1) for more in combinations(others, count))


def price(
    workload: Workload, policy: Policy, costs: Costs, available: Availability, layers: tuple[str, ...]
) -> Blanket:
    """Every phase under every layer of ``layers`` that can run for its kind, and under those that it cannot do without.

    A phase that computes on rows needs an enclave or encryption; where ``layers`` has neither, it cannot run. Threats
    left open and requirements that are not kept to are counted, and refuse nothing.

    ``CallerError`` when a name in ``layers`` is no layer. ``PolicyInvalid`` when ``costs`` lack a figure.
    """
    _check(layers)
    chosen = tuple(layer for layer in LAYERS if layer in layers)
    options = Options.of(workload, policy, costs, available)
    attempts = [_attempt(options, workload, chosen, shared) for shared in options.shared(workload)]
    best = min(attempts, key=lambda attempt: attempt.rank)
    if best.cannot:
        return Blanket(chosen, None, best.cannot, ())
    made = assembled(options, workload, best.choices, best.shared)
    unanswered = tuple(left for left in made.unprotected if left.threat in policy.threats)
    return Blanket(chosen, made, (), unanswered, best.broken)


@dataclass(frozen=True)
class _Attempt:
    shared: str
    choices: tuple[Choice, ...]
    cannot: tuple[str, ...]
    broken: tuple[str, ...]
    open_threats: int

    @property
    def rank(self) -> tuple[int, int, int, int, float]:
        stand_ins = sum(choice.rank[0] for choice in self.choices)
        ms = sum(choice.cost.whole_ms for choice in self.choices)
        return len(self.cannot), self.open_threats, len(self.broken), stand_ins, ms


def _attempt(options: Options, workload: Workload, layers: tuple[str, ...], shared: str) -> _Attempt:
    choices, cannot, broken, open_threats = [], [], [], 0
    for phase in workload.phases:
        fault = options.limit_fault(phase, shared)
        wanted = _wanted(options, phase, layers)
        found = [] if fault else [c for c in options.candidates(phase, shared) if set(c.backends) == set(wanted)]
        if not found:
            cannot.append(f"phase {phase.name!r} ({phase.kind}) {fault or _why_not(options, phase, wanted, shared)}")
            continue
        best = min(
            found,
            key=lambda c: (
                len(options.unanswered(phase, c)),
                len(options.broken(phase, c)),
                options.excess(phase, c),
                c.rank,
            ),
        )
        choices.append(best)
        broken += [f"phase {phase.name!r} ({phase.kind}) {one}" for one in options.broken(phase, best)]
        open_threats += len(options.unanswered(phase, best))
    return _Attempt(shared, tuple(choices), tuple(cannot), tuple(broken), open_threats)


def _wanted(options: Options, phase: Phase, layers: tuple[str, ...]) -> tuple[str, ...]:
    """The layers that ``phase`` uses under this choice; without one of its routes where the choice has none, and
    without proofs where no answer of it can be proven, or it is computed on ciphertexts."""
    routes = threats.routes(phase)
    needed = {*threats.NEEDED[phase.kind], *(routes if len(routes) == 1 else ())}
    useful = {row.layer for row in threats.ANSWERS if row.kind == phase.kind}
    if routes:
        useful -= set(threats.ROUTES) - set(routes)
        if not options.usable(phase, "proofs") or {*needed, *layers} & set(routes) != {"enclave"}:
            useful.discard("proofs")
    return tuple(layer for layer in LAYERS if layer in needed or (layer in layers and layer in useful))


def _why_not(options: Options, phase: Phase, wanted: tuple[str, ...], shared: str) -> str:
    routes = threats.routes(phase)
    if routes and not set(routes) & set(wanted):
        return f"needs {' or '.join(routes)}, and this choice has neither"
    return reasons.wanting_layers(options, phase, wanted, shared)


def _check(layers: tuple[str, ...]) -> None:
    known = ", ".join(LAYERS)
    if unknown := [layer for layer in layers if layer not in LAYERS]:
        raise CallerError(f"{unknown[0][:40]!r} is no layer", hint=f"Name some of {known}")
    if not layers or len(set(layers)) != len(layers):
        raise CallerError("a choice of layers is empty, or names one twice", hint=f"Name each of {known} once, or not")


__all__ = ["Blanket", "all_choices", "price"]
