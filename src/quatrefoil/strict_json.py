"""JSON as evidence: one reading only, and one way to write a value.

RFC 8259 leaves open what a duplicate name, an enormous number or a deep nesting means; readers differ there, and so
would what two people see in one signed file. Here each of them is refused. What is written is canonical: names sorted,
no spaces, ASCII, numbers in the shortest form that reads back the same.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from typing import Any

from quatrefoil.errors import EvidenceRejected

LARGEST_INTEGER = (1 << 53) - 1
"""What every reader of JSON holds exactly (RFC 8259 section 6)."""

MOST_DEPTH = 16
# A string that does not end takes the rest with it: else each of its quotes would be read to the end once more.
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[{\]}]', re.DOTALL)
# Made once: json.dumps makes one for every call that is not plain.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_HINT = "It was not written by Quatrefoil, or was altered: ask for it again"


def canonical(value: Any) -> bytes:
    """The one form of ``value``: objects, lists, strings, integers, finite floats, booleans, null."""
    return _ENCODER.encode(value).encode()


def small(text: str) -> int:
    """For ``parse_int``: an integer that every reader holds exactly."""
    if len(text) > 17 or abs(value := int(text)) > LARGEST_INTEGER:
        raise _Refused("an integer beyond 2^53 - 1")
    return value


def parse(data: bytes, what: str, *, limit: int, integer: Callable[[str], int] = small) -> Any:
    """The value in ``data``, or ``EvidenceRejected``. Whether its form is canonical is not looked at.

    ``integer`` reads the integers, or raises ``ValueError``.
    """
    if len(data) > limit:
        raise EvidenceRejected(f"{what} of {len(data)} bytes is over the limit of {limit}", hint=_HINT)
    _require_shallow(data, what)
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=no_number, parse_float=finite, parse_int=integer
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        reason = str(error)[:80] if isinstance(error, _Refused) else type(error).__name__
        raise EvidenceRejected(f"{what} is not strict JSON ({reason})", hint=_HINT) from None
    return value


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str, what: str) -> bytes:
    """The bytes of standard base64 with padding (RFC 4648 section 4), in its one canonical form."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise EvidenceRejected(f"{what} is not base64", hint=_HINT) from None
    if to_base64(data) != text:
        raise EvidenceRejected(f"{what} is base64, and not in its canonical form", hint=_HINT)
    return data


class _Refused(ValueError):
    """Refused here, not by the JSON reader."""


def _require_shallow(data: bytes, what: str) -> None:
    """Refuse deep nesting before a recursive reader sees it. Brackets inside strings do not count."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(data):
        first = found[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MOST_DEPTH:
            raise EvidenceRejected(f"{what} is nested deeper than {MOST_DEPTH}", hint=_HINT)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("a name twice in one object")
    return found


def no_number(text: str) -> float:
    """For ``parse_constant``: NaN and the infinities are no JSON."""
    raise _Refused(f"{text} is no number")


def finite(text: str) -> float:
    """For ``parse_float``: a number that a float holds."""
    value = float(text)
    if not math.isfinite(value):
        raise _Refused("a number too large")
    return value
