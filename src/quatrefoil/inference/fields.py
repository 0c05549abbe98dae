"""Members of the protocol's JSON objects: known ones only, each of its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quatrefoil.errors import RequestRefused
from quatrefoil.inference.limits import LONGEST_NAME, MOST_RANK

_HINT = "Write messages as the Open Inference Protocol v2 says; docs/inference.md lists what is read"


def members(value: Any, known: Mapping[str, type], required: set[str], where: str) -> dict[str, Any]:
    """The object ``value``; every member is known and of its type, and none that is required is absent."""
    if type(value) is not dict:
        raise RequestRefused(f"{where} is no object", hint=_HINT)
    if not value.keys() <= known.keys():
        raise RequestRefused(f"{where} has a member that is not known", hint=_HINT)
    for name in known:
        if name in value and type(value[name]) is not known[name]:
            raise RequestRefused(f"{name} of {where} has another type", hint=_HINT)
        if name in required and name not in value:
            raise RequestRefused(f"{where} has no {name}", hint=_HINT)
    return value


def listed(value: list[Any], most: int, where: str) -> list[Any]:
    """A list that is not longer than ``most``."""
    if len(value) > most:
        raise RequestRefused(f"more {where}s than the limit of {most}", hint="Send fewer at once")
    return value


def name(value: str, where: str) -> str:
    """A name: printable, not empty, not too long."""
    if not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
        raise RequestRefused(
            f"the name of {where} is no name", hint=f"Send 1 to {LONGEST_NAME} characters that can be printed"
        )
    return value


def identifier(value: str, where: str) -> str:
    """The same; it may be empty."""
    return value and name(value, where)


def shape(value: list[Any], where: str) -> tuple[int, ...]:
    """A shape: sizes from 0 on."""
    if len(value) > MOST_RANK:
        raise RequestRefused(f"{where} has more dimensions than {MOST_RANK}", hint="Send fewer dimensions")
    if any(type(size) is not int or size < 0 for size in value):
        raise RequestRefused(f"the shape of {where} is no list of sizes", hint=_HINT)
    return tuple(value)
