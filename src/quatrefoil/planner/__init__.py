"""Policy, workload and measured costs to a plan. ``plan`` is pure; ``calibration`` and ``host`` look at the machine."""

from quatrefoil.planner.availability import Availability
from quatrefoil.planner.costs import (
    AggregationCosts,
    AnswerCosts,
    Answered,
    AnsweredBytes,
    Costs,
    HomomorphicCosts,
    Line,
    NetworkCosts,
    ProofCosts,
    Recorded,
    RoundCosts,
    ServingCosts,
    TransportCosts,
)
from quatrefoil.planner.plans import Plan, PlannedPhase, Refusal, Unprotected
from quatrefoil.planner.routing import plan

__all__ = [
    "AggregationCosts",
    "AnswerCosts",
    "Answered",
    "AnsweredBytes",
    "Availability",
    "Costs",
    "HomomorphicCosts",
    "Line",
    "NetworkCosts",
    "Plan",
    "PlannedPhase",
    "ProofCosts",
    "Recorded",
    "Refusal",
    "RoundCosts",
    "ServingCosts",
    "TransportCosts",
    "Unprotected",
    "plan",
]
