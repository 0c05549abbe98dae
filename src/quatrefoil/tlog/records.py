"""Files of records that are only ever appended to: which record is whole, and whether the last one is torn.

A file begins with a line that says what it is and a mark that is its own, 16 random bytes. Each record is the mark, its
length (4 bytes, big-endian), SHA-256 of its content, and the content. The mark tells a record that was being written
when the process stopped from one that was damaged later: it is random, so that no content holds it, and it stands at
the beginning of each record alone.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

MARK_BYTES = 16
_HEAD = struct.Struct(">I32s")


@dataclass(frozen=True)
class Records:
    """``whole``: the records up to ``end``. ``damaged``: what follows holds the beginning of another one."""

    mark: bytes
    whole: tuple[bytes, ...]
    end: int
    damaged: bool


def record(mark: bytes, content: bytes) -> bytes:
    return mark + _HEAD.pack(len(content), hashlib.sha256(content).digest()) + content


def read(magic: bytes, content: bytes) -> Records | None:
    """The records of a file; None where it does not begin with ``magic`` and a mark."""
    at = len(magic) + MARK_BYTES
    if not content.startswith(magic) or len(content) < at:
        return None
    mark, found = content[len(magic) : at], list[bytes]()
    while (one := _whole(content, at, mark)) is not None:
        found.append(one)
        at += len(mark) + _HEAD.size + len(one)
    return Records(mark, tuple(found), at, mark in content[at + 1 :])


def _whole(content: bytes, at: int, mark: bytes) -> bytes | None:
    """The record that begins here, if all of it arrived."""
    head = at + len(mark)
    if content[at:head] != mark or len(content) - head < _HEAD.size:
        return None
    length, digest = _HEAD.unpack_from(content, head)
    begin = head + _HEAD.size
    found = content[begin : begin + length]
    return found if len(found) == length and hashlib.sha256(found).digest() == digest else None


__all__ = ["MARK_BYTES", "Records", "read", "record"]
