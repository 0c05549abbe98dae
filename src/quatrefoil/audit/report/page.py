"""The report: one self-contained page without scripts, from a verdict and from what the logs say."""

from __future__ import annotations

from datetime import UTC, datetime

from quatrefoil.audit.report import checked, happened, opening
from quatrefoil.audit.report.document import document
from quatrefoil.audit.report.markup import element
from quatrefoil.audit.report.sampled import sampled
from quatrefoil.audit.verification import Examined


def render(found: Examined, *, name: str, at: datetime, version: str) -> str:
    """The page. ``name``: of the folder or file that was checked, for the reader; ``at``: when it was checked."""
    when = f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    title = f"Evidence report: {opening.subject(found)}"
    body = element(
        "main",
        opening.heading(found, name, when),
        opening.verdict(found),
        opening.root_warning(found),
        opening.insecure(found),
        opening.figures(found),
        opening.claim(found),
        happened.parties(found),
        happened.rounds(found),
        happened.leases(found),
        happened.served(found),
        sampled(found),
        happened.refusals(found),
        happened.terms(found),
        checked.checks(found),
        checked.not_covered(found),
        checked.identity(found),
        checked.repeat(name),
        element(
            "footer",
            f"Made {when} by Quatrefoil {version}, which is unaudited software, on the machine of whoever made this "
            "page. The page proves nothing by itself: the evidence does, to whoever repeats the check.",
        ),
    )
    return document(title, body)
