"""What the planner returns: for each phase its layers, what they answer, what they cost, and what was refused.

A plan's digest covers the route and every claim, and neither predictions nor reasons: parties on different machines
that agree on policy, workload and route agree on the digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from quatrefoil.errors import CallerError
from quatrefoil.planner.answer import Answer
from quatrefoil.planner.estimate import excluded
from quatrefoil.planner.proving import Proven
from quatrefoil.wire import WireObject
from quatrefoil.workload import FEDERATED


@dataclass(frozen=True)
class Refusal:
    """A backend that a phase does not use, and why; or, of the one that it uses, a ``parameter_set``."""

    layer: str
    backend: str
    parameter_set: str
    reason: str


@dataclass(frozen=True)
class Unprotected:
    """A threat that ``phase`` is exposed to and that the plan leaves unanswered."""

    threat: str
    phase: str
    why: str


@dataclass(frozen=True)
class Tradeoff:
    """Another combination for the phase, "cheaper" or "safer": which threats it would leave open that are answered, and
    answer that are not; predictions for one pass, ``proving_ms`` of what is done after it."""

    direction: str
    layers: tuple[str, ...]
    backends: tuple[str, ...]
    parameter_set: str
    opens: tuple[str, ...]
    closes: tuple[str, ...]
    predicted_ms: float
    predicted_bytes: int
    proving_ms: float

    @property
    def whole_ms(self) -> float:
        return self.predicted_ms + self.proving_ms


@dataclass(frozen=True)
class PlannedPhase:
    """``layers`` and ``backends`` run in parallel. ``parameter_set``: what rows are computed on in, where they are
    encrypted; "" elsewhere: that of rounds follows from the policy. ``threats``: every answered one, and by which
    layer. Predictions are for one pass; there are ``rounds`` of them. ``proven``: what is proven after it, where
    answers are. ``site``: where the workload says that its
    machine stands. ``isolation``: what separates the code that holds keys, or serves, from its host, "none", "process"
    or "vm"; empty where the phase has no layer for it."""

    name: str
    kind: str
    data: str
    layers: tuple[str, ...]
    backends: tuple[str, ...]
    parameter_set: str
    threats: tuple[Answer, ...]
    predicted_ms: float
    predicted_bytes: int
    rounds: int
    site: str
    isolation: str
    refused: tuple[Refusal, ...]
    tradeoffs: tuple[Tradeoff, ...]
    proven: Proven | None = None

    @property
    def whole_ms(self) -> float:
        """Of one pass, with what is done after it."""
        return self.predicted_ms + (self.proven.ms if self.proven else 0.0)

    @property
    def excluded(self) -> str:
        """What the predictions leave out; "" for nothing."""
        return excluded(self.kind, self.layers)


@dataclass(frozen=True)
class Claim(WireObject):
    """One answered threat, as the digest of a plan covers it."""

    TYPE: ClassVar[str] = "urn:quatrefoil:plan-claim"

    threat: str
    layer: str
    backend: str
    condition: str


@dataclass(frozen=True)
class PhaseRoute(WireObject):
    """One phase, as the digest of a plan covers it."""

    TYPE: ClassVar[str] = "urn:quatrefoil:plan-phase"

    name: str
    layers: tuple[str, ...]
    backends: tuple[str, ...]
    parameter_set: str
    claims: tuple[Claim, ...]
    unprotected: tuple[str, ...]
    proven_share: float
    """Of its receipts, the least share whose answers are proven; 0 where none are."""


@dataclass(frozen=True)
class Route(WireObject):
    """A plan without figures and reasons."""

    TYPE: ClassVar[str] = "urn:quatrefoil:plan"

    workload: bytes
    policy: bytes
    phases: tuple[PhaseRoute, ...]
    insecure: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """``unprotected`` is what to read first. ``insecure``: stand-ins in use. ``unexposed``: threats that the policy
    names and that no phase of this workload is exposed to."""

    workload: str
    workload_digest: bytes
    policy: str
    policy_digest: bytes
    unprotected: tuple[Unprotected, ...]
    insecure: tuple[str, ...]
    unexposed: tuple[str, ...]
    phases: tuple[PlannedPhase, ...]

    @property
    def ms(self) -> float:
        """All passes of all phases, one after the other, as predicted, with what is done after each."""
        return sum(phase.whole_ms * phase.rounds for phase in self.phases)

    @property
    def proving_ms(self) -> float:
        """What of it is done afterwards: answers proven and verified."""
        return sum(phase.proven.ms * phase.rounds for phase in self.phases if phase.proven)

    @property
    def bytes_sent(self) -> int:
        return sum(phase.predicted_bytes * phase.rounds for phase in self.phases)

    def phase(self, name: str) -> PlannedPhase:
        for phase in self.phases:
            if phase.name == name:
                return phase
        known = ", ".join(phase.name for phase in self.phases)
        raise CallerError(f"the plan has no phase {name!r}", hint=f"Its phases are {known}")

    def backend(self, layer: str) -> str:
        """The one backend that the plan's rounds use for ``layer``, or all its phases where it has no rounds.
        ``CallerError`` when they use none or several."""
        pairs = {pair for phase in self._rounds() for pair in zip(phase.layers, phase.backends, strict=True)}
        used = sorted(backend for one, backend in pairs if one == layer)
        if len(used) != 1:
            raise CallerError(f"the plan uses {', '.join(used) or 'nothing'} for {layer}", hint="Ask phase by phase")
        return used[0]

    def optional(self, layer: str) -> str:
        """The same, and "" when they use none."""
        return self.backend(layer) if any(layer in phase.layers for phase in self._rounds()) else ""

    def _rounds(self) -> tuple[PlannedPhase, ...]:
        """Its parties have nothing to do with what else is computed beside a round."""
        return tuple(phase for phase in self.phases if phase.kind in FEDERATED) or self.phases

    def route(self) -> Route:
        return Route(self.workload_digest, self.policy_digest, tuple(map(self._route_of, self.phases)), self.insecure)

    def digest(self) -> bytes:
        """32 bytes that name the route and its claims."""
        return self.route().digest()

    def to_json(self) -> dict[str, Any]:
        """Plain values; keys are named in docs/policy.md."""
        return {
            "workload": self.workload,
            "workload_digest": self.workload_digest.hex(),
            "policy": self.policy,
            "policy_digest": self.policy_digest.hex(),
            "digest": self.digest().hex(),
            "unprotected": [{"threat": u.threat, "phase": u.phase, "why": u.why} for u in self.unprotected],
            "insecure": list(self.insecure),
            "unexposed": list(self.unexposed),
            "predicted_ms": round(self.ms, 4),
            "predicted_bytes": self.bytes_sent,
            "proving_ms": round(self.proving_ms, 4),
            "phases": [_phase_json(phase) for phase in self.phases],
        }

    def _route_of(self, phase: PlannedPhase) -> PhaseRoute:
        claims = tuple(Claim(a.threat, a.layer, a.backend, a.condition) for a in phase.threats)
        left = tuple(u.threat for u in self.unprotected if u.phase == phase.name)
        share = phase.proven.share if phase.proven else 0.0
        return PhaseRoute(phase.name, phase.layers, phase.backends, phase.parameter_set, claims, left, share)


def _phase_json(phase: PlannedPhase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "kind": phase.kind,
        "data": phase.data,
        "layers": list(phase.layers),
        "backends": list(phase.backends),
        "parameter_set": phase.parameter_set or None,
        "threats": {
            a.threat: {"layer": a.layer, "backend": a.backend, "how": a.how, "condition": a.condition}
            for a in phase.threats
        },
        "predicted_ms": round(phase.predicted_ms, 4),
        "predicted_bytes": phase.predicted_bytes,
        "excluded": phase.excluded or None,
        "proven": phase.proven.to_json() if phase.proven else None,
        "rounds": phase.rounds,
        "site": phase.site,
        "isolation": phase.isolation or None,
        "refused": [
            {"layer": r.layer, "backend": r.backend, "parameter_set": r.parameter_set or None, "reason": r.reason}
            for r in phase.refused
        ],
        "tradeoffs": [
            {
                "direction": t.direction,
                "layers": list(t.layers),
                "backends": list(t.backends),
                "parameter_set": t.parameter_set or None,
                "opens": list(t.opens),
                "closes": list(t.closes),
                "predicted_ms": round(t.predicted_ms, 4),
                "predicted_bytes": t.predicted_bytes,
                "proving_ms": round(t.proving_ms, 4),
            }
            for t in phase.tradeoffs
        ],
    }


__all__ = ["Claim", "PhaseRoute", "Plan", "PlannedPhase", "Refusal", "Route", "Tradeoff", "Unprotected"]
