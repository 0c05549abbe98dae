"""Values of results as text. Whatever a result holds becomes a short text, and nothing of it markup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quatrefoil.bench.report.finding import is_number

MOST = 300
"""Characters of a value that are shown."""


def cell(value: Any, form: str = "") -> str:
    """A number in the form of ``format``; lists and objects entry by entry."""
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return _cut("; ".join(f"{key}: {cell(one, form)}" for key, one in list(value.items())[:40]))
    if isinstance(value, list):
        return _cut(", ".join(cell(one, form) for one in value[:40]) or "-")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_number(value):
        return _number(value, form)
    return _cut(str(value))


def percent(part: float | None) -> str:
    return "-" if part is None else f"{part:.0%}"


def minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} minutes"


def _number(value: float, form: str) -> str:
    if form.endswith("d"):
        return format(round(value), form)
    return format(value, form) if form else (f"{value:.4g}" if isinstance(value, float) else str(value))


def _cut(text: str) -> str:
    return text if len(text) <= MOST else f"{text[: MOST - 1]}\N{HORIZONTAL ELLIPSIS}"
