"""How two plans of one workload differ: what another policy would change. A pure function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quatrefoil.planner.plans import Plan


@dataclass(frozen=True)
class PhaseDifference:
    """One phase, before and after. Milliseconds and bytes are for one pass."""

    name: str
    before: tuple[str, ...]
    """Its layers and backends, "transport/pq-tls"."""
    after: tuple[str, ...]
    gained: tuple[str, ...]
    """Threats that only the plan after answers there."""
    lost: tuple[str, ...]
    """Threats that only the plan before answers there."""
    before_ms: float
    after_ms: float
    before_bytes: int
    after_bytes: int


@dataclass(frozen=True)
class Difference:
    """``phases``: all of them, in the workload's order, whether they differ or not."""

    before: Plan
    after: Plan
    phases: tuple[PhaseDifference, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; keys are named in docs/policy.md."""
        raise NotImplementedError


def compare(before: Plan, after: Plan) -> Difference:
    """``CallerError`` unless both are plans of the same workload, by its digest."""
    raise NotImplementedError


__all__ = ["Difference", "PhaseDifference", "compare"]
