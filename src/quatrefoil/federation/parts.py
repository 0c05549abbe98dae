"""Several byte strings as one: how a message and what travels beside it share a frame.

Form: u32 number of parts, then for each its length as u64, then the parts; all integers big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from quatrefoil.errors import MessageRefused

_HINT = "Check that both sides run the same version of Quatrefoil"


def join(parts: Sequence[bytes]) -> bytes:
    """The parts as one byte string."""
    lengths = struct.pack(f">I{len(parts)}Q", len(parts), *(len(part) for part in parts))
    return b"".join([lengths, *parts])


def split_list(data: bytes, most: int) -> list[bytes]:
    """Up to ``most`` parts, as many as the data says."""
    count = int.from_bytes(data[:4], "big")
    if count > most:
        raise MessageRefused(f"message has {count} parts, more than {most}", hint=_HINT)
    return split(data, count)


def split(data: bytes, count: int) -> list[bytes]:
    """Exactly ``count`` parts, or ``MessageRefused``. Nothing is allocated by a length that the data does not hold."""
    header = 4 + 8 * count
    if len(data) < header:
        raise MessageRefused(f"message of {len(data)} bytes ends inside its header", hint=_HINT)
    found, *lengths = struct.unpack_from(f">I{count}Q", data)
    if found != count:
        raise MessageRefused(f"message has {found} parts, not {count}", hint=_HINT)
    if header + sum(lengths) != len(data):
        raise MessageRefused(f"message of {len(data)} bytes announces {header + sum(lengths)}", hint=_HINT)
    parts, start = [], header
    for length in lengths:
        parts.append(data[start : start + length])
        start += length
    return parts
