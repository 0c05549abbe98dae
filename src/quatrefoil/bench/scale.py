"""What a round of many silos costs, from unit costs that are measured here; and where it breaks first.

Unit costs come of two simulations of the real machines, at two sizes of a model: what a silo costs whatever its model,
and what a value costs. A prediction multiplies them. It says nothing of what has not been run: of networks, of disks
that fill, and of limits, which are listed beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from quatrefoil.aggregation import ParameterSet
from quatrefoil.bench.simulation.population import LARGEST_GROUP, USUAL_GROUP, Options
from quatrefoil.bench.simulation.running import simulate
from quatrefoil.bench.simulation.silos import PARAMETER_SET
from quatrefoil.bench.simulation.upper import UPPER_SET
from quatrefoil.federation.tree import LEAST_GROUPS
from quatrefoil.proofs import largest_values
from quatrefoil.wire import LARGEST_MESSAGE

SMALL, LARGE = 20_000, 400_000
"""Values of the two models that are measured."""

SILOS, GROUP, ROUNDS = 24, 8, 2

TARGETS = (
    (100, 10**5),
    (1_000, 10**5),
    (1_000, 10**6),
    (10_000, 10**5),
    (10_000, 10**6),
    (10_000, 10**7),
    (10_000, 10**9),
)
CORES, GIGABIT = 16, 125e6

SQLITE_VALUE = 10**9
"""Bytes of the largest value that SQLite stores as it is built by default (SQLITE_MAX_LENGTH)."""

SEALED_CONTRIBUTION = 13_000
"""Bytes of a signed contribution with its sealed key, rounded up: what a request for keys has of each silo."""


@dataclass(frozen=True)
class Line:
    """``fixed`` and ``per_value``: a straight line through two measurements."""

    fixed: float
    per_value: float

    @classmethod
    def through(cls, small: float, large: float) -> Line:
        slope = max(0.0, (large - small) / (LARGE - SMALL))
        return cls(max(0.0, small - slope * SMALL), slope)

    def at(self, values: int) -> float:
        return self.fixed + self.per_value * values


@dataclass(frozen=True)
class Units:
    """Processor milliseconds and bytes. ``server_ms``, ``silo_ms``, ``bytes_from`` and ``bytes_to``: for each silo;
    ``group_ms``: for each group, and ``upper_ms`` besides where groups go up."""

    server_ms: Line
    group_ms: Line
    upper_ms: Line
    silo_ms: Line
    bytes_from: Line
    bytes_to: Line


def measure_units(progress: Callable[[str], None]) -> Units:
    """Measured here, by two simulations of three groups."""
    small, large = (
        simulate(Options(silos=SILOS, parameters=size, rounds=ROUNDS, group=GROUP), progress) for size in (SMALL, LARGE)
    )

    def line(figure: Callable[[dict[str, Any]], float]) -> Line:
        return Line.through(figure(small), figure(large))

    def steps(result: dict[str, Any], *names: str) -> float:
        return float(sum(result["server_steps"][name]["cpu_ms_per_silo"] for name in names))

    once = ("decrypt", "publish")
    return Units(
        line(lambda one: one["server_ms_per_silo"] - steps(one, *once, "upper")),
        line(lambda one: steps(one, *once) * GROUP),
        line(lambda one: steps(one, "upper") * GROUP),
        line(lambda one: one["silo_ms"] + one["silo_confirm_ms"] + one["silo_accept_ms"]),
        line(lambda one: one["bytes_per_silo"]),
        line(lambda one: one["bytes_to_silo"]),
    )


def predict(units: Units, silos: int, values: int) -> dict[str, Any]:
    """A round of ``silos`` with models of ``values``: totals of the server's side, and what it meets first.

    ``server_s``: processor seconds of all aggregators and keepers; ``on_16_cores_s``: of those shared out evenly.
    ``wire_s``: of all contributions through one gigabit a second.
    """
    groups = 1 if silos <= LARGEST_GROUP else max(math.ceil(silos / USUAL_GROUP), LEAST_GROUPS)
    once = units.group_ms.at(values) + (units.upper_ms.at(values) if groups > 1 else 0.0)
    server_s = (units.server_ms.at(values) * silos + once * groups) / 1e3
    received = units.bytes_from.at(values) * silos
    return {
        "silos": silos,
        "values": values,
        "groups": groups,
        "server_ms_per_silo": server_s * 1e3 / silos,
        "server_s": server_s,
        "on_16_cores_s": server_s / CORES,
        "silo_s": units.silo_ms.at(values) / 1e3,
        "mb_from_silo": units.bytes_from.at(values) / 1e6,
        "mb_to_silo": units.bytes_to.at(values) / 1e6,
        "gb_received": received / 1e9,
        "wire_s": received / GIGABIT,
        "breaks": [one["limit"] for one in limits() if _over(values, one["values"]) or _over(silos, one["silos"])],
    }


def limits() -> list[dict[str, Any]]:
    """What a job cannot exceed, the first to be met first: ``values`` of a model, or ``silos``; None for no limit."""
    parameters, upper = ParameterSet.named(PARAMETER_SET), ParameterSet.named(UPPER_SET)
    proven, stored = largest_values(parameters), int(SQLITE_VALUE / parameters.bytes_per_value)
    keys = LARGEST_MESSAGE // SEALED_CONTRIBUTION
    all_groups = upper.max_silos * parameters.max_silos
    rows: list[tuple[str, int | None, int | None]] = [
        (f"one proof is of at most {proven:,} values", proven, None),
        (f"a state's value has at most {SQLITE_VALUE:,} bytes, and a contribution is one", stored, None),
        (
            f"{UPPER_SET} adds {upper.max_silos:,} groups, {PARAMETER_SET} {parameters.max_silos} silos",
            None,
            all_groups,
        ),
        (f"a request for keys has room for {keys:,} silos of a group", None, keys * upper.max_silos),
    ]
    return [{"limit": text, "values": values, "silos": silos} for text, values, silos in rows]


def _over(value: int, most: int | None) -> bool:
    return most is not None and value > most


def measure_scale(progress: Callable[[str], None]) -> dict[str, Any]:
    """Unit costs, predictions for :data:`TARGETS`, and the limits."""
    units = measure_units(progress)
    return {
        "measured_at": [SMALL, LARGE],
        "units": asdict(units),
        "rows": [predict(units, *target) for target in TARGETS],
        "limits": limits(),
    }


__all__ = ["Line", "Units", "limits", "measure_scale", "measure_units", "predict"]
