"""All costs of this host: the parts that the planner measures alone, and what lies around them where they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quatrefoil import stack
from quatrefoil.bench.around import measure_around
from quatrefoil.bench.around_rounds import measure_around_rounds
from quatrefoil.bench.proven_costs import measure_answers
from quatrefoil.planner import Availability, Costs


def measure_costs(
    available: Availability, *, seconds: float, threads: Sequence[int], progress: Callable[[str], None]
) -> Costs:
    """In about ``seconds``, three quarters of which again for what lies around and for answers that are proven;
    ``threads`` as for ``calibrate``."""
    costs = stack.measure_host(available, seconds=seconds, threads=threads, progress=progress)
    costs = measure_around(costs, seconds=seconds / 4, progress=progress)
    costs = measure_around_rounds(costs, seconds=seconds / 4, progress=progress)
    return measure_answers(costs, available, seconds=seconds / 4, threads=threads, progress=progress)


__all__ = ["measure_costs"]
