"""Nested values of JSON read strictly into dataclasses of numbers, lines and mappings; every fault names its field."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from typing import Any

from quatrefoil.configuration import shown
from quatrefoil.errors import PolicyInvalid

LARGEST_NUMBER = 1e15
_LARGEST_TEXT = 80


def parsed(kind: Any, text: str, *, schema: str, source: str, hint: str) -> Any:
    """``text`` as ``kind``, a dataclass; ``PolicyInvalid`` names ``source`` and the field of what is wrong."""
    try:
        content = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise PolicyInvalid(f"{source}: is nested too deeply", hint=hint) from None
    except json.JSONDecodeError as error:
        raise PolicyInvalid(f"{source}:{error.lineno}: is not JSON: {error.msg}", hint=hint) from None
    except ValueError as error:
        raise PolicyInvalid(f"{source}: {error}", hint=hint) from None
    if not isinstance(content, dict):
        raise PolicyInvalid(f"{source}: is not a JSON object", hint=hint)
    given = content.pop("schema", None)
    if given != schema:
        found = shown(given) if isinstance(given, str) else "nothing"
        raise PolicyInvalid(f"{source}: schema: is {found}, not {schema!r}", hint=hint)
    try:
        return _build(kind, content, "")
    except _Fault as fault:
        raise PolicyInvalid(f"{source}: {fault}", hint=hint) from None


class _Fault(Exception):
    """What is wrong with which field."""


def _build(kind: Any, value: Any, where: str) -> Any:
    """``value`` as the dataclass, mapping, number or text that ``kind`` says."""
    if kind in (float, int):
        return _number(kind, value, where)
    if kind is str:
        if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= _LARGEST_TEXT:
            raise _Fault(f"{where}is no text of 1 to {_LARGEST_TEXT} printable characters")
        return value
    if not isinstance(value, dict):
        raise _Fault(f"{where}is {type(value).__name__}, not an object")
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        wrong = sorted(hints.keys() ^ value.keys())
        if wrong:
            state = "is missing" if wrong[0] in hints else "is not a known field"
            raise _Fault(f"{where}{_field(wrong[0])}: {state}")
        return kind(**{name: _build(hint, value[name], f"{where}{name}: ") for name, hint in hints.items()})  # type: ignore[operator]
    assert typing.get_origin(kind) is Mapping or issubclass(typing.get_origin(kind), Mapping)
    _, item = typing.get_args(kind)
    if item is Any:
        return value
    return {key: _build(item, inner, f"{where}{_field(key)}: ") for key, inner in value.items()}


def _number(kind: type, value: Any, where: str) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        wanted = "a whole number" if kind is int else "a number"
        raise _Fault(f"{where}is {type(value).__name__}, not {wanted}")
    if not 0 <= value < LARGEST_NUMBER:
        raise _Fault(f"{where}is outside 0 to {LARGEST_NUMBER:g}")
    return kind(value)  # type: ignore[no-any-return]


def _field(name: str) -> str:
    return name if name.isascii() and name.isprintable() and len(name) <= 40 else shown(name)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{_field(next(n for n in names if names.count(n) > 1))}: is given twice")
    return content


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"holds {text[:40]}, which no number is as large as")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"holds {name}, which is not a number")


__all__ = ["parsed"]
