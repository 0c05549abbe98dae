"""BER (ITU-T X.690) read from a stream: elements small enough for memory, and one large content passed through.

Lengths may be indefinite, as archives written in a stream have them. Tags of one byte are all that CMS uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from quatrefoil.errors import MessageRefused

INTEGER, BIT_STRING, OCTET_STRING, OID, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x06, 0x30, 0x31

LARGEST_ELEMENT = 1 << 20
"""Bytes of an element that is read into memory: all recipients of an archive together."""

LARGEST_NUMBER = 64
"""Bytes of a number and of an object identifier. Serial numbers have at most 20 (RFC 5280 section 4.1.2.2), and so have
identifiers of algorithms; numbers of a megabyte would take minutes to write out, or could not be."""

PIECE = 1 << 16
_DEEPEST = 24
_END = (0, 0)


def refused(problem: str) -> MessageRefused:
    """Every refusal of this room."""
    return MessageRefused(f"the CMS archive {problem}", hint="Check that the file is whole and is what you mean")


@dataclass(frozen=True)
class Node:
    """An element in memory. ``raw``: all its bytes. ``value``: its content, without an end marker."""

    tag: int
    raw: bytes
    value: bytes

    def children(self) -> tuple[Node, ...]:
        """The elements inside; refused for what holds none."""
        if not self.tag & 0x20:
            raise refused("holds a value where a structure belongs")
        return tuple(parse_all(self.value))

    def expect(self, tag: int) -> Node:
        if self.tag != tag:
            raise refused(f"holds an element {self.tag:#04x} where {tag:#04x} belongs")
        return self

    def inside(self, tag: int) -> Node:
        """The one element in this explicit tag, or structure, of kind ``tag``."""
        children = self.expect(tag).children()
        if len(children) != 1:
            raise refused(f"holds {len(children)} elements where one belongs")
        return children[0]

    @property
    def number(self) -> int:
        return int.from_bytes(self._short(INTEGER), "big", signed=True)

    @property
    def dotted(self) -> str:
        """An object identifier in dotted form (X.690 section 8.19)."""
        arcs, value = [], 0
        for byte in self._short(OID):
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                arcs.append(value)
                value = 0
        if not arcs:
            raise refused("holds an empty object identifier")
        first = min(arcs[0] // 40, 2)
        return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))

    def _short(self, tag: int) -> bytes:
        value = self.expect(tag).value
        if len(value) > LARGEST_NUMBER:
            raise refused(f"holds a number of {len(value)} bytes, over the limit of {LARGEST_NUMBER}")
        return value


def parse_all(data: bytes) -> Iterator[Node]:
    """The elements that ``data`` consists of."""
    stream = BerStream(_Bytes(data))
    while stream.position < len(data):
        yield stream.element()


class BerStream:
    """Elements in order, from a stream. ``enter`` and ``leave`` step into a structure without reading it whole."""

    def __init__(self, source: BinaryIO | _Bytes) -> None:
        self._source = source
        self._peeked: bytes = b""
        self._ends: list[int | None] = []
        self.position = 0

    def enter(self, *tags: int) -> int:
        """Step into an element that has one of ``tags``; returns which."""
        tag, length = self._header()
        if tag not in tags:
            raise refused(f"holds an element {tag:#04x} where {' or '.join(f'{one:#04x}' for one in tags)} belongs")
        self._ends.append(None if length is None else self.position + length)
        return tag

    def leave(self) -> None:
        """Step out of the element that was entered last, which must be at its end."""
        end = self._ends[-1]
        if not self.at_end() or (end is not None and self.position > end):
            raise refused("holds more than it should, or a wrong length")
        if self._ends.pop() is None:
            self.take(2)

    def at_end(self) -> bool:
        """Whether nothing is left in the element that was entered last."""
        end = self._ends[-1]
        return self._peek(2) == bytes(_END) if end is None else self.position >= end

    def next_tag(self) -> int:
        tag = self._peek(1)
        return tag[0] if tag else -1

    def element(self, depth: int = 0) -> Node:
        """The next element, whole."""
        if depth > _DEEPEST:
            raise refused("is nested too deeply")
        tag, length = head = self._header()
        if length is not None:
            if length > LARGEST_ELEMENT:
                raise refused(f"holds an element of {length} bytes, over the limit of {LARGEST_ELEMENT}")
            value = self.take(length)
            return Node(tag, encoded_header(*head) + value, value)
        parts, size = [], 0
        while self._peek(2) != bytes(_END):
            parts.append(self.element(depth + 1).raw)
            size += len(parts[-1])
            if size > LARGEST_ELEMENT:
                raise refused(f"holds an element of over {LARGEST_ELEMENT} bytes")
        self.take(2)
        value = b"".join(parts)
        return Node(tag, encoded_header(tag, len(value)) + value, value)

    def octets(self, primitive: int, depth: int = 0) -> Iterator[bytes]:
        """The bytes of the next element, an octet string tagged ``primitive``, in pieces, however it is divided."""
        if depth > _DEEPEST:
            raise refused("is nested too deeply")
        tag, length = self._header()
        if tag == primitive and length is not None:
            for at in range(0, length, PIECE):
                yield self.take(min(PIECE, length - at))
        elif tag == primitive | 0x20:
            self._ends.append(None if length is None else self.position + length)
            while not self.at_end():
                yield from self.octets(OCTET_STRING, depth + 1)
            self.leave()
        else:
            raise refused("holds no encrypted content where it belongs")

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        found = self._peek(size)
        if len(found) < size:
            raise refused("ends too early")
        self._peeked = self._peeked[size:]
        self.position += size
        return found

    def _peek(self, size: int) -> bytes:
        while len(self._peeked) < size and (more := self._source.read(size - len(self._peeked))):
            self._peeked += more
        return self._peeked[:size]

    def _header(self) -> tuple[int, int | None]:
        tag = self.take(1)[0]
        if tag & 0x1F == 0x1F or tag == 0:
            raise refused(f"holds an element {tag:#04x}, which CMS has none of")
        first = self.take(1)[0]
        if first == 0x80:
            if not tag & 0x20:
                raise refused("holds a value of indefinite length")
            return tag, None
        if first < 0x80:
            return tag, first
        if first & 0x7F > 8:
            raise refused("holds an element too long for any file")
        return tag, int.from_bytes(self.take(first & 0x7F), "big")


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        self._at += len(found)
        return found


def encoded_header(tag: int, length: int | None) -> bytes:
    """Tag and definite length in DER: names in certificates are compared in this form."""
    assert length is not None
    if length < 0x80:
        return bytes([tag, length])
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big")
