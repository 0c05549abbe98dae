"""BLAKE3 in plain Python: the hash, its keyed mode, and extended output (the BLAKE3 specification, 2020, section 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

IV: Final = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
BLOCK: Final = 64
CHUNK: Final = 1024

CHUNK_START: Final = 1
CHUNK_END: Final = 2
PARENT: Final = 4
ROOT: Final = 8
KEYED_HASH: Final = 16

_PERMUTATION: Final = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_WORD: Final = 0xFFFFFFFF
_ROW: Final = (1 << 256) - 1


def _row(a: int, b: int, c: int, d: int) -> int:
    """Four words, 64 bits apart, so that carries and bits shifted out of one do not reach the next."""
    return a | b << 64 | c << 128 | d << 192


_WORDS: Final = _row(_WORD, _WORD, _WORD, _WORD)


def _schedule() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The message words of the 14 half rounds: of the columns, then of the diagonals, seven times."""
    order = list(range(16))
    halves = []
    for _ in range(7):
        halves += [(tuple(order[at : at + 8 : 2]), tuple(order[at + 1 : at + 8 : 2])) for at in (0, 8)]
        order = [order[i] for i in _PERMUTATION]
    return halves


_SCHEDULE: Final = _schedule()


def _compress(
    chaining: tuple[int, ...], message: tuple[int, ...], counter: int, length: int, flags: int
) -> tuple[int, ...]:
    """16 words; the first eight are the next chaining value. Four quarter rounds are done at once."""
    a, b, c = _row(*chaining[:4]), _row(*chaining[4:]), _row(*IV[:4])
    d = _row(counter & _WORD, counter >> 32, length, flags)
    m = message
    for half, ((p, q, r, s), (t, u, v, w)) in enumerate(_SCHEDULE):
        a = (a + b + (m[p] | m[q] << 64 | m[r] << 128 | m[s] << 192)) & _WORDS
        d ^= a
        d = (d >> 16 | d << 16) & _WORDS
        c = (c + d) & _WORDS
        b ^= c
        b = (b >> 12 | b << 20) & _WORDS
        a = (a + b + (m[t] | m[u] << 64 | m[v] << 128 | m[w] << 192)) & _WORDS
        d ^= a
        d = (d >> 8 | d << 24) & _WORDS
        c = (c + d) & _WORDS
        b ^= c
        b = (b >> 7 | b << 25) & _WORDS
        # Turn the rows, so that diagonals become columns, and back.
        b, d = (d, b) if half % 2 else (b, d)
        b = (b >> 64 | b << 192) & _ROW
        c = (c >> 128 | c << 128) & _ROW
        d = (d >> 192 | d << 64) & _ROW
        b, d = (d, b) if half % 2 else (b, d)
    rows = (a ^ c, b ^ d, c ^ _row(*chaining[:4]), d ^ _row(*chaining[4:]))
    return tuple(row >> 64 * lane & _WORD for row in rows for lane in range(4))


class _Node:
    """The last compression of a chunk or of a parent, not yet done: as the root it differs, and is repeated."""

    def __init__(self, chaining: tuple[int, ...], block: bytes, counter: int, flags: int) -> None:
        self._input = chaining, struct.unpack("<16I", block.ljust(BLOCK, b"\0")), counter, len(block), flags

    def chaining_value(self) -> tuple[int, ...]:
        return _compress(*self._input)[:8]

    def output(self) -> Iterator[bytes]:
        """Extended output, 64 bytes at a time."""
        chaining, message, _, length, flags = self._input
        counter = 0
        while True:
            yield struct.pack("<16I", *_compress(chaining, message, counter, length, flags | ROOT))
            counter += 1


def _chunk(key: tuple[int, ...], data: bytes, index: int, flags: int) -> _Node:
    blocks = [data[i : i + BLOCK] for i in range(0, len(data), BLOCK)] or [b""]
    chaining = key
    for i, block in enumerate(blocks[:-1]):
        start = CHUNK_START if i == 0 else 0
        chaining = _compress(chaining, struct.unpack("<16I", block), index, BLOCK, flags | start)[:8]
    start = CHUNK_START if len(blocks) == 1 else 0
    return _Node(chaining, blocks[-1], index, flags | start | CHUNK_END)


def _tree(key: tuple[int, ...], data: bytes, first: int, flags: int) -> _Node:
    if len(data) <= CHUNK:
        return _chunk(key, data, first, flags)
    chunks = -(-len(data) // CHUNK)
    left = 1 << (chunks - 1).bit_length() - 1  # the largest power of two that leaves something to the right
    children = (
        _tree(key, data[: left * CHUNK], first, flags),
        _tree(key, data[left * CHUNK :], first + left, flags),
    )
    block = b"".join(struct.pack("<8I", *child.chaining_value()) for child in children)
    return _Node(key, block, 0, flags | PARENT)


def _root(data: bytes, key: bytes | None) -> _Node:
    if key is None:
        return _tree(IV, data, 0, 0)
    if len(key) != 32:
        raise ValueError("a key of BLAKE3 has 32 bytes")
    return _tree(struct.unpack("<8I", key), data, 0, KEYED_HASH)


def digest(data: bytes, key: bytes | None = None) -> bytes:
    """32 bytes: the hash, or with a key of 32 bytes the keyed hash."""
    return next(_root(data, key).output())[:32]


def extended(data: bytes, key: bytes | None = None) -> Iterator[bytes]:
    """The extended output, without end, in pieces of 64 bytes."""
    return _root(data, key).output()
