"""Variable-length integers of QUIC (RFC 9000 section 16): what RFC 9292 and chunked OHTTP count bytes with.

The two highest bits of the first byte say how many there are: 1, 2, 4 or 8. We write the shortest form. A longer one is
read, since both formats allow it; nothing that is compared or hashed depends on the form.
"""

from __future__ import annotations

LARGEST = (1 << 62) - 1


def encode(value: int) -> bytes:
    """The shortest form of 0 to 2^62-1."""
    if not 0 <= value <= LARGEST:
        raise ValueError("a variable-length integer is from 0 to 2^62-1")
    if value < 0x40:
        return bytes((value,))
    for size, bits in ((2, 0x40), (4, 0x80), (8, 0xC0)):
        if value < 1 << (8 * size - 2):
            encoded = bytearray(value.to_bytes(size, "big"))
            encoded[0] |= bits
            break
    return bytes(encoded)


def size_of(first: int) -> int:
    """How many bytes the integer has that begins with the byte ``first``."""
    return 1 << (first >> 6)


def value_of(encoded: bytes | bytearray | memoryview) -> int:
    """The integer in exactly the bytes that its first one announces."""
    return int.from_bytes(encoded, "big") & ((1 << (8 * len(encoded) - 2)) - 1)


def prefixed(content: bytes) -> bytes:
    """``content`` after its length."""
    return encode(len(content)) + content
