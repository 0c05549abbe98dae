"""The encryption of one silo, as far as a proof is about it (docs/additive-encryption.md)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

from .aes import hkdf, key_stream
from .field import Ext, P
from .polynomials import negacyclic_coefficients, negacyclic_values
from .shape import ParameterSet, log2
from .transcript import Drawn


def stream(seed: bytes, label: str, context: bytes, part: int) -> Iterator[bytes]:
    """Part `part` of a seeded stream, 16 bytes at a time."""
    return key_stream(hkdf(seed, label.encode() + context), part << 64)


def _take(pieces: Iterator[bytes], length: int) -> bytes:
    return b"".join(next(pieces) for _ in range(-(-length // 16)))[:length]


def _words(data: bytes, size: int) -> list[int]:
    return [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]


@lru_cache(maxsize=16)
def public_element(parameters: ParameterSet, context: bytes, block: int) -> tuple[int, ...]:
    """a_j by its values at psi^1, psi^3, psi^5, .. in this order."""
    drawn = Drawn(stream(context, "quatrefoil/additive/v1/a", parameters.digest(), block))
    bits = log2(parameters.N)
    values = [0] * parameters.N
    for i in range(parameters.N):
        values[int(f"{i:0{bits}b}"[::-1], 2)] = drawn.base()
    return tuple(values)


def binomial(seed: bytes, label: str, context: bytes, part: int, parameters: ParameterSet) -> list[int]:
    """A secret or an error: N integers in [-42, 42]."""
    if parameters.eta != 42:
        raise ValueError("the sampler of the page is for eta = 42")
    N = parameters.N
    data = _take(stream(seed, f"quatrefoil/additive/v1/{label}", context, part), 12 * N)
    result = []
    for x, y in zip(_words(data[: 8 * N], 8), _words(data[8 * N :], 4), strict=True):
        up, down = x % 2**42, (x >> 42) | (y % 2**20) << 22
        result.append(up.bit_count() - down.bit_count())
    return result


def secret(parameters: ParameterSet, key_seed: bytes) -> list[int]:
    return binomial(key_seed, "secret", parameters.digest(), 0, parameters)


def pad(parameters: ParameterSet, key_seed: bytes) -> Ext:
    """pi, which hides s~(zeta) in v (docs/proofs.md, Key binding)."""
    return Drawn(stream(key_seed, "quatrefoil/proof/v1/pad", parameters.digest(), 0)).element()


def noise(parameters: ParameterSet, noise_seed: bytes, context: bytes, blocks: int) -> list[list[int]]:
    digests = parameters.digest() + context
    return [binomial(noise_seed, "noise", digests, block, parameters) for block in range(blocks)]


def rounded(
    parameters: ParameterSet, noise_seed: bytes, context: bytes, values: Sequence[float], clip: float, weight: float
) -> list[int]:
    """The integers q of the values, in the order of the values."""
    largest = float(2 ** (parameters.w - 1) - 1)
    factor = weight * (largest / clip)
    a_block = parameters.N * parameters.k
    result = []
    for block in range(-(-len(values) // a_block)):
        digests = parameters.digest() + context
        data = _take(stream(noise_seed, "quatrefoil/additive/v1/rounding", digests, block), 4 * a_block)
        for value, coin in zip(values[block * a_block : (block + 1) * a_block], _words(data, 4), strict=False):
            scaled = min(max(value * factor, -largest), largest)
            below = math.floor(scaled)
            result.append(below + (coin / 2**32 < scaled - below))
    return result


def slots(parameters: ParameterSet, q: Sequence[int]) -> list[list[list[int]]]:
    """[block][slot][coefficient], zero behind the last value."""
    N, k = parameters.N, parameters.k
    blocks = -(-len(q) // (N * k))
    padded = [*q, *[0] * (blocks * N * k - len(q))]
    return [[padded[(j * k + t) * N : (j * k + t + 1) * N] for t in range(k)] for j in range(blocks)]


def encrypt(
    parameters: ParameterSet,
    context: bytes,
    key: Sequence[int],
    errors: Sequence[Sequence[int]],
    q: Sequence[Sequence[Sequence[int]]],
) -> list[list[int]]:
    """b_j = a_j s + e_j + 2^delta sum_t q_t 2^(W t), as coefficients."""
    key_values = negacyclic_values([x % P for x in key])
    result = []
    for j, (error, block) in enumerate(zip(errors, q, strict=True)):
        product = negacyclic_coefficients(
            [x * y % P for x, y in zip(public_element(parameters, context, j), key_values, strict=True)]
        )
        packed = [sum(x << parameters.W * t for t, x in enumerate(row)) for row in zip(*block, strict=True)]
        result.append([(x + e + (m << parameters.delta)) % P for x, e, m in zip(product, error, packed, strict=True)])
    return result
