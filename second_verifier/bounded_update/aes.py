"""AES-256 (FIPS 197) for encryption only, counter mode (NIST SP 800-38A), and HKDF-SHA256 (RFC 5869).

Plain Python with tables: slow, and its time depends on the key. The public elements a_j are made with it; for the
secrets of anything but test vectors it is not meant.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator
from typing import Final


def _double(x: int) -> int:
    return (x << 1) ^ (0x11B if x & 0x80 else 0)


def _s_box() -> list[int]:
    """Inversion in GF(2^8), then the affine map: both from powers of the generator 3."""
    exponent, value = [0] * 256, 1
    logarithm = [0] * 256
    for i in range(255):
        exponent[i], logarithm[value] = value, i
        value ^= _double(value)
    box = []
    for x in range(256):
        inverse = exponent[-logarithm[x] % 255] if x else 0
        rotations = (inverse << shift | inverse >> 8 - shift for shift in range(5))
        result = 0x63
        for rotation in rotations:
            result ^= rotation & 0xFF
        box.append(result)
    return box


_S: Final = _s_box()


def _round_tables() -> list[list[int]]:
    """S-box and MixColumns of one byte, as a big-endian word, for each of the four rows."""
    first = [_double(s) << 24 | s << 16 | s << 8 | (_double(s) ^ s) for s in _S]
    return [[word >> 8 * row | (word << 32 - 8 * row) & 0xFFFFFFFF for word in first] for row in range(4)]


_T0, _T1, _T2, _T3 = _round_tables()


def _expand_key(key: bytes) -> list[int]:
    """60 round-key words of AES-256."""
    words = list(struct.unpack(">8I", key))
    constant = 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = (word << 8 | word >> 24) & 0xFFFFFFFF
        if i % 4 == 0:
            word = int.from_bytes(bytes(_S[b] for b in word.to_bytes(4, "big")), "big")
        if i % 8 == 0:
            word ^= constant << 24
            constant = _double(constant)
        words.append(words[-8] ^ word)
    return words


class Aes256:
    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a key of AES-256 has 32 bytes")
        self._keys = _expand_key(key)

    def encrypt(self, block: bytes) -> bytes:
        k = self._keys
        a, b, c, d = (word ^ key for word, key in zip(struct.unpack(">4I", block), k[:4], strict=True))
        for i in range(4, 56, 4):
            a, b, c, d = (
                _T0[a >> 24] ^ _T1[b >> 16 & 255] ^ _T2[c >> 8 & 255] ^ _T3[d & 255] ^ k[i],
                _T0[b >> 24] ^ _T1[c >> 16 & 255] ^ _T2[d >> 8 & 255] ^ _T3[a & 255] ^ k[i + 1],
                _T0[c >> 24] ^ _T1[d >> 16 & 255] ^ _T2[a >> 8 & 255] ^ _T3[b & 255] ^ k[i + 2],
                _T0[d >> 24] ^ _T1[a >> 16 & 255] ^ _T2[b >> 8 & 255] ^ _T3[c & 255] ^ k[i + 3],
            )
        rows = ((a, b, c, d), (b, c, d, a), (c, d, a, b), (d, a, b, c))
        last = [
            (_S[p >> 24] << 24 | _S[q >> 16 & 255] << 16 | _S[r >> 8 & 255] << 8 | _S[s & 255]) ^ k[56 + i]
            for i, (p, q, r, s) in enumerate(rows)
        ]
        return struct.pack(">4I", *last)


def key_stream(key: bytes, counter: int) -> Iterator[bytes]:
    """AES-256-CTR from a 128-bit counter on, 16 bytes at a time."""
    cipher = Aes256(key)
    while True:
        yield cipher.encrypt((counter % 2**128).to_bytes(16, "big"))
        counter += 1


def hkdf(seed: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 without salt, 32 bytes of output."""
    pseudorandom = hmac.digest(bytes(32), seed, hashlib.sha256)
    return hmac.digest(pseudorandom, info + b"\x01", hashlib.sha256)
