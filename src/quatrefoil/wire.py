"""Messages as bytes: one deterministic form for every object that is hashed, signed or sent.

An object is the CBOR array ``[type, version, [field, ...]]`` in RFC 8949 section 4.2 core deterministic
encoding. ``type`` is a URN and ``version`` a number; both are inside whatever is hashed or signed, so that an
object of one type can never be taken for another. Decoding is strict: another type or version, a missing or
surplus field, a value of the wrong kind, trailing bytes or a non-deterministic form are ``MessageRefused``.

Subclass ``WireObject`` with a frozen dataclass whose fields are ``int`` (0 to 2^64-1), ``float``, ``bool``,
``str``, ``bytes``, another ``WireObject``, or ``tuple[X, ...]`` of those.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing
from functools import cache
from typing import Any, ClassVar, Self

import cbor2

from quatrefoil.errors import MessageRefused

LARGEST_MESSAGE = 64 << 20
"""Bytes; a roster of 2,048 certified silos fits. Ciphertexts and models travel beside objects, named by their hash."""

_DEEPEST = 32
"""Containers inside each other; the deepest message, a job, has 8."""

# cbor2 reads these by itself. Among them are references to what came before (25, 28, 29, 256), by which a short message
# could stand for an enormous one, and bignums (2, 3), which cannot be printed in an error message.
_BUILT_IN_TAGS = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799)

_PLAIN = frozenset((int, float, bool, str, bytes))

_HINT = "Check that both sides run the same version of Quatrefoil, and that nothing on the way alters messages"


@dataclasses.dataclass(frozen=True)
class WireObject:
    """Base of everything that is hashed, signed or sent. Subclasses set ``TYPE`` and ``VERSION``."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1

    def encode(self) -> bytes:
        """The one byte form of this object."""
        return cbor2.dumps(self._as_cbor(), canonical=True)

    def digest(self) -> bytes:
        """SHA-256 over :meth:`encode`: 32 bytes that name this object, its type and its version."""
        return hashlib.sha256(self.encode()).digest()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Parse bytes from outside, or raise ``MessageRefused`` saying what is wrong with them."""
        name = _short(cls)
        decoded = cls._from_cbor(parse_cbor(data, name))
        if decoded.encode() != bytes(data):
            raise MessageRefused(f"{name} is not in deterministic form, or has bytes after its end", hint=_HINT)
        return decoded

    def _as_cbor(self) -> list[Any]:
        cls: Any = type(self)
        return [self.TYPE, self.VERSION, [_to_cbor(getattr(self, name)) for name in _field_names(cls)]]

    @classmethod
    def _from_cbor(cls, value: Any) -> Self:
        name = _short(cls)
        if not (isinstance(value, list) and len(value) == 3 and isinstance(value[2], list)):
            raise MessageRefused(f"{name} is not a [type, version, fields] array", hint=_HINT)
        kind, version, fields = value
        if kind != cls.TYPE:
            raise MessageRefused(f"expected {cls.TYPE}, received {str(kind)[:80]!r}", hint=_HINT)
        if type(version) is not int or version != cls.VERSION:
            raise MessageRefused(f"{name} version {str(version)[:20]} is not {cls.VERSION}", hint=_HINT)
        expected = _field_types(typing.cast(typing.Hashable, cls))
        if len(fields) != len(expected):
            raise MessageRefused(f"{name} has {len(fields)} fields, not {len(expected)}", hint=_HINT)
        parsed = [
            _from_cbor(kind, item, f"{name}.{field}") for (field, kind), item in zip(expected, fields, strict=True)
        ]
        return cls(*parsed)


def type_of(data: bytes) -> str:
    """The type URN of encoded bytes, for dispatch; the object itself is still to be decoded."""
    value = parse_cbor(data, "message")
    if not (isinstance(value, list) and value and isinstance(value[0], str)):
        raise MessageRefused("message names no type", hint=_HINT)
    return value[0]


def parse_cbor(data: bytes, name: str, *, indefinite: bool = False) -> Any:
    """The CBOR value in ``data``, which errors call ``name``: no tags, no deep nesting, and nothing of indefinite
    length unless a foreign format has it.

    Whether the form is deterministic, and whether bytes follow, shows only when the value is encoded again.
    """
    if len(data) > LARGEST_MESSAGE:
        raise MessageRefused(f"{name} of {len(data)} bytes is over the limit of {LARGEST_MESSAGE}", hint=_HINT)
    try:
        return cbor2.loads(
            data,
            semantic_decoders=_REFUSED_TAGS,
            tag_hook=_refuse_tag,
            max_depth=_DEEPEST,
            allow_indefinite=indefinite,
        )
    except (cbor2.CBORDecodeError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise MessageRefused(f"{name} is not well-formed CBOR ({type(error).__name__})", hint=_HINT) from None


def _refuse_tag(*_: object) -> Any:
    raise cbor2.CBORDecodeError("a tag")


_REFUSED_TAGS = dict.fromkeys(_BUILT_IN_TAGS, _refuse_tag)


@cache
def _field_types(cls: Any) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(cls)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(cls))


@cache
def _field_names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


def _short(cls: type) -> str:
    return cls.__name__


def _to_cbor(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, WireObject):
        return value._as_cbor()
    if isinstance(value, tuple):
        return [_to_cbor(item) for item in value]
    return value


def _from_cbor(kind: Any, value: Any, where: str) -> Any:
    if kind in (bytes, str, bool) and type(value) is kind:
        return value
    if typing.get_origin(kind) is tuple:
        item_kind, ellipsis = typing.get_args(kind)
        if ellipsis is not Ellipsis:
            raise TypeError(f"{where}: only tuple[X, ...] is supported")
        if not isinstance(value, list):
            raise MessageRefused(f"{where} is not a list", hint=_HINT)
        return tuple(_from_cbor(item_kind, item, f"{where}[{i}]") for i, item in enumerate(value))
    if isinstance(kind, type) and issubclass(kind, WireObject):
        return kind._from_cbor(value)
    if kind not in _PLAIN:
        raise TypeError(f"{where}: {kind} cannot be sent")
    if type(value) is not kind:
        raise MessageRefused(f"{where} is {type(value).__name__}, not {kind.__name__}", hint=_HINT)
    if kind is int and not 0 <= value < 1 << 64:
        raise MessageRefused(f"{where} is outside 0 to 2^64-1", hint=_HINT)
    return value


__all__ = ["LARGEST_MESSAGE", "WireObject", "parse_cbor", "type_of"]
