"""Shamir's secret sharing over any GF(2^k), written from the definition: slow, and with no code of the library's.

How to share a secret, Communications of the ACM 22(11), 1979. Elements are integers whose bits are the coefficients of
polynomials over GF(2), multiplied modulo an irreducible one of degree k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

GF_2_128 = (1 << 128) | 0b10000111
GF_2_8 = 0b100011011
GF_2_4 = 0b10011
GF_2_3 = 0b1011


def multiply(a: int, b: int, modulus: int) -> int:
    product = 0
    for position in range(b.bit_length()):
        if b >> position & 1:
            product ^= a << position
    while product.bit_length() >= modulus.bit_length():
        product ^= modulus << (product.bit_length() - modulus.bit_length())
    return product


def power(a: int, exponent: int, modulus: int) -> int:
    result = 1
    for bit in bin(exponent)[2:]:
        result = multiply(result, result, modulus)
        if bit == "1":
            result = multiply(result, a, modulus)
    return result


def inverse(a: int, modulus: int) -> int:
    """By Fermat: a^(2^k - 2)."""
    return power(a, (1 << (modulus.bit_length() - 1)) - 2, modulus)


def evaluate(coefficients: Sequence[int], at: int, modulus: int) -> int:
    """The polynomial with these coefficients, the constant first."""
    value = 0
    for degree, coefficient in enumerate(coefficients):
        value ^= multiply(coefficient, power(at, degree, modulus) if degree else 1, modulus)
    return value


def interpolate(points: Mapping[int, int], at: int, modulus: int) -> int:
    """The value at ``at`` of the polynomial of least degree through ``points`` (Lagrange)."""
    value = 0
    for x, y in points.items():
        weight = y
        for other in points:
            if other != x:
                weight = multiply(weight, multiply(at ^ other, inverse(x ^ other, modulus), modulus), modulus)
        value ^= weight
    return value
