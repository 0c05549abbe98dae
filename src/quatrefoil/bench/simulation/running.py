"""Run a simulation and say what came of it: who was added, who was refused and why, whether the sum is exact, and what
it took.
"""

from __future__ import annotations

import re
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from quatrefoil.bench.simulation.group import Heard
from quatrefoil.bench.simulation.lies import EXPECTED
from quatrefoil.bench.simulation.office import Host
from quatrefoil.bench.simulation.population import Options, Population
from quatrefoil.bench.simulation.server import Server
from quatrefoil.bench.simulation.silos import Place, rss_mb
from quatrefoil.bench.simulation.upper import RoundSum
from quatrefoil.bench.simulation.workers import Workers
from quatrefoil.offline.pools import pool
from quatrefoil.offline.task import cores
from quatrefoil.transport import CertificateAuthority, system_clock

LATE = "after the roster was closed"


def simulate(options: Options, progress: Callable[[str], None], *, folder: Path | None = None) -> dict[str, Any]:
    """What ``quatrefoil simulate`` prints. ``folder``: where disks are, and where they stay (default: a temporary one).

    Raises ``CallerError`` for what cannot be simulated, and whatever a machine raises that is no refusal of a silo.
    """
    population = Population.of(options)
    with ExitStack() as opened:
        place = folder or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="quatrefoil-simulate-")))
        authority = CertificateAuthority.create(place / "ca", "simulation", clock=system_clock)
        number = min(options.workers or cores(), options.silos)
        progress(f"{options.silos} silos in {number} processes, {len(population.groups)} group(s)")
        places = [Place(options, population, place, population.silos[at::number]) for at in range(number)]
        workers = opened.enter_context(closing(Workers(places)))
        begin = time.perf_counter()
        workers.all("ready")
        server = Server(options, population, Host(place, authority, opened), workers)
        server.enrol(progress)
        workers.all("enrolled")
        enrolment_s = time.perf_counter() - begin
        server.costs.cpu_ms.clear()
        server.costs.wall_ms.clear()
        threads = number if options.executor == "ray" else cores()
        executor = opened.enter_context(pool(options.executor, None if options.executor == "ray" else threads))
        rounds = [
            _round(at, workers, population, lambda heard: server.run_round(executor, threads, heard, progress))
            for at in range(1, options.rounds + 1)
        ]
    return _result(options, population, server, rounds, enrolment_s)


@dataclass(frozen=True)
class _Round:
    """One round. ``told``: reasons by silo that was refused; ``unlike``: liars that were not, or for another reason."""

    heard: Heard
    exact: bool
    complete: bool
    unlike: tuple[str, ...]
    accept_ms: float
    mean_bytes: int
    seconds: float
    server_rss_mb: float
    silo_rss_mb: float


def _round(
    number: int,
    workers: Workers,
    population: Population,
    run: Callable[[Heard], tuple[RoundSum, float]],
) -> _Round:
    heard, begin = Heard(), time.perf_counter()
    total, accept_ms = run(heard)
    seconds = time.perf_counter() - begin
    contributors = {name for finished in total.finished.values() for name in finished.contributors}
    clear = list(workers.each("clear_sum", sorted(contributors), number))
    exact = (sum(one for one, _ in clear) == total.grains).all() and sum(count for _, count in clear) == total.samples
    return _Round(
        heard,
        bool(exact),
        contributors == population.added(),
        tuple(name for name, lie in population.liars.items() if not _is_refused_for(heard.refused.get(name), lie)),
        accept_ms,
        max(len(finished.result) for finished in total.finished.values()),
        seconds,
        rss_mb(),
        sum(workers.all("memory")),
    )


def _is_refused_for(reason: str | None, lie: str) -> bool:
    return reason is not None and re.search(EXPECTED[lie], reason) is not None


def _result(
    options: Options, population: Population, server: Server, rounds: list[_Round], enrolment_s: float
) -> dict[str, Any]:
    contributions = sum(len(one.heard.sizes) for one in rounds)
    taken = options.silos * len(rounds)
    cpu, wall = server.costs.cpu_ms, server.costs.wall_ms
    last = rounds[-1].heard
    return {
        **asdict(options),
        "groups": len(population.groups),
        "accepted": sum(len(one.heard.added) for one in rounds),
        "refused": sum(len(one.heard.refused) for one in rounds),
        "late": sum(LATE in reason for one in rounds for reason in one.heard.refused.values()),
        "absent": taken - contributions,
        "exact": all(one.exact for one in rounds),
        "complete": all(one.complete for one in rounds),
        "liars_refused": all(not one.unlike for one in rounds),
        "liars_not_refused": sorted({name for one in rounds for name in one.unlike}),
        "lies": _lies(population, rounds),
        "refusals": dict(sorted(last.refused.items())),
        "server_ms_per_silo": sum(cpu.values()) / contributions,
        "server_wall_ms_per_silo": sum(wall.values()) / contributions,
        "server_steps": [
            {"step": step, "cpu_ms_per_silo": cpu[step] / contributions, "wall_ms_per_silo": wall[step] / contributions}
            for step in cpu
        ],
        "silo_ms": fmean(ms for one in rounds for ms in one.heard.silo_ms),
        "silo_confirm_ms": fmean(ms for one in rounds for ms in one.heard.confirm_ms),
        "silo_accept_ms": sum(one.accept_ms for one in rounds) / taken,
        "bytes_per_silo": fmean(size for one in rounds for size in one.heard.sizes),
        "bytes_to_silo": fmean(size for one in rounds for size in one.heard.down_bytes) + rounds[-1].mean_bytes,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "rss_mb": [one.server_rss_mb for one in rounds],
        "silos_rss_mb": [one.silo_rss_mb for one in rounds],
        "round_s": [one.seconds for one in rounds],
        "enrolment_s": enrolment_s,
    }


def _lies(population: Population, rounds: list[_Round]) -> dict[str, dict[str, Any]]:
    """By kind of lie: how often it was told and refused, and a reason."""
    found: dict[str, dict[str, Any]] = {}
    for one in rounds:
        for name, lie in population.liars.items():
            row = found.setdefault(lie, {"told": 0, "refused": 0, "reason": ""})
            row["told"] += 1
            if (reason := one.heard.refused.get(name)) is not None:
                row["refused"] += 1
                row["reason"] = reason
    return found


__all__ = ["simulate"]
