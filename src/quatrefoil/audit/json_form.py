"""Typed values as JSON: one deterministic, strictly read form for frozen dataclasses.

A field ``clip_norm`` is the name ``clipNorm``; fields are ``str``, ``int`` (0 to 2^53-1), ``float``, ``bytes``
(lower-case hex), ``datetime`` (RFC 3339 in whole seconds, UTC, with "Z"), another such dataclass, or ``tuple[X, ...]``
of those. A field that may be absent is ``X | None`` with ``said_as("words")``: what is not there is said in these
words, and never by an empty value. Reading refuses a missing or surplus name, a value of another kind, and any second
way to write it.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from quatrefoil import strict_json
from quatrefoil.errors import EvidenceRejected

Form = TypeVar("Form")

_WORDS, _NAME = "words for nothing", "name"
_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_HINT = "It was written by another version of Quatrefoil, or altered: see docs/provenance.md"


def said_as(words: str) -> Any:
    """A dataclass field that may be None, written as ``words``."""
    return dataclasses.field(metadata={_WORDS: words})


def named(name: str) -> Any:
    """A dataclass field with another name in JSON than here."""
    return dataclasses.field(metadata={_NAME: name})


def encode(value: Any) -> bytes:
    """The one JSON form of a dataclass."""
    return strict_json.canonical(to_json(value))


def decode(kind: type[Form], data: bytes, what: str, *, limit: int) -> Form:
    """The value in ``data``, or ``EvidenceRejected``; it encodes to exactly ``data``."""
    value = from_json(kind, strict_json.parse(data, what, limit=limit), what)
    if encode(value) != data:
        raise EvidenceRejected(f"{what} is not in its canonical form", hint=_HINT)
    return value


def to_json(value: Any) -> Any:
    """What a JSON writer takes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = _fields(typing.cast("typing.Hashable", type(value)))
        return {name: _field_to_json(getattr(value, field), words) for field, name, _, words in fields}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"
    return value


def from_json(kind: type[Form], value: Any, where: str) -> Form:
    """The dataclass ``kind`` in what a JSON reader gave."""
    fields = _fields(typing.cast("typing.Hashable", kind))
    if type(value) is not dict:
        raise _refused(where, "no object")
    if surplus := sorted(value.keys() - {name for _, name, _, _ in fields}):
        raise _refused(where, f"has the unknown name {surplus[0][:40]!r}")
    if missing := [name for _, name, _, _ in fields if name not in value]:
        raise _refused(where, f"lacks {missing[0]}")
    return kind(
        **{
            field: None if words is not None and value[name] == words else _read(part, value[name], f"{where}.{name}")
            for field, name, part, words in fields
        }
    )


def _field_to_json(value: Any, words: str | None) -> Any:
    if value is None:
        assert words is not None, "a field that may be None has words for it"
        return words
    return to_json(value)


def _read(kind: Any, value: Any, where: str) -> Any:
    if typing.get_origin(kind) is tuple:
        if type(value) is not list:
            raise _refused(where, "is no list")
        return tuple(_read(typing.get_args(kind)[0], item, f"{where}[{at}]") for at, item in enumerate(value))
    if dataclasses.is_dataclass(kind):
        return from_json(typing.cast("type[Any]", kind), value, where)
    if kind is bytes:
        if type(value) is not str or not _HEX.fullmatch(value):
            raise _refused(where, "is no lower-case hex")
        return bytes.fromhex(value)
    if kind is datetime:
        return _time(value, where)
    if type(value) is not kind:
        raise _refused(where, f"is {type(value).__name__}, not {kind.__name__}")
    if kind is int and value < 0:
        raise _refused(where, "is negative")
    return value


def _time(value: Any, where: str) -> datetime:
    if type(value) is not str or not _TIME.fullmatch(value):
        raise _refused(where, "is no time such as 2030-01-31T12:00:00Z")
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise _refused(where, "is no time that there is") from None


def _refused(where: str, problem: str) -> EvidenceRejected:
    return EvidenceRejected(f"{where} {problem}", hint=_HINT)


@cache
def _fields(kind: Any) -> tuple[tuple[str, str, Any, str | None], ...]:
    """For each field: its name here, its name in JSON, its kind without None, and the words for None."""
    hints = typing.get_type_hints(kind)
    found = []
    for field in dataclasses.fields(kind):
        part = hints[field.name]
        if isinstance(part, types.UnionType):
            part = next(one for one in typing.get_args(part) if one is not types.NoneType)
        first, *rest = field.name.split("_")
        name = field.metadata.get(_NAME) or first + "".join(word.capitalize() for word in rest)
        found.append((field.name, name, part, field.metadata.get(_WORDS)))
    return tuple(found)
