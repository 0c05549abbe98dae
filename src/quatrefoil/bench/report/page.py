"""The page: one self-contained file without scripts, from what the parts left behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from quatrefoil.audit.report.document import document
from quatrefoil.audit.report.markup import element
from quatrefoil.bench.report import sections
from quatrefoil.bench.report.records import Here
from quatrefoil.bench.report.whole import Outcome

_STYLE = Path(__file__).with_name("style.css")

FIRST = ("routing", "planner")
"""Parts that stand before the others: they are what the layers are measured for."""


def render(outcomes: Sequence[Outcome], *, now: Here, at: datetime, quick: bool) -> str:
    """``at``: when it is drawn. Where a part has no figures, it says why."""
    results = {one.part.name: one.kept.result for one in outcomes if one.kept is not None}
    ordered = sorted(outcomes, key=lambda one: one.part.name not in FIRST)
    when = f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    body = element(
        "main",
        sections.heading(now, when),
        sections.verdict(outcomes, quick),
        sections.headlines(results),
        sections.layers(results),
        *(sections.panel(one) for one in ordered),
        sections.peers(outcomes),
        sections.extrapolations(results),
        sections.not_measured(),
        sections.runs(outcomes, now),
        element(
            "footer",
            f"Made {when} by Quatrefoil {now.version}, which is unaudited software. Figures are of one machine; yours "
            "will differ, and the commands above print them.",
        ),
    )
    return document("What protecting costs: benchmarks of Quatrefoil", body, _STYLE.read_text())
