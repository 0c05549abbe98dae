"""The additive scheme a second time: plain Python integers, written from docs/additive-encryption.md, slow on purpose.

It shares no code with the kernel, and takes AES and HKDF from another library. ``encrypt`` must give the kernel's
ciphertexts byte for byte.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

P = 2**64 - 2**32 + 1
N = 4096
ETA = 42
PSI = pow(7, (P - 1) // (2 * N), P)


@dataclass(frozen=True)
class Parameters:
    name: str
    w: int
    k: int
    silos: int
    delta: int

    @property
    def width(self) -> int:
        return self.w + math.ceil(math.log2(self.silos))

    @property
    def largest(self) -> int:
        return 2 ** (self.w - 1) - 1

    def digest(self) -> bytes:
        name = self.name.encode()
        numbers = struct.pack("<6I", self.w, self.k, self.silos, self.delta, ETA, N)
        return sha256(b"quatrefoil/additive/v1/parameters" + struct.pack("<I", len(name)) + name + numbers).digest()


SETS = {
    p.name: p
    for p in (
        Parameters("sum-32-w12", 12, 3, 32, 12),
        Parameters("sum-256-w16", 16, 2, 256, 15),
        Parameters("sum-2048-w32", 32, 1, 2048, 20),
    )
}


def stream(seed: bytes, label: str, context: bytes, part: int, length: int) -> bytes:
    """Bytes of one part of a seeded stream."""
    info = b"quatrefoil/additive/v1/" + label.encode() + context
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(seed)
    start = (part << 64).to_bytes(16, "big")
    return Cipher(algorithms.AES(key), modes.CTR(start)).encryptor().update(bytes(length))


def words(data: bytes, size: int) -> list[int]:
    return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]


def uniform(p: Parameters, context: bytes, block: int) -> list[int]:
    """a_j as evaluations: the first N words below P."""
    found = [word for word in words(stream(context, "a", p.digest(), block, 8 * N + 1024), 8) if word < P]
    return found[:N]


def binomial(seed: bytes, label: str, context: bytes, block: int) -> list[int]:
    data = stream(seed, label, context, block, 12 * N)
    result = []
    for long, short in zip(words(data[: 8 * N], 8), words(data[8 * N :], 4), strict=True):
        up = long % 2**42
        down = (long >> 42) | (short % 2**20) << 22
        result.append(up.bit_count() - down.bit_count())
    return result


def secret(p: Parameters, seed: bytes) -> list[int]:
    return binomial(seed, "secret", p.digest(), 0)


def noise(p: Parameters, seed: bytes, context: bytes, block: int) -> list[int]:
    return binomial(seed, "noise", p.digest() + context, block)


def cyclic(x: Sequence[int], root: int) -> list[int]:
    """sum_i x[i] root^(i j) for every j, by the textbook recursion on even and odd entries."""
    if len(x) == 1:
        return list(x)
    even, odd = cyclic(x[::2], root * root % P), cyclic(x[1::2], root * root % P)
    out, power, half = [0] * len(x), 1, len(x) // 2
    for j in range(half):
        out[j] = (even[j] + power * odd[j]) % P
        out[j + half] = (even[j] - power * odd[j]) % P
        power = power * root % P
    return out


def reversed_bits(i: int) -> int:
    return int(f"{i:012b}"[::-1], 2)


def evaluate(x: Sequence[int]) -> list[int]:
    """x(psi^(2 r(i) + 1)) for every i, where r reverses 12 bits."""
    twisted = cyclic([c * pow(PSI, i, P) % P for i, c in enumerate(x)], PSI * PSI % P)
    return [twisted[reversed_bits(i)] for i in range(N)]


def interpolate(values: Sequence[int]) -> list[int]:
    """The coefficients that :func:`evaluate` takes to ``values``."""
    natural = [values[reversed_bits(i)] for i in range(N)]
    back = cyclic(natural, pow(PSI, -2, P))
    scale, inverse = pow(N, -1, P), pow(PSI, -1, P)
    return [c * scale * pow(inverse, i, P) % P for i, c in enumerate(back)]


def multiply(values_of_a: Sequence[int], s: Sequence[int]) -> list[int]:
    return interpolate([x * y % P for x, y in zip(values_of_a, evaluate(s), strict=True)])


def schoolbook(a: Sequence[int], s: Sequence[int], index: int) -> int:
    """One coefficient of a * s mod X^N + 1, from the definition."""
    total = sum(a[i] * s[index - i] if i <= index else -a[i] * s[N + index - i] for i in range(N))
    return total % P


def round_values(
    p: Parameters, values: Sequence[float], weight: float, clip: float, seed: bytes, context: bytes
) -> list[int]:
    """The whole update as integers; the coins of block j are its part of the rounding stream, in order."""
    factor = weight * (p.largest / clip)
    per_block = N * p.k
    rounded = []
    for block, start in enumerate(range(0, len(values), per_block)):
        coins = words(stream(seed, "rounding", p.digest() + context, block, 4 * per_block), 4)
        for value, coin in zip(values[start : start + per_block], coins, strict=False):
            x = max(-float(p.largest), min(float(p.largest), float(value) * factor))
            floor = math.floor(x)
            rounded.append(floor + (coin / 2**32 < x - floor))
    return rounded


def packed(p: Parameters, rounded: Sequence[int], block: int) -> list[int]:
    start = block * N * p.k
    run = list(rounded[start : start + N * p.k])
    run += [0] * (N * p.k - len(run))
    return [sum(run[t * N + i] << (p.width * t) for t in range(p.k)) for i in range(N)]


def header(p: Parameters, length: int, clip: float, context: bytes, count: int) -> bytes:
    start = b"QFADDSUM" + struct.pack("<HHIQ", 1, 0, count, length)
    return start + p.digest() + context + struct.pack("<d", clip)


def blocks(p: Parameters, length: int) -> range:
    return range(-(-length // (N * p.k)))


def encrypt(
    p: Parameters,
    values: Sequence[float],
    weight: float,
    clip: float,
    context: bytes,
    key_seed: bytes,
    noise_seed: bytes,
) -> bytes:
    rounded = round_values(p, values, weight, clip, noise_seed, context)
    s = secret(p, key_seed)
    out = header(p, len(values), clip, context, 1)
    for j in blocks(p, len(values)):
        product = multiply(uniform(p, context, j), s)
        e = noise(p, noise_seed, context, j)
        m = packed(p, rounded, j)
        out += b"".join(
            ((x + y + (z << p.delta)) % P).to_bytes(8, "little") for x, y, z in zip(product, e, m, strict=True)
        )
    return out


def combine_keys(p: Parameters, seeds: Sequence[bytes]) -> bytes:
    total = [sum(column) % P for column in zip(*(secret(p, seed) for seed in seeds), strict=True)]
    start = b"QFADDKEY" + struct.pack("<HHI", 1, 0, len(seeds)) + p.digest()
    return start + b"".join(c.to_bytes(8, "little") for c in total)


def decrypt(p: Parameters, total: bytes, key: bytes, length: int, context: bytes) -> list[int]:
    """The sums of the rounded integers."""
    s = words(key[48:], 8)
    body = words(total[96:], 8)
    result = [0] * (len(blocks(p, length)) * N * p.k)
    for j in blocks(p, length):
        product = multiply(uniform(p, context, j), s)
        for i, coefficient in enumerate(unpacked(p, body[j * N : (j + 1) * N], product)):
            for t, value in enumerate(coefficient):
                result[j * N * p.k + t * N + i] = value
    return result[:length]


def unpacked(p: Parameters, body: Sequence[int], product: Sequence[int]) -> Iterator[list[int]]:
    for b, a_s in zip(body, product, strict=True):
        noisy = (b - a_s) % P
        noisy -= P if noisy > P // 2 else 0
        message = (noisy + 2 ** (p.delta - 1)) // 2**p.delta
        slots = []
        for _ in range(p.k):
            value = message % 2**p.width
            value -= 2**p.width if value >= 2 ** (p.width - 1) else 0
            slots.append(value)
            message = (message - value) // 2**p.width
        assert message == 0
        yield slots
