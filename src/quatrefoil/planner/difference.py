"""How two plans of one workload differ: what another policy would change. A pure function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quatrefoil.errors import CallerError
from quatrefoil.planner.plans import Plan, PlannedPhase


@dataclass(frozen=True)
class PhaseDifference:
    """One phase, before and after. Milliseconds and bytes are for one pass, with what is proven after it."""

    name: str
    before: tuple[str, ...]
    """Its layers and backends, "transport/pq-tls", with the parameter set that rows are computed on in."""
    after: tuple[str, ...]
    gained: tuple[str, ...]
    """Threats that only the plan after answers there."""
    lost: tuple[str, ...]
    """Threats that only the plan before answers there."""
    before_ms: float
    after_ms: float
    before_bytes: int
    after_bytes: int

    @property
    def differs(self) -> bool:
        """Whether layers, backends, sets or answers do; predictions alone differ by the costs that they come from."""
        return self.before != self.after or bool(self.gained or self.lost)


@dataclass(frozen=True)
class Difference:
    """``phases``: all of them, in the workload's order, whether they differ or not."""

    before: Plan
    after: Plan
    phases: tuple[PhaseDifference, ...]

    @property
    def differs(self) -> bool:
        return any(phase.differs for phase in self.phases)

    def to_json(self) -> dict[str, Any]:
        """Plain values; keys are named in docs/policy.md."""
        return {
            "before": self.before.policy,
            "after": self.after.policy,
            "before_digest": self.before.digest().hex(),
            "after_digest": self.after.digest().hex(),
            "before_ms": round(self.before.ms, 4),
            "after_ms": round(self.after.ms, 4),
            "before_bytes": self.before.bytes_sent,
            "after_bytes": self.after.bytes_sent,
            "phases": [
                {
                    "name": phase.name,
                    "differs": phase.differs,
                    "before": list(phase.before),
                    "after": list(phase.after),
                    "gained": list(phase.gained),
                    "lost": list(phase.lost),
                    "before_ms": round(phase.before_ms, 4),
                    "after_ms": round(phase.after_ms, 4),
                    "before_bytes": phase.before_bytes,
                    "after_bytes": phase.after_bytes,
                }
                for phase in self.phases
            ],
        }


def compare(before: Plan, after: Plan) -> Difference:
    """``CallerError`` unless both are plans of the same workload, by its digest."""
    if before.workload_digest != after.workload_digest:
        raise CallerError(
            f"plans of two workloads are compared: {before.workload} and {after.workload}",
            hint="Plan the same workload under both policies",
        )
    return Difference(before, after, tuple(map(_phase, before.phases, after.phases)))


def _phase(before: PlannedPhase, after: PlannedPhase) -> PhaseDifference:
    was, is_now = [answer.threat for answer in before.threats], [answer.threat for answer in after.threats]
    return PhaseDifference(
        name=before.name,
        before=_pairs(before),
        after=_pairs(after),
        gained=tuple(threat for threat in is_now if threat not in was),
        lost=tuple(threat for threat in was if threat not in is_now),
        before_ms=before.whole_ms,
        after_ms=after.whole_ms,
        before_bytes=before.predicted_bytes,
        after_bytes=after.predicted_bytes,
    )


def _pairs(phase: PlannedPhase) -> tuple[str, ...]:
    pairs = zip(phase.layers, phase.backends, strict=True)
    where = f" in {phase.parameter_set}" if phase.parameter_set else ""
    return tuple("/".join(pair) + (where if pair[0] == "aggregation" else "") for pair in pairs)


__all__ = ["Difference", "PhaseDifference", "compare"]
