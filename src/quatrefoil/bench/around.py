"""What serving a model adds to each request beyond the parts that the planner's costs are made of: HTTP over channels,
padding, the journal and the log of receipts, threads and event loops on both ends.

Two servers of the serving bench, with and without the layers, are asked in pairs, by a small request and a large one;
of what is added on average, the parts that were measured alone are taken away. The mean, because a phase is a sum of
requests.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from quatrefoil.bench.serving_models import Served
from quatrefoil.demo import models, onnx_model
from quatrefoil.errors import DependencyMissing
from quatrefoil.planner.costs import Costs, Line, ServingCosts, TransportCosts

COLUMNS = 32
ROWS = 2000
"""Of the large request, 256 KB; the small one has one row. An answer has a number a row."""

_NUMBER = 4
_CHANNEL = "pq-tls"


def measure_around(costs: Costs, *, seconds: float, progress: Callable[[str], None]) -> Costs:
    """``costs`` with ``around_ms``, from pairs of requests for about ``seconds``; unchanged, and said so, where nothing
    can be served here."""
    if _CHANNEL not in costs.serving:
        return costs
    progress("served models: two servers, with and without the layers, asked in pairs")
    try:
        added = _added_ms(seconds)
    except DependencyMissing as missing:
        progress(f"not measured: {missing}")
        return costs
    serving = costs.serving[_CHANNEL]
    around = around_ms(added, serving, costs.transport[_CHANNEL])
    return replace(costs, serving={**costs.serving, _CHANNEL: replace(serving, around_ms=around)})


def around_ms(added: Mapping[int, float], serving: ServingCosts, transport: TransportCosts) -> Line:
    """``added``: milliseconds by the rows of a request, of one row and of more."""
    few, many = min(added), max(added)
    rest = {rows: max(0.0, ms - _parts_ms(_each(rows), serving, transport)) for rows, ms in added.items()}
    slope = max(0.0, (rest[many] - rest[few]) / (_each(many) - _each(few)))
    return Line(max(0.0, rest[few] - slope * _each(few)), slope)


def _parts_ms(each: float, serving: ServingCosts, transport: TransportCosts) -> float:
    sent = serving.exchange_bytes.at(each) + serving.receipt_bytes
    return serving.exchange_ms.at(each) + serving.receipt_ms.at(each) + transport.message_ms.at(sent)


def _each(rows: int) -> float:
    """Bytes that request and answer have on average."""
    return rows * (COLUMNS + 1) * _NUMBER / 2


def _added_ms(seconds: float) -> dict[int, float]:
    # What serves needs the extra `serve`; whoever only reads costs does not.
    from quatrefoil.bench import serving_load as load
    from quatrefoil.bench.serving_near import asking
    from quatrefoil.bench.serving_site import ServingSite

    start = models.initial("mlp", COLUMNS, 0)
    values = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    size = sum(array.size for array in start)
    served = Served("calibration", onnx_model.encode(start), size, (onnx_model.INPUT, values[:1]), "as it begins")
    with (
        tempfile.TemporaryDirectory(prefix="quatrefoil-calibration-") as folder,
        ServingSite(Path(folder) / "site", served) as site,
    ):
        servers = site.start("plain"), site.start("layered")

        async def pairs(rows: int) -> float:
            site.served = replace(served, input=(onnx_model.INPUT, values[:rows]))
            async with asking(site, servers[0]) as plain, asking(site, servers[1]) as layered:
                pairs = await load.pairs(plain, layered, seconds / 2)
                return statistics.fmean(pairs.layered) - statistics.fmean(pairs.plain)

        return {rows: asyncio.run(pairs(rows)) for rows in (1, ROWS)}


__all__ = ["around_ms", "measure_around"]
