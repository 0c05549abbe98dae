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
_COLUMNS_AND_DIAGONALS: Final = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip


def _steps() -> list[tuple[int, int, int, int, int, int]]:
    """The 56 quarter rounds: four words of the state, two of the message."""
    order = list(range(16))
    steps = []
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(_COLUMNS_AND_DIAGONALS):
            steps.append((a, b, c, d, order[2 * i], order[2 * i + 1]))
        order = [order[i] for i in _PERMUTATION]
    return steps


_STEPS: Final = _steps()
_MASK: Final = 0xFFFFFFFF


def _compress(
    chaining: tuple[int, ...], message: tuple[int, ...], counter: int, length: int, flags: int
) -> tuple[int, ...]:
    """16 words; the first eight are the next chaining value."""
    v = [*chaining, *IV[:4], counter & _MASK, counter >> 32, length, flags]
    for a, b, c, d, x, y in _STEPS:
        va, vb = (v[a] + v[b] + message[x]) & _MASK, v[b]
        vd = v[d] ^ va
        vd = (vd >> 16 | vd << 16) & _MASK
        vc = (v[c] + vd) & _MASK
        vb ^= vc
        vb = (vb >> 12 | vb << 20) & _MASK
        va = (va + vb + message[y]) & _MASK
        vd ^= va
        vd = (vd >> 8 | vd << 24) & _MASK
        vc = (vc + vd) & _MASK
        vb ^= vc
        v[a], v[b], v[c], v[d] = va, (vb >> 7 | vb << 25) & _MASK, vc, vd
    low = [v[i] ^ v[i + 8] for i in range(8)]
    return (*low, *(v[i + 8] ^ chaining[i] for i in range(8)))


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
