"""One app inside Flower, plainly and confidentially: a real SuperLink, a SuperNode for each silo, a ServerApp.

Compared are Flower's own average of some arrays and the protocol with proofs over the same (``flower_site``). Layers'
costs are of the silos' own calls, each silo in processes of its own with one thread: on the clock, and of processor
time, which is what counts where silos share cores. Needs the extra ``flower``.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from quatrefoil import stack
from quatrefoil.bench.flower_site import KINDS, FlowerSite
from quatrefoil.errors import HostError, ParametersRefused
from quatrefoil.planner.host import availability

STEPS = ("aggregation.encrypt", "proofs.prove", "transport.sign", "transport.seal", "flower.seal", "flower.open")
"""What the layers do at a silo, as its meter names it."""

MESSAGE, EXCHANGE = "flower.message", "flower.exchange"


def measure_flower(silos: int, parameters: int, rounds: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of each and what they went for; and what each layer took of a silo, the mean over all, for the whole run.

    ``before_s`` is enrolment where the run is confidential, ``after_s`` the signing of what came of it.
    """
    if silos < 3 or parameters < 1 or rounds < 1:
        raise ParametersRefused("Flower is measured with at least 3 silos, 1 parameter and 1 round", hint="Give more")
    with tempfile.TemporaryDirectory(prefix="quatrefoil-flower-") as name, FlowerSite(Path(name), silos) as site:
        progress("calibrating, once, for the aggregator's plan")
        begin = time.perf_counter()
        costs = stack.measure_host(availability(), kinds=("collect", "aggregate", "keys"))
        calibration_s = time.perf_counter() - begin
        progress(f"starting {silos} SuperNodes around a SuperLink")
        site.begin(parameters, rounds, costs)
        found: dict[str, dict[str, Any]] = {}
        for kind in KINDS:
            progress(f"the app, {kind}: {rounds} round(s) of {parameters} values")
            found[kind] = site.run(kind, parameters, rounds)
            progress(f"the app, {kind}: {found[kind]['seconds']:.1f} s")
            require_mean(kind, found[kind]["first"], rounds)
        rows = [row for name in site.names for row in read_rows(site.folder / f"{name}.costs")]
        aggregator = json.loads((site.folder / "aggregator.json").read_text())["costs"]
        starts = {kind: read_starts(site.starts(kind)) for kind in KINDS}
    layers = layers_of(rows, silos)
    return {
        "silos": silos,
        "parameters": parameters,
        "rounds": rounds,
        "plain_s": found["plain"]["seconds"],
        "confidential_s": found["confidential"]["seconds"],
        "phases": {kind: {key: found[kind][key] for key in ("before_s", "rounds_s", "after_s")} for kind in KINDS},
        "layers": layers,
        "layers_ms_per_silo_and_round": sum(row["ms"] for row in layers) / rounds,
        "layers_cpu_ms_per_silo_and_round": sum(row["cpu_ms"] for row in layers) / rounds,
        "messages": messages_of(rows, aggregator, silos),
        "starts": {kind: starts_of(starts[kind], silos) for kind in KINDS},
        "calibration_s": calibration_s,
    }


def require_mean(kind: str, first: float, rounds: int) -> None:
    """``HostError`` unless the model is what the app's steps lead to: what is measured has to be right."""
    expected = 0.01 * rounds
    if not abs(first - expected) <= 1e-3 * rounds:
        raise HostError(f"the {kind} model is {first}, not {expected}", hint="This is a fault: tell us")


def layers_of(rows: Iterable[Mapping[str, Any]], silos: int) -> list[dict[str, Any]]:
    """Of one silo, the mean over all: milliseconds on the clock and of processor time, and bytes, of each layer."""
    rows = list(rows)
    return [{"step": step, **_sums(rows, step, silos)} for step in STEPS]


def messages_of(
    silos_rows: Iterable[Mapping[str, Any]], aggregator: Iterable[Mapping[str, Any]], silos: int
) -> dict[str, float]:
    """Of one silo, the mean over all: how many messages, their bytes both ways, and what they took.

    ``carried_s_per_message``: from when the ServerApp gives a message to Flower until it has the reply, without what
    the silo did with it. In it are Flower's looks for messages and for work, and the start of a process for each.
    """
    exchanged, worked = _sums(aggregator, EXCHANGE, silos), _sums(silos_rows, MESSAGE, silos)
    if not exchanged["calls"] or exchanged["calls"] != worked["calls"]:
        raise HostError(
            f"the aggregator exchanged {exchanged['calls']:g} messages with a silo, and silos answered "
            f"{worked['calls']:g}",
            hint="Measure again: a message was lost or repeated, and what it took is in no figure",
        )
    return {
        "per_silo": exchanged["calls"],
        "bytes_per_silo": exchanged["bytes"],
        "silo_ms_per_message": worked["ms"] / worked["calls"],
        "silo_cpu_ms_per_message": worked["cpu_ms"] / worked["calls"],
        "carried_s_per_message": (exchanged["ms"] - worked["ms"]) / exchanged["calls"] / 1e3,
    }


def starts_of(starts: Sequence[tuple[float, float]], silos: int) -> dict[str, float]:
    """Of the processes that Flower starts for messages: how many a silo, and the milliseconds of processor time that
    one takes until it loads the app, and for loading it."""
    return {
        "per_silo": len(starts) / silos,
        "flower_cpu_ms": fmean(started for started, _ in starts) if starts else 0.0,
        "app_cpu_ms": fmean(loaded for _, loaded in starts) if starts else 0.0,
    }


def read_rows(file: Path) -> list[dict[str, Any]]:
    """What a silo appended to the file of its costs."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def read_starts(file: Path) -> list[tuple[float, float]]:
    """What each process of an app's silos wrote of its start."""
    return [(float(started), float(loaded)) for started, loaded in map(str.split, file.read_text().splitlines())]


def _sums(rows: Iterable[Mapping[str, Any]], step: str, silos: int) -> dict[str, float]:
    chosen = [row for row in rows if row["step"] == step]
    return {key: sum(row[key] for row in chosen) / silos for key in ("calls", "ms", "cpu_ms", "bytes")}


__all__ = ["layers_of", "measure_flower", "messages_of", "require_mean", "starts_of"]
