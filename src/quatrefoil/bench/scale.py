"""What a round of many silos costs, from unit costs that are measured here; and where it breaks first.

Unit costs come of six simulations of the real machines: each of three shapes at two sizes of a model. A larger group
tells what a silo costs from what a group does, more groups tell what a group costs an upper job from what its round
does, and the larger model what a value costs of each. A prediction multiplies them. It says nothing of what has not
been run: of networks, of disks that fill, and of limits, which are listed beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from quatrefoil.aggregation import ParameterSet
from quatrefoil.bench.simulation.population import LARGEST_GROUP, USUAL_GROUP, Options
from quatrefoil.bench.simulation.running import simulate
from quatrefoil.bench.simulation.silos import PARAMETER_SET
from quatrefoil.bench.simulation.upper import UPPER_SET
from quatrefoil.federation.tree import LEAST_GROUPS
from quatrefoil.proofs import largest_values
from quatrefoil.wire import LARGEST_MESSAGE

FEW, MANY = LEAST_GROUPS, 2 * LEAST_GROUPS
"""Groups that are measured; of three the upper job costs the least that it can."""

CURVE = tuple((silos, values) for values in (10**5, 10**6, 10**7) for silos in (10, 50, 256, 500, 1_000, 3_000, 10_000))
"""What a silo costs against how many there are."""

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
class Measured:
    """What is simulated: ``small`` and ``large`` models in values, ``narrow`` and ``wide`` groups in silos."""

    small: int = 20_000
    large: int = 400_000
    narrow: int = 8
    wide: int = 24
    rounds: int = 2


QUICK = Measured(50, 9_000, 3, 6, 1)


@dataclass(frozen=True)
class Line:
    """``fixed`` and ``per_value``: a straight line through measurements at two sizes of a model."""

    fixed: float
    per_value: float

    @classmethod
    def through(cls, small: tuple[int, float], large: tuple[int, float]) -> Line:
        """Each: values of the model, and what it costs."""
        return cls(*_apart(*small, *large))

    def at(self, values: int) -> float:
        return self.fixed + self.per_value * values


@dataclass(frozen=True)
class Units:
    """Processor milliseconds and bytes. ``server_ms``, ``silo_ms``, ``bytes_from`` and ``bytes_to``: for each silo;
    ``group_ms``: for each group; and where groups go up ``upper_ms`` for each, and ``top_ms`` once a round.
    ``group_ms`` is of a group that goes up: one that stands alone has a little less to publish."""

    server_ms: Line
    group_ms: Line
    upper_ms: Line
    top_ms: Line
    silo_ms: Line
    bytes_from: Line
    bytes_to: Line


@dataclass(frozen=True)
class _Costs:
    """Of one round with models of one size, as :class:`Units` has them."""

    server_ms: float
    group_ms: float
    upper_ms: float
    top_ms: float
    silo_ms: float
    bytes_from: float
    bytes_to: float


def measure_units(what: Measured, progress: Callable[[str], None]) -> Units:
    """Measured here."""
    progress("warm up")
    _simulated(FEW, LEAST_GROUPS, what.small, 1)
    small, large = (_costs(what, size, progress) for size in (what.small, what.large))
    lines = (
        Line.through((what.small, getattr(small, one.name)), (what.large, getattr(large, one.name)))
        for one in fields(Units)
    )
    return Units(*lines)


def _costs(what: Measured, values: int, progress: Callable[[str], None]) -> _Costs:
    found = []
    for groups, group in ((FEW, what.narrow), (FEW, what.wide), (MANY, what.narrow)):
        progress(f"{groups} groups of {group} silos, {values:,} values")
        found.append(_simulated(groups, group, values, what.rounds))
    few, wide, many = found
    upper_of_few, upper_of_many = (_steps_ms(one, "upper") * one["silos"] for one in (few, many))
    of_narrow, of_wide = (
        (one["server_ms_per_silo"] - _steps_ms(one, "upper")) * one["silos"] / FEW for one in (few, wide)
    )
    group_ms, server_ms = _apart(what.narrow, of_narrow, what.wide, of_wide)
    top_ms, upper_ms = _apart(FEW, upper_of_few, MANY, upper_of_many)
    silo_ms = wide["silo_ms"] + wide["silo_confirm_ms"] + wide["silo_accept_ms"]
    return _Costs(server_ms, group_ms, upper_ms, top_ms, silo_ms, wide["bytes_per_silo"], wide["bytes_to_silo"])


def _simulated(groups: int, group: int, values: int, rounds: int) -> dict[str, Any]:
    return simulate(Options(silos=groups * group, parameters=values, rounds=rounds, group=group), lambda _: None)


def _steps_ms(result: dict[str, Any], name: str) -> float:
    return float(sum(one["cpu_ms_per_silo"] for one in result["server_steps"] if one["step"] == name))


def _apart(few: int, cost_of_few: float, many: int, cost_of_many: float) -> tuple[float, float]:
    """What costs as much whatever there is, and what each one costs; never less than nothing, which is noise."""
    each = max(0.0, (cost_of_many - cost_of_few) / (many - few))
    return max(0.0, cost_of_few - each * few), each


def predict(units: Units, silos: int, values: int) -> dict[str, Any]:
    """A round of ``silos`` with models of ``values``: totals of the server's side, and what it meets first.

    ``server_s``: processor seconds of all aggregators and keepers; ``on_16_cores_s``: of those shared out evenly.
    ``wire_s``: of all contributions through one gigabit a second.
    """
    groups = 1 if silos <= LARGEST_GROUP else max(math.ceil(silos / USUAL_GROUP), LEAST_GROUPS)
    upper_ms = units.upper_ms.at(values) * groups + units.top_ms.at(values) if groups > 1 else 0.0
    server_s = (units.server_ms.at(values) * silos + units.group_ms.at(values) * groups + upper_ms) / 1e3
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


def measure_scale(progress: Callable[[str], None], what: Measured | None = None) -> dict[str, Any]:
    """Unit costs, predictions for :data:`TARGETS`, and the limits."""
    what = what or Measured()
    units = measure_units(what, progress)
    return {
        "measured_at": asdict(what),
        "units": [{"unit": name, **line} for name, line in asdict(units).items()],
        "rows": [predict(units, *target) for target in TARGETS],
        "curve": [predict(units, *point) for point in CURVE],
        "limits": limits(),
    }


__all__ = ["QUICK", "Line", "Measured", "Units", "limits", "measure_scale", "measure_units", "predict"]
