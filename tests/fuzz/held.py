"""What every parser has to do with bytes from outside, whatever they are.

It refuses them with a typed error, or gives a value that encodes to the same bytes. Anything else that is raised is a
bug, and so is an input that takes long or much memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from quatrefoil.errors import QuatrefoilError

Parsed = TypeVar("Parsed")


def refused_or(parse: Callable[[], Parsed]) -> Parsed | None:
    """What ``parse`` gives, or ``None`` where it refuses. A refusal says what is wrong and what to do, in one line."""
    try:
        return parse()
    except QuatrefoilError as refusal:
        assert refusal.problem and refusal.hint and len(str(refusal)) < 4000, "a refusal must be readable"
        return None


def refused_or_same(parse: Callable[[], Parsed], encode: Callable[[Parsed], bytes], data: bytes) -> Parsed | None:
    """The same, where the value must encode to ``data``."""
    value = refused_or(parse)
    if value is not None:
        assert encode(value) == data, "what was accepted has another encoding"
    return value
