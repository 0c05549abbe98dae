"""Altered seeds, the same each time: what the tests try where no coverage-guided fuzzer runs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

INTERESTING = (
    b"\x00",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff" * 8,
    b"\x9f",
    b"\x1b" + b"\xff" * 8,
    b"\x84\xff\xff\xff\xff",
    b"0",
)


def altered(seeds: Sequence[bytes], count: int, number: int) -> Iterator[bytes]:
    """``count`` inputs, each a seed after one to eight alterations; ``number`` chooses which."""
    source = random.Random(number)
    for _ in range(count):
        data = bytearray(source.choice(seeds))
        for _ in range(source.choice((1, 1, 2, 4, 8))):
            _alter(data, source, seeds)
        yield bytes(data)


def _alter(data: bytearray, source: random.Random, seeds: Sequence[bytes]) -> None:
    # Most of what is worth altering is near the beginning: headers, tags, lengths.
    reach = len(data) if source.random() < 0.5 else min(len(data), 160)
    at = source.randrange(reach + 1)
    size = source.choice((1, 1, 2, 4, 8, 32))
    how = source.randrange(7)
    if how == 0 and data:
        data[min(at, len(data) - 1)] ^= 1 << source.randrange(8)
    elif how == 1:
        data[at : at + size] = source.randbytes(size)
    elif how == 2:
        interesting = source.choice(INTERESTING)
        data[at : at + len(interesting)] = interesting
    elif how == 3:
        del data[at : at + size]
    elif how == 4:
        data[at:at] = source.choice(INTERESTING) * source.choice((1, 1, 3, 40))
    elif how == 5:
        del data[at:]
    else:
        other = source.choice(seeds)
        start = source.randrange(len(other) + 1)
        data[at:at] = other[start : start + source.choice((4, 16, 64))]
