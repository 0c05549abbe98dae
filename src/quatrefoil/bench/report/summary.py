"""The same run for programs: what became of each part, the four layers, and where each result lies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quatrefoil.bench.report import records
from quatrefoil.bench.report.layers import EXTRAPOLATIONS, LAYERS, Figure, Results
from quatrefoil.bench.report.page import render
from quatrefoil.bench.report.records import RESULTS
from quatrefoil.bench.report.whole import Outcome
from quatrefoil.errors import HostError

PAGE, SUMMARY = "index.html", "report.json"
SCHEMA = "quatrefoil.bench-all/1"


def summary(outcomes: Sequence[Outcome], *, quick: bool) -> dict[str, Any]:
    """What ``--json`` writes, without schema and machine. Figures that were not measured are null."""
    results = {one.part.name: one.kept.result for one in outcomes if one.kept is not None}
    return {
        "quick": quick,
        "parts": [_part(one) for one in outcomes],
        "layers": [
            {
                "layer": layer.name,
                "quoted": layer.quoted,
                "source": layer.source,
                "latency": layer.latency,
                "use": layer.use,
                **{
                    kind: [_figure(one, results) for one in figures]
                    for kind, figures in (
                        ("overhead", layer.figures),
                        ("peers", layer.peers),
                        ("times", layer.latencies),
                    )
                },
            }
            for layer in LAYERS
        ],
        "extrapolated": [{"what": one.name, "value": one.shown(results), "how": one.how} for one in EXTRAPOLATIONS],
    }


def write_report(folder: Path, outcomes: Sequence[Outcome], *, quick: bool) -> Path:
    """``index.html`` and ``report.json`` in ``folder``, over those of an earlier run. The path of the page."""
    now = records.here()
    content = {"schema": SCHEMA, "machine": now.machine, "version": now.version, "code": now.code}
    text = json.dumps(content | summary(outcomes, quick=quick), indent=2, allow_nan=False) + "\n"
    page = render(outcomes, now=now, at=datetime.now(UTC), quick=quick)
    try:
        records.replace(folder / SUMMARY, text.encode())
        records.replace(folder / PAGE, page.encode())
    except OSError as error:
        raise HostError(
            f"{folder} cannot be written ({error.strerror})", hint="Name a folder that you may write"
        ) from None
    return folder / PAGE


def _part(one: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {"part": one.part.name, "state": one.state, "why": one.why}
    if one.kept is not None:
        record = one.kept.record
        found |= {
            "arguments": list(record.arguments),
            "version": record.version,
            "code": record.code,
            "started": record.started,
            "seconds": record.seconds,
            "others": record.others,
            "peers": dict(record.peers),
            "result": f"{RESULTS}/{one.part.name}.json",
        }
    return found


def _figure(one: Figure, results: Results) -> dict[str, Any]:
    return {
        "figure": one.name,
        "value": one.value(results),
        "shown": one.shown(results),
        "part": one.part,
        "path": one.path,
    }
