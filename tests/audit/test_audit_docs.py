"""docs/audit.md says what the code does: kinds, checks, and what is not covered."""

from __future__ import annotations

import re
from pathlib import Path

from quatrefoil.audit.checks.content import MOST_BACKWARDS
from quatrefoil.audit.checks.facts import MOST_LINES, MOST_ROUNDS
from quatrefoil.audit.kinds import KINDS
from quatrefoil.audit.report.checked import NOT_COVERED
from quatrefoil.audit.verdict import CHECKS
from quatrefoil.audit.verification import MOST_COMPARED
from quatrefoil.tlog.reader import LARGEST_FILE

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
TEXT = " ".join(PAGE.split())


def rows(heading: str) -> list[list[str]]:
    body = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in body.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_the_table_of_kinds_is_that_of_the_code() -> None:
    everyone = ("aggregator", "broker", "keeper", "silo", "workload")
    assert rows("Kinds") == [
        [
            f"`{name}`",
            kind.says,
            "all" if kind.by == everyone else ", ".join(kind.by),
            ", ".join(f"`{field}`" for field in kind.fields) or "none",
        ]
        for name, kind in KINDS.items()
    ]


def test_the_table_of_checks_is_that_of_the_code() -> None:
    assert rows("Checks") == [[f"`{name}`", meaning] for name, meaning in CHECKS.items()]


def test_what_is_not_covered_is_what_the_report_says() -> None:
    assert all(f"* **{what}.** {why}" in TEXT for what, why in NOT_COVERED)


def test_the_limits_are_those_of_the_code() -> None:
    assert MOST_BACKWARDS.seconds == 5 * 60 and "set back by five minutes" in TEXT
    for number in (LARGEST_FILE, MOST_COMPARED, MOST_ROUNDS):
        assert f"{number:,}" in TEXT
    assert re.search(rf"{MOST_LINES} refusals", TEXT)
