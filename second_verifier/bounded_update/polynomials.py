"""Univariate polynomials: transforms over F_p, values, interpolation, and products modulo X^N + 1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from .field import GENERATOR, ONE, ZERO, Ext, P


def root_of_unity(order: int) -> int:
    """7^((p-1)/order), of that order."""
    return pow(GENERATOR, (P - 1) // order, P)


@cache
def _twiddles(size: int, root: int) -> list[int]:
    result = [1]
    for _ in range(size // 2 - 1):
        result.append(result[-1] * root % P)
    return result


def transform(values: Sequence[int], root: int) -> list[int]:
    """Values of the polynomial with these coefficients at root^0, root^1, ..; the length is the order of the root."""
    size = len(values)
    bits = size.bit_length() - 1
    result = list(values)
    for i in range(size):
        j = int(f"{i:0{bits}b}"[::-1], 2) if bits else 0
        if i < j:
            result[i], result[j] = result[j], result[i]
    twiddles = _twiddles(size, root)
    half = 1
    while half < size:
        step = size // (2 * half)
        for k in range(half):
            factor = twiddles[k * step]
            for i in range(k, size, 2 * half):
                low, high = result[i], result[i + half] * factor
                result[i], result[i + half] = (low + high) % P, (low - high) % P
        half *= 2
    return result


def code_word(coefficients: Sequence[int], length: int) -> list[int]:
    """Values at omega^0 .. omega^(length-1), omega = 7^((p-1)/length)."""
    padded = list(coefficients) + [0] * (length - len(coefficients))
    return transform(padded, root_of_unity(length))


def horner(coefficients: Sequence[Ext], x: int) -> Ext:
    """The value at a point of F_p."""
    a = b = 0
    for c in reversed(coefficients):
        a = (a * x + c.a) % P
        b = (b * x + c.b) % P
    return Ext(a, b)


@cache
def _inverse_weights(count: int) -> tuple[int, ...]:
    """1 / prod_(k != i) (i - k) for i < count."""
    weights = []
    for i in range(count):
        denominator = 1
        for k in range(count):
            if k != i:
                denominator = denominator * (i - k) % P
        weights.append(pow(denominator, -1, P))
    return tuple(weights)


def interpolate(values: Sequence[Ext], x: Ext) -> Ext:
    """The value at x of the polynomial of degree below len(values) that takes these values at 0, 1, 2, .."""
    count = len(values)
    differences = [x - Ext(i) for i in range(count)]
    before = [ONE]
    for difference in differences:
        before.append(before[-1] * difference)
    result, after = ZERO, ONE
    weights = _inverse_weights(count)
    for i in reversed(range(count)):
        result = result + values[i] * before[i] * after.scale(weights[i])
        after = after * differences[i]
    return result


def negacyclic_values(coefficients: Sequence[int]) -> list[int]:
    """Values at psi^1, psi^3, psi^5, .., psi = 7^((p-1)/(2N)), of a polynomial modulo X^N + 1."""
    size = len(coefficients)
    psi = root_of_unity(2 * size)
    twisted, power = [], 1
    for c in coefficients:
        twisted.append(c * power % P)
        power = power * psi % P
    return transform(twisted, psi * psi % P)


def negacyclic_coefficients(values: Sequence[int]) -> list[int]:
    """The inverse of `negacyclic_values`."""
    size = len(values)
    inverse_psi = pow(root_of_unity(2 * size), -1, P)
    twisted = transform(values, inverse_psi * inverse_psi % P)
    result, power = [], pow(size, -1, P)
    for c in twisted:
        result.append(c * power % P)
        power = power * inverse_psi % P
    return result


def interpolating(points: Sequence[int], values: Sequence[int]) -> list[int]:
    """Coefficients of the polynomial of degree below len(points) that takes these values there (Newton's form)."""
    differences = list(values)
    for order in range(1, len(points)):
        for i in reversed(range(order, len(points))):
            step = pow(points[i] - points[i - order], -1, P)
            differences[i] = (differences[i] - differences[i - 1]) * step % P
    result: list[int] = []
    for point, difference in zip(reversed(points), reversed(differences), strict=True):
        shifted = [0, *result]
        result = [(high - point * low) % P for high, low in zip(shifted, [*result, 0], strict=True)]
        result[0] = (result[0] + difference) % P
    return result
