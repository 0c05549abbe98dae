"""The report: one self-contained page without scripts, from a verdict and from what the logs say."""

from __future__ import annotations

from datetime import UTC, datetime

from quatrefoil.audit.report import sections
from quatrefoil.audit.report.document import document
from quatrefoil.audit.report.markup import element
from quatrefoil.audit.report.sampled import sampled
from quatrefoil.audit.verification import Examined


def render(found: Examined, *, name: str, at: datetime, version: str) -> str:
    """The page. ``name``: of the folder or file that was checked, for the reader; ``at``: when it was checked."""
    when = f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    title = f"Evidence report: {sections.subject(found)}"
    body = element(
        "main",
        sections.heading(found, name, when),
        sections.verdict(found),
        sections.root_warning(found),
        sections.insecure(found),
        sections.figures(found),
        sections.claim(found),
        sections.parties(found),
        sections.rounds(found),
        sections.leases(found),
        sections.served(found),
        sampled(found),
        sections.refusals(found),
        sections.terms(found),
        sections.checks(found),
        sections.not_covered(found),
        sections.identity(found),
        sections.repeat(name),
        element(
            "footer",
            f"Made {when} by Quatrefoil {version}, which is unaudited software, on the machine of whoever made this "
            "page. The page proves nothing by itself: the evidence does, to whoever repeats the check.",
        ),
    )
    return document(title, body)
