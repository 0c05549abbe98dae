"""What a workload costs under one choice of layers for all its phases, instead of one for each: what routing is
compared with. A pure function, like ``routing``.
"""

from __future__ import annotations

from dataclasses import dataclass

from quatrefoil.planner.availability import Availability
from quatrefoil.planner.costs import Costs
from quatrefoil.planner.plans import Plan, Unprotected
from quatrefoil.policy import Policy
from quatrefoil.workload import Workload


@dataclass(frozen=True)
class Blanket:
    """One choice, priced. ``plan``: what every phase would use, None where one cannot run. ``cannot``: which phases do
    not, and why. ``unanswered``: threats that the policy names and that this choice leaves open; empty where it answers
    the same threats as a plan does."""

    layers: tuple[str, ...]
    plan: Plan | None
    cannot: tuple[str, ...]
    unanswered: tuple[Unprotected, ...]


def all_choices() -> tuple[tuple[str, ...], ...]:
    """Every choice of layers, as :func:`price` takes them, the smallest first."""
    raise NotImplementedError


def price(
    workload: Workload, policy: Policy, costs: Costs, available: Availability, layers: tuple[str, ...]
) -> Blanket:
    """Every phase under every layer of ``layers`` that can run for its kind, and under those that it cannot do without.

    ``CallerError`` when a name in ``layers`` is no layer. ``PolicyInvalid`` when ``costs`` lack a figure.
    """
    raise NotImplementedError


__all__ = ["Blanket", "all_choices", "price"]
