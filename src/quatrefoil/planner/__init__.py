"""Policy, workload and measured costs to a plan. ``plan`` is pure; ``calibration`` and ``host`` look at the machine."""

from quatrefoil.planner.availability import Availability
from quatrefoil.planner.costs import (
    AggregationCosts,
    Costs,
    HomomorphicCosts,
    Line,
    NetworkCosts,
    ProofCosts,
    RoundCosts,
    ServingCosts,
    TransportCosts,
)
from quatrefoil.planner.plans import Plan, PlannedPhase, Refusal, Unprotected
from quatrefoil.planner.routing import plan

__all__ = [
    "AggregationCosts",
    "Availability",
    "Costs",
    "HomomorphicCosts",
    "Line",
    "NetworkCosts",
    "Plan",
    "PlannedPhase",
    "ProofCosts",
    "Refusal",
    "RoundCosts",
    "ServingCosts",
    "TransportCosts",
    "Unprotected",
    "plan",
]
