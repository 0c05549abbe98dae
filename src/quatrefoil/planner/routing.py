"""Policy and workload and costs to a plan. A pure function: no clock, no files, no devices.

For every phase, all combinations of allowed and available backends are tried. One is acceptable when it holds every
layer that the phase needs, answers every threat that the policy names and the phase is exposed to, and keeps to the
latency limits. Of the acceptable ones, those with the fewest stand-ins win, of these those whose keeper or server is
isolated from its host, and of these the cheapest. The aggregation backend is one for the whole workload, because what
one silo encrypts the others must be able to add. When a phase has no acceptable combination, nothing is planned:
``PhaseUnprotected`` says which phase, which threat, and what would do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from quatrefoil.errors import PhaseUnprotected
from quatrefoil.planner import serving, threats
from quatrefoil.planner.answer import Answer
from quatrefoil.planner.availability import Availability
from quatrefoil.planner.costs import Costs
from quatrefoil.planner.estimate import Estimate, estimate
from quatrefoil.planner.plans import Plan, PlannedPhase, Refusal, Unprotected
from quatrefoil.policy import BACKENDS, ISOLATING, ISOLATION, LAYERS, STAND_INS, Policy
from quatrefoil.wire import LARGEST_MESSAGE
from quatrefoil.workload import FEDERATED, Phase, Workload

SHARED = "aggregation"
"""The layer whose backend is one for the whole workload."""

_STAND_IN_OF = {key: name for name, key in STAND_INS.items()}


def plan(workload: Workload, policy: Policy, costs: Costs, available: Availability) -> Plan:
    """The plan, or ``PhaseUnprotected`` naming every phase that nothing available satisfies.

    ``PolicyInvalid`` when ``costs`` lack a figure for a backend that is allowed and available.
    """
    room = _Room(policy, costs, available, max(phase.parameters for phase in workload.phases))
    shared = room.usable("aggregate", SHARED) or ("",)
    attempts = [room.attempt(workload, backend) for backend in shared]
    routed = [attempt for attempt in attempts if not attempt.faults]
    if not routed:
        faults = min(attempts, key=lambda attempt: len(attempt.faults)).faults
        raise PhaseUnprotected(
            "; ".join(faults),
            hint="Take a threat out of the policy only if you accept it: the plan then lists it as unprotected",
        )
    best = min(routed, key=lambda attempt: attempt.rank)
    phases = tuple(room.planned(phase, choice) for phase, choice in zip(workload.phases, best.choices, strict=True))
    everywhere = {threat for phase in workload.phases for threat in threats.exposed(phase.kind, phase.data, phase.site)}
    used = {pair for phase in phases for pair in zip(phase.layers, phase.backends, strict=True)}
    return Plan(
        workload=workload.name,
        workload_digest=workload.digest(),
        policy=policy.name,
        policy_digest=policy.digest(),
        unprotected=tuple(left for phase in phases for left in room.unprotected(phase)),
        insecure=tuple(sorted(name for name, pair in STAND_INS.items() if pair in used)),
        unexposed=tuple(threat for threat in policy.threats if threat not in everywhere),
        phases=phases,
    )


@dataclass(frozen=True)
class _Choice:
    """Backends for one phase. ``rank`` orders acceptable choices, the best first."""

    backends: Mapping[str, str]
    cost: Estimate

    @property
    def rank(self) -> tuple[int, int, float, int, int, tuple[str, ...]]:
        stand_ins = sum(pair in _STAND_IN_OF for pair in self.backends.items())
        names = tuple(self.backends.values())
        return stand_ins, int(self.is_open), self.cost.ms, self.cost.bytes, len(self.backends), names

    @property
    def is_open(self) -> bool:
        """Whether a keeper or a server is used that nothing isolates from its host."""
        return "enclave" in self.backends and self.backends["enclave"] not in ISOLATING


@dataclass(frozen=True)
class _Attempt:
    """The whole workload under one shared backend: a choice for each phase, or the faults of those without."""

    choices: tuple[_Choice, ...]
    faults: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, int, float, int]:
        ranks = [choice.rank for choice in self.choices]
        return sum(r[0] for r in ranks), sum(r[1] for r in ranks), sum(r[2] for r in ranks), sum(r[3] for r in ranks)


@dataclass(frozen=True)
class _Room:
    policy: Policy
    costs: Costs
    available: Availability
    parameters: int

    def usable(self, kind: str, layer: str, shared: str = "") -> tuple[str, ...]:
        """Backends of ``layer`` that are allowed, accepted, there for phases of ``kind``, and fit for this policy and
        workload (with the ``shared`` backend, where one is given). Policies hold allowed to be accepted."""
        return tuple(b for b in self.policy.allow.of(layer) if not self.hindrance(kind, layer, b, shared))

    def attempt(self, workload: Workload, shared: str) -> _Attempt:
        choices, faults = [], []
        for phase in workload.phases:
            found = self.limit_fault(phase, shared)
            acceptable = [] if found else [c for c in self.candidates(phase, shared) if not self.shortfall(phase, c)]
            if acceptable:
                choices.append(min(acceptable, key=lambda choice: choice.rank))
            else:
                faults.append(f"phase {phase.name!r} ({phase.kind}) {found or self.fault(phase, shared)}")
        return _Attempt(tuple(choices), tuple(faults))

    def candidates(self, phase: Phase, shared: str) -> Iterator[_Choice]:
        """Every combination that holds the needed layers; other layers come in only where they answer something."""
        if phase.kind in threats.UNSERVED:
            return
        options: list[tuple[str, ...]] = []
        for layer in LAYERS:
            usable = self.usable(phase.kind, layer, shared)
            if layer == SHARED:
                usable = (shared,) if shared else ()
            if layer in threats.NEEDED[phase.kind]:
                options.append(usable)
            else:
                options.append(("", *(b for b in usable if threats.answers(layer, b, phase.kind))))
        for combination in product(*options):
            backends = {layer: b for layer, b in zip(LAYERS, combination, strict=True) if b}
            yield _Choice(backends, estimate(phase, backends, self.policy, self.costs))

    def named(self, phase: Phase) -> list[str]:
        """Threats that must be answered in ``phase``."""
        return [t for t in threats.exposed(phase.kind, phase.data, phase.site) if t in self.policy.threats]

    def shortfall(self, phase: Phase, choice: _Choice) -> list[str]:
        """What keeps ``choice`` from being acceptable."""
        answered = _answered(phase.kind, choice.backends)
        out = [f"leaves {threat} unanswered" for threat in self.named(phase) if threat not in answered]
        limit = self.latency_limit(phase)
        if choice.cost.ms > limit:
            out.append(f"is predicted to take {choice.cost.ms:.3g} ms, over the limit of {limit:.3g} ms")
        return out

    def latency_limit(self, phase: Phase) -> float:
        return min(phase.latency_ms, self.policy.max_latency_ms)

    def limit_fault(self, phase: Phase, shared: str) -> str:
        """A number of the workload that the policy or the parameters do not hold; "" for none."""
        limits = self.policy.limits
        if phase.kind in ("collect", "aggregate", "keys"):
            if phase.silos < limits.minimum_silos:
                return f"has {phase.silos} silos, and the policy asks for at least {limits.minimum_silos}"
            if phase.rounds > limits.rounds:
                return f"has {phase.rounds} rounds, and the policy allows {limits.rounds}"
            largest = self.available.largest_roster[shared, limits.value_bits] if shared else phase.silos
            if phase.silos > largest:
                return f"has {phase.silos} silos, and {shared} adds at most {largest} at {limits.value_bits} bits"
        if phase.kind == "infer":
            if phase.message_bytes > LARGEST_MESSAGE:
                return f"has messages of {phase.message_bytes} bytes, and a sealed one holds at most {LARGEST_MESSAGE}"
            if self.policy.channels != serving.SEALED_UNDER:
                return (
                    f"seals requests under {serving.SEALED_UNDER}, and transport.policy asks for {self.policy.channels}"
                )
        return ""

    def fault(self, phase: Phase, shared: str) -> str:
        """Why no combination is acceptable, the first reason that applies."""
        if phase.kind in threats.UNSERVED:
            named = self.named(phase)
            also = f", so nothing answers {', '.join(named)} there" if named else ""
            return f"cannot run: {threats.UNSERVED[phase.kind]}{also}"
        for layer in threats.NEEDED[phase.kind]:
            if not self.usable(phase.kind, layer):
                rows = [(layer, backend) for backend in BACKENDS[layer] if self.is_worth_naming(layer, backend)]
                named = self.named(phase)
                also = f" (and is exposed to {', '.join(named)})" if named else ""
                return f"needs a backend of {layer}, and has none{also}: {self.wanting(phase.kind, rows, shared)}"
        choices = list(self.candidates(phase, shared))
        answerable = {threat for choice in choices for threat in _answered(phase.kind, choice.backends)}
        open_threats = [threat for threat in self.named(phase) if threat not in answerable]
        if open_threats:
            return ", and ".join(
                f"is exposed to {threat}, which nothing available answers: {self.why_open(phase.kind, threat, shared)}"
                for threat in open_threats
            )
        fastest = min(choices, key=lambda choice: choice.cost.ms)
        return " and ".join(
            self.shortfall(phase, fastest) or ["has no combination that answers all its threats at once"]
        )

    def why_open(self, kind: str, threat: str, shared: str) -> str:
        """What would answer ``threat`` in phases of ``kind``, and why it is not there."""
        rows = [(row.layer, row.backend) for row in threats.ANSWERS if (row.kind, row.threat) == (kind, threat)]
        if not rows:
            return threats.UNSERVED.get(kind) or threats.NOTHING_YET.get((kind, threat), "no layer answers it")
        return self.wanting(kind, rows, shared)

    def is_worth_naming(self, layer: str, backend: str) -> bool:
        """Whether a refusal for want of ``layer`` says why not this one: whoever allows a stand-in wants to know."""
        return (layer, backend) not in _STAND_IN_OF or backend in self.policy.allow.of(layer)

    def wanting(self, kind: str, rows: list[tuple[str, str]], shared: str) -> str:
        """ "proofs/bounded-update (does not exist yet)", backends with one reason together."""
        by_reason: dict[str, list[str]] = {}
        for layer, backend in rows:
            by_reason.setdefault(self.hindrance(kind, layer, backend, shared) or "not chosen", []).append(
                f"{layer}/{backend}"
            )
        return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())

    def hindrance(self, kind: str, layer: str, backend: str, shared: str) -> str:
        """Why ``backend`` cannot be used in phases of ``kind`` at all, with the ``shared`` one if that is given; ""
        when it can."""
        if missing := self.available.missing(kind, layer, backend):
            return missing
        if backend not in self.policy.allow.of(layer):
            return "the policy does not allow it"
        if layer == SHARED and (unfit := self.unfit(kind, backend)):
            return unfit
        return self.proof_hindrance(backend, shared) if layer == "proofs" else ""

    def unfit(self, kind: str, backend: str) -> str:
        """Why an aggregation backend does not do what phases of ``kind`` are about; "" when it does."""
        if kind in threats.COMPUTING and backend not in threats.COMPUTING[kind]:
            return f"it does nothing in {kind} phases"
        bits = self.policy.limits.value_bits
        if kind in FEDERATED and (backend, bits) not in self.available.largest_roster:
            return f"it adds no updates of {bits} bits"
        return ""

    def proof_hindrance(self, backend: str, shared: str) -> str:
        """What of the policy or the workload cannot be proven; "" when all of it can."""
        limits = self.policy.limits
        proven = sorted(bits for name, bits in self.available.largest_proof if name == backend)
        if limits.value_bits not in proven:
            known = " and ".join(map(str, proven))
            return f"it proves values of {known} bits, and limits.value_bits is {limits.value_bits}"
        if math.isinf(limits.update_norm):
            return "the policy gives no limits.update_norm to prove"
        largest = self.available.largest_proof[backend, limits.value_bits]
        if self.parameters > largest:
            return f"one proof is about at most {largest} values at {limits.value_bits} bits, not {self.parameters}"
        if shared and shared not in threats.PROVABLE[backend]:
            return f"nothing can be proven of sums by {shared}"
        return ""

    def planned(self, phase: Phase, choice: _Choice) -> PlannedPhase:
        answered = _answered(phase.kind, choice.backends)
        exposed = threats.exposed(phase.kind, phase.data, phase.site)
        return PlannedPhase(
            name=phase.name,
            kind=phase.kind,
            data=phase.data,
            layers=tuple(choice.backends),
            backends=tuple(choice.backends.values()),
            threats=tuple(answered[threat].under(self.policy) for threat in exposed if threat in answered),
            predicted_ms=choice.cost.ms,
            predicted_bytes=choice.cost.bytes,
            rounds=phase.rounds,
            site=phase.site,
            isolation=ISOLATION[choice.backends["enclave"]] if "enclave" in choice.backends else "",
            refused=tuple(self.refusals(phase, choice)),
        )

    def refusals(self, phase: Phase, choice: _Choice) -> Iterator[Refusal]:
        for layer, backends in BACKENDS.items():
            for backend in backends:
                if choice.backends.get(layer) != backend:
                    yield Refusal(layer, backend, self.why_refused(phase, choice, layer, backend))

    def why_refused(self, phase: Phase, choice: _Choice, layer: str, backend: str) -> str:
        hindrance = self.hindrance(phase.kind, layer, backend, choice.backends.get(SHARED, ""))
        if hindrance:
            return hindrance
        exposed = threats.exposed(phase.kind, phase.data, phase.site)
        answers = [row.threat for row in threats.answers(layer, backend, phase.kind) if row.threat in exposed]
        if layer not in choice.backends:
            if not answers:
                return "answers no threat that this phase is exposed to"
            return (
                f"not needed: it answers {', '.join(answers)}, which the policy does not name or another layer answers"
            )
        other = {**choice.backends, layer: backend}
        rival = _Choice(other, estimate(phase, other, self.policy, self.costs))
        short = self.shortfall(phase, rival)
        if short:
            return "; ".join(short)
        if rival.rank[0] > choice.rank[0]:
            return f"a stand-in, and {choice.backends[layer]} is there"
        if rival.rank[1] > choice.rank[1]:
            return f"isolates nothing, and {choice.backends[layer]} does"
        if layer == SHARED:
            return f"{choice.backends[layer]} serves the whole workload better"
        return f"{choice.backends[layer]} costs no more: {choice.cost.ms:.3g} ms against {rival.cost.ms:.3g} ms"

    def unprotected(self, phase: PlannedPhase) -> Iterator[Unprotected]:
        """What ``phase`` is exposed to and its layers do not answer. The policy names none of these."""
        answered = {answer.threat for answer in phase.threats}
        used = dict(zip(phase.layers, phase.backends, strict=True))
        for threat in threats.exposed(phase.kind, phase.data, phase.site):
            if threat in answered:
                continue
            why = f"the policy does not name it; {self.why_open(phase.kind, threat, used.get(SHARED, ''))}"
            if phase.isolation == "none" and threat in threats.needing_isolation(phase.kind):
                why = f"{used['enclave']} isolates nothing from its host; {why}"
            yield Unprotected(threat, phase.name, why)


def _answered(kind: str, backends: Mapping[str, str]) -> dict[str, Answer]:
    """threat -> the first layer's answer to it, in the order of the layers."""
    out: dict[str, Answer] = {}
    for layer, backend in backends.items():
        for row in threats.answers(layer, backend, kind):
            out.setdefault(row.threat, row)
    return out


__all__ = ["plan"]
