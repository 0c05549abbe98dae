"""Decryption of SEAL's streams in exact integers, written from docs/homomorphic.md and without SEAL.

Slow on purpose: transforms by definition of their layers, and slots one by one, a handful of them.
"""

from __future__ import annotations

import struct
from cmath import exp, pi
from math import prod


def polynomials(stream: bytes, degree: int, primes: tuple[int, ...], head: int, count: int) -> list[list[list[int]]]:
    """Polynomial -> prime -> values at the powers of psi, as they are in the stream."""
    words = struct.unpack(f"<{count * len(primes) * degree}Q", stream[head:])
    at = iter(range(0, len(words), degree))
    return [[list(words[(start := next(at)) : start + degree]) for _ in primes] for _ in range(count)]


def root(prime: int, degree: int) -> int:
    """The smallest primitive 2N-th root of unity: what SEAL evaluates at."""
    candidate = 2
    while pow(found := pow(candidate, (prime - 1) // (2 * degree), prime), degree, prime) != prime - 1:
        candidate += 1
    square, smallest, power = found * found % prime, found, found
    for _ in range(degree):
        smallest, power = min(smallest, power), power * square % prime
    return smallest


def coefficients(values: list[int], prime: int) -> list[int]:
    """The polynomial with these values at psi^(2 bitrev(i) + 1): an inverse transform, layer by layer."""
    degree = len(values)
    bits = degree.bit_length() - 1
    psi = root(prime, degree)
    ordered = [values[int(f"{i:0{bits}b}"[::-1], 2)] for i in range(degree)]
    spectrum = _transform(ordered, pow(psi, -2, prime), prime)
    shrink, unscale = pow(degree, -1, prime), pow(psi, -1, prime)
    found, factor = [], shrink
    for value in spectrum:
        found.append(value * factor % prime)
        factor = factor * unscale % prime
    return found


def _transform(values: list[int], omega: int, prime: int) -> list[int]:
    if len(values) == 1:
        return values
    even, odd = (_transform(values[i::2], omega * omega % prime, prime) for i in (0, 1))
    found, power = [0] * len(values), 1
    for i, (a, b) in enumerate(zip(even, odd, strict=True)):
        found[i], found[i + len(even)] = (a + power * b) % prime, (a - power * b) % prime
        power = power * omega % prime
    return found


def phase(ciphertext: bytes, secret: bytes, degree: int, primes: tuple[int, ...], key_primes: int) -> list[int]:
    """c0 + c1 s, centred modulo q: message and error of a ciphertext."""
    c0, c1 = polynomials(ciphertext, degree, primes, 113, 2)
    every = (*primes, *([0] * (key_primes - len(primes))))
    (s,) = polynomials(secret, degree, every, 88, 1)
    residues = []
    for i, prime in enumerate(primes):
        values = [(a + b * k) % prime for a, b, k in zip(c0[i], c1[i], s[i], strict=True)]
        residues.append(coefficients(values, prime))
    q = prod(primes)
    lifts = [q // prime * pow(q // prime, -1, prime) for prime in primes]
    found = (sum(r * lift for r, lift in zip(each, lifts, strict=True)) % q for each in zip(*residues, strict=True))
    return [value - q if value > q // 2 else value for value in found]


def slot(message: list[int], index: int, scale: float) -> complex:
    """Of CKKS: the message at zeta^(3^index), zeta = e^(i pi / N), over the scale."""
    degree = len(message)
    power = pow(3, index, 2 * degree)
    return sum(m * exp(1j * pi * (power * k % (2 * degree)) / degree) for k, m in enumerate(message)) / scale


def slot_modulo(message: list[int], index: int, plain: int) -> int:
    """Of BGV: the message at psi^(3^index) (first row) or psi^(-3^index) (second) modulo t, centred."""
    degree = len(message)
    row, column = divmod(index, degree // 2)
    power = pow(3, column, 2 * degree) * (1 if row == 0 else -1)
    at = pow(root(plain, degree), power, plain)
    value = 0
    for coefficient in reversed(message):
        value = (value * at + coefficient) % plain
    return value - plain if value > plain // 2 else value
