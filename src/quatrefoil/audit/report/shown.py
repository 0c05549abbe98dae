"""What several parts of the report go by."""

from __future__ import annotations

from quatrefoil.audit.checks.facts import Facts
from quatrefoil.audit.report.markup import Markup
from quatrefoil.audit.verification import Examined

NOTHING = Markup("")


def with_rounds(found: Examined) -> Facts | None:
    """What the first log with rounds says."""
    return next((facts for facts in found.facts if facts.rounds), None)


def silos_of(facts: Facts) -> list[str]:
    return sorted({name for one in facts.rounds for name in one.contributors})
