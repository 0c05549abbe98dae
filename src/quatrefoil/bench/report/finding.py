"""Figures found in results by path, and nothing believed of what a result holds.

A path is names joined by points. Behind a name may stand ``[key=value]``, the elements of a list in which ``key`` is
that value (or one of ``value|value``), ``[3]`` or ``[-1]``, one element, or ``[*]``, all of them: ``rows[shape=upload
of 20 MB][stack=hybrid-768].best_ms``. It may lead to several figures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from quatrefoil.errors import CallerError

_STEP = re.compile(r"([A-Za-z_][\w-]*)((?:\[[^\[\]]+\])*)(?:\.(?=.)|\Z)")
_CHOICE = re.compile(r"\[([^\[\]]+)\]")
MOST = 1000
"""Of a list, what is looked at."""


def find(content: Any, path: str) -> list[Any]:
    """Everything that a path leads to, in order; nothing where it leads nowhere. ``CallerError``: it is no path."""
    found = [content]
    for name, choices in steps(path):
        found = [one[name] for one in found if isinstance(one, Mapping) and name in one]
        for choice in choices:
            found = [chosen for one in found for chosen in _chosen(one, choice)]
    return found


def numbers(content: Any, path: str) -> list[float]:
    """The finite numbers that a path leads to. Booleans are none."""
    return [float(one) for one in find(content, path) if is_number(one)]


def number(content: Any, path: str) -> float | None:
    """The number, where a path leads to exactly one."""
    found = numbers(content, path)
    return found[0] if len(found) == 1 else None


def rows(content: Any, path: str) -> list[Mapping[str, Any]]:
    """The objects in the list at a path."""
    return [one for one in find(content, f"{path}[*]") if isinstance(one, Mapping)]


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def steps(path: str) -> list[tuple[str, list[str]]]:
    """A path taken apart; ``CallerError`` where it is none."""
    found, at = [], 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            break
        found.append((step[1], _CHOICE.findall(step[2])))
        at = step.end()
    if not found or at < len(path):
        raise CallerError(
            f"{path[:100]!r} is no path", hint="Write names and points, as in rows[stack=hybrid-768].best_ms"
        )
    return found


def _chosen(value: Any, choice: str) -> Iterator[Any]:
    if isinstance(value, Mapping) and "=" in choice:
        value = [value]  # chosen before, by another key
    if not isinstance(value, list):
        return
    if choice == "*":
        yield from value[:MOST]
    elif re.fullmatch(r"-?\d{1,6}", choice):
        if -len(value) <= int(choice) < len(value):
            yield value[int(choice)]
    else:
        key, _, wanted = choice.partition("=")
        yield from (one for one in value[:MOST] if isinstance(one, Mapping) and str(one.get(key)) in wanted.split("|"))
