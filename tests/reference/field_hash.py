"""The field hash a second time, from docs/field-hash.md alone: BLAKE3's output for one block, and sums in Python.

Nothing of ours: the only arrays are those in which many blocks of BLAKE3 are done at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

P = 2**64 - 2**32 + 1
ROWS = {(8, True): 152, (8, False): 256, (16, True): 384, (16, False): 528}
SMALL, LARGEST = 2048, 1 << 20
SPARE = 256

Words = NDArray[np.uint32]


def shape(size: int, low: int, high: int) -> tuple[int, int, int]:
    """Rows, entries of rho, and whole bits of each."""
    width = high - low + 1
    if not 1 <= size <= LARGEST or not 16 <= width <= 1 << 16 or low < -(1 << 15) or high >= 1 << 16:
        raise ValueError("no such hash")
    rows = ROWS[8 if width <= 256 else 16, size <= SMALL]
    bits = width.bit_length() - 1
    return rows, -(-(64 * rows + SPARE) // bits), bits


def rho(size: int, low: int, high: int, randomness: bytes) -> list[int]:
    """The entries that these bytes stand for."""
    _, entries, bits = shape(size, low, high)
    step = 1 if bits <= 8 else 2
    if len(randomness) != step * entries:
        raise ValueError("another number of bytes")
    words = [int.from_bytes(randomness[at : at + step], "little") for at in range(0, len(randomness), step)]
    return [low + word % (1 << bits) for word in words]


def field_hash(inputs: Sequence[int], low: int, high: int, randomness: bytes) -> bytes:
    """h, of inputs that are in the range."""
    if any(not low <= one <= high for one in inputs):
        raise ValueError("outside the range")
    rows, _, _ = shape(len(inputs), low, high)
    blind = rho(len(inputs), low, high, randomness)
    columns = zip(matrix(len(inputs), low, high), [*inputs, *blind], strict=True)
    sums = [0] * rows
    for column, entry in columns:
        sums = [total + word * entry for total, word in zip(sums, column, strict=True)]
    return b"".join((total % P).to_bytes(8, "little") for total in sums)


def matrix(size: int, low: int, high: int) -> list[list[int]]:
    """The columns of A."""
    rows, entries, _ = shape(size, low, high)
    return columns("input", size, rows) + columns("blind", entries, rows)


def columns(label: str, count: int, rows: int) -> list[list[int]]:
    """The first ``count`` columns with this label."""
    blocks = -(-8 * (rows + 8) // 64)
    messages = [f"quatrefoil/field-hash/v1 {label}".encode() + index.to_bytes(4, "little") for index in range(count)]
    found = []
    for stream in extended(messages, blocks):
        words = [int.from_bytes(stream[at : at + 8], "little") for at in range(0, len(stream), 8)]
        found.append([word for word in words if word < P][:rows])
        assert len(found[-1]) == rows
    return found


# --------------------------------------------------------------------------------------------------------------- BLAKE3

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
QUARTERS = (
    *((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)),
    *((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)),
)
ONE_BLOCK = 1 | 2 | 8
"""Flags: the chunk starts, ends, and is the root."""


def extended(messages: list[bytes], blocks: int) -> list[bytes]:
    """The first 64 ``blocks`` bytes of BLAKE3's extended output for messages of one length, of one block at most."""
    (length,) = {len(one) for one in messages}
    padded = b"".join(one.ljust(64, b"\0") for one in messages)
    given = np.frombuffer(padded, "<u4").reshape(len(messages), 16)
    message = [np.repeat(given[:, place], blocks).astype(np.uint32) for place in range(16)]
    counter = np.tile(np.arange(blocks, dtype=np.uint32), len(messages))
    full = [np.full_like(counter, word) for word in (*IV, *IV[:4], 0, 0, length, ONE_BLOCK)]
    full[12] = counter
    for number in range(7):
        for place, (a, b, c, d) in enumerate(QUARTERS):
            _mix(full, a, b, c, d, message[2 * place], message[2 * place + 1])
        if number < 6:
            message = [message[place] for place in PERMUTATION]
    low = [full[i] ^ full[i + 8] for i in range(8)]
    high = [full[i + 8] ^ np.uint32(IV[i]) for i in range(8)]
    out = np.stack(low + high, axis=1).astype("<u4").tobytes()
    return [out[at : at + 64 * blocks] for at in range(0, len(out), 64 * blocks)]


def _mix(v: list[Words], a: int, b: int, c: int, d: int, x: Words, y: Words) -> None:
    for word, (first, second) in ((x, (16, 12)), (y, (8, 7))):
        v[a] = v[a] + v[b] + word
        v[d] = _turned(v[d] ^ v[a], first)
        v[c] = v[c] + v[d]
        v[b] = _turned(v[b] ^ v[c], second)


def _turned(words: Words, bits: int) -> Words:
    return words >> np.uint32(bits) | words << np.uint32(32 - bits)
